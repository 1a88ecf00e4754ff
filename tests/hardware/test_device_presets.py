"""The figures that simpar ships, against what their sources say; every expected number is a source's own."""

import re

import pytest

from simpar.hardware import device_table, load_devices
from simpar.workload import DTYPE_BYTES

RESNET_50_FLOPS = 3 * 2 * 4.089e9
"""Of one 224 x 224 image, forward and backward, as the efficiencies count them."""

DEVICES = load_devices()
GPUS = [key for key in DEVICES if not key.startswith(("xeon", "epyc", "core"))]

PUBLISHED = {
    # AnandTech, NVIDIA Launches Tesla K80: 2.91 and 8.74 TFLOPS, 2 x 12 GB for the board of two GPUs
    "k80": (2.91 / 2, 8.74 / 2, None, None, 12, 480 / 2),
    # HotHardware on the Tesla P100, April 2016: 5.3, 10.6 and 21.2 TFLOPS, 720 GB/s
    "p100": (5.3, 10.6, 21.2, None, 16, 720),
    # NVIDIA Tesla V100 datasheet, SXM2: 7.8, 15.7 and 125 TFLOPS, 900 GB/s
    "v100": (7.8, 15.7, 125, None, 16, 900),
    "v100-32": (7.8, 15.7, 125, None, 32, 900),
    # System Requirements, Tesla T4: 254.4 GFLOPS, 8.141 and 65.13 TFLOPS, 320.0 GB/s
    "t4": (0.2544, 8.141, 65.13, None, 16, 320),
    # System Requirements, A10 PCIe: 976.3 GFLOPS, 31.24 TFLOPS, 600.2 GB/s; kimbochen: 125 TFLOP/s
    "a10": (0.9763, 31.24, 125, 125, 24, 600.2),
    # G. K. Lockwood after NVIDIA's A100 datasheet: 9.7, 19.5, 312, 312; 1.555 and 2.039 TB/s
    "a100-40": (9.7, 19.5, 312, 312, 40, 1555),
    "a100-80": (9.7, 19.5, 312, 312, 80, 2039),
    # S. Bekman after NVIDIA: 67, 989, 989, 3.35 and 4.80 TB/s; RunPod: 34
    "h100": (34, 67, 989, 989, 80, 3350),
    "h200": (34, 67, 989, 989, 141, 4800),
    # S. Bekman after NVIDIA: 296 / 8, 2250, 2250, 8.00 TB/s, 180 GB; HMC-Tech: 75.02
    "b200": (296 / 8, 75.02, 2250, 2250, 180, 8000),
}
"""TFLOP/s of float64, float32, float16 and bfloat16; memory; GB/s of memory."""

MEASURED = [
    # TensorFlow benchmarks, May 2017: ResNet-50, batch 64, synthetic data, one GPU
    ("k80", "float32", "51.9 images/s", 51.9 * RESNET_50_FLOPS),
    ("p100", "float32", "219.0 images/s", 219.0 * RESNET_50_FLOPS),
    # DLPerf report v1: ResNet-50 v1.5, NGC MXNet, batch 128 and 256
    ("v100", "float32", "392.24 images/s", 392.24 * RESNET_50_FLOPS),
    ("v100", "float16", "1393.87 images/s", 1393.87 * RESNET_50_FLOPS),
    # Megatron-LM, SC21 table 1, GPT 1.7B; MosaicML LLM Foundry, 8 GPUs; S. Bekman, Llama 3.1 8B at 192K
    ("a100-80", "float16", "137 TFLOP/s", 137e12),
    ("a100-40", "bfloat16", "180 TFLOP/s", 180e12),
    ("a100-80", "bfloat16", "200 TFLOP/s", 200e12),
    ("h100", "bfloat16", "459 TFLOP/s", 459e12),
    ("b200", "bfloat16", "852 TFLOP/s", 852e12),
]
"""Device, element type, what was published, and FLOP/s of the model that this is."""

BY_MEMORY = [(key, dtype) for key in ("t4", "a10") for dtype in ("float64", "float32", "float16")] + [
    (key, dtype) for key in ("a100-40", "a100-80", "h100", "h200", "b200") for dtype in ("float64", "float32")
]
"""Efficiencies assumed from the V100's, where memory brings fewer bytes a FLOP in that proportion."""

TAKEN_OVER = [
    ("k80", "float64", "k80", "float32"),
    ("p100", "float64", "p100", "float32"),
    ("p100", "float16", "p100", "float32"),
    ("v100", "float64", "v100", "float32"),
    ("v100-32", "float64", "v100", "float64"),
    ("v100-32", "float32", "v100", "float32"),
    ("v100-32", "float16", "v100", "float16"),
    ("a10", "bfloat16", "a10", "float16"),
    ("a100-40", "float16", "a100-80", "float16"),
    ("h100", "float16", "h100", "bfloat16"),
    ("h200", "float16", "h100", "float16"),
    ("h200", "bfloat16", "h100", "bfloat16"),
    ("b200", "float16", "b200", "bfloat16"),
]
"""Efficiencies assumed to be those of another type or device."""


def _reached(key, dtype):
    """Return the FLOP/s that training reaches."""
    return DEVICES[key].peak[dtype].value * DEVICES[key].efficiency[dtype].value


@pytest.mark.parametrize("key", GPUS)
def test_a_gpu_is_what_its_source_says(key):
    device, (*tflops, memory, bandwidth) = DEVICES[key], PUBLISHED[key]
    for dtype, rate in zip(DTYPE_BYTES, tflops, strict=True):
        if rate is None:
            assert dtype not in device.peak
        else:
            assert device.peak[dtype].value == pytest.approx(rate * 1e12, rel=0.006)
    assert device.memory.value == memory * 2**30
    assert device.memory_bandwidth.value == pytest.approx(bandwidth * 1e9, rel=0.001)


@pytest.mark.parametrize(
    ("key", "sms", "per_clock", "ghz"),
    [
        ("k80", 13, 192, 0.875),  # SMX, cores an SMX, boost clock: NVIDIA's Kepler whitepaper
        ("p100", 56, 64, 1.48),
        ("t4", 40, 64, 1.59),
        ("a10", 72, 128, 1.695),
        ("a100-40", 108, 64, 1.41),
        ("h100", 132, 128, 1.98),
        ("b200", 148, 128, 1.98),
    ],
)
def test_float32_peaks_follow_from_cores_and_clock(key, sms, per_clock, ghz):
    peak = DEVICES[key].peak["float32"].value
    assert sms * per_clock * 2 * ghz * 1e9 == pytest.approx(peak, rel=0.01)


@pytest.mark.parametrize(
    ("key", "cores", "ghz", "float64_a_cycle", "channels"),
    [
        ("xeon-8380", 40, 2.3, 32, 8),  # two units of 8 multiply-adds
        ("epyc-7763", 64, 2.45, 16, 8),  # two units of 4
        ("core-i7-1165g7", 4, 2.8, 16, 2),
    ],
)
def test_a_cpu_follows_from_cores_clock_and_channels(key, cores, ghz, float64_a_cycle, channels):
    device = DEVICES[key]
    float64 = cores * ghz * 1e9 * float64_a_cycle
    assert device.peak["float64"].value == pytest.approx(float64, rel=0.001)
    assert device.peak["float32"].value == pytest.approx(2 * float64, rel=0.001)
    assert device.memory_bandwidth.value == pytest.approx(channels * 3.2e9 * 8)


@pytest.mark.parametrize(("key", "dtype", "published", "flops"), MEASURED)
def test_an_efficiency_is_the_measured_rate_over_the_peak(key, dtype, published, flops):
    device = DEVICES[key]
    assert device.efficiency[dtype].value == round(flops / device.peak[dtype].value, 3)
    assert published in device.efficiency[dtype].note
    assert "Assumed" not in device.efficiency[dtype].source


@pytest.mark.parametrize(("key", "dtype"), BY_MEMORY)
def test_an_efficiency_that_nobody_measured_is_scaled_by_what_memory_brings(key, dtype):
    device, v100 = DEVICES[key], DEVICES["v100"]
    brings, its = (one.memory_bandwidth.value / one.peak[dtype].value for one in (device, v100))
    expected = v100.efficiency[dtype].value * min(1.0, brings / its)
    assert device.efficiency[dtype].value == pytest.approx(expected, abs=0.001)
    assert device.efficiency[dtype].source.startswith("Assumed, not measured")


@pytest.mark.parametrize(("key", "dtype", "whose", "its"), TAKEN_OVER)
def test_an_efficiency_taken_over_is_the_other_one_and_says_so(key, dtype, whose, its):
    share = DEVICES[key].efficiency[dtype]
    assert share.value == DEVICES[whose].efficiency[its].value
    assert share.source.startswith("Assumed, not measured")


def test_every_efficiency_is_measured_scaled_taken_over_or_half_of_a_cpu():
    known = {(key, dtype) for key, dtype, *_ in [*MEASURED, *BY_MEMORY, *TAKEN_OVER]}
    for key, device in DEVICES.items():
        for dtype, share in device.efficiency.items():
            if key not in GPUS:
                assert (share.value, share.source) == (0.5, "Assumed, not measured")
            else:
                assert (key, dtype) in known


def test_every_rate_has_an_efficiency_so_that_no_preset_needs_help():
    for device in DEVICES.values():
        assert device.peak.keys() == device.efficiency.keys()


@pytest.mark.parametrize(
    ("dtype", "order"),
    [
        ("float64", ["core-i7-1165g7", "k80", "p100", "v100", "a100-40", "h100"]),
        ("float32", ["core-i7-1165g7", "k80", "p100", "v100", "a100-40", "h100", "h200", "b200"]),
        ("float16", ["p100", "v100", "a100-40", "h100", "b200"]),
        ("bfloat16", ["a10", "a100-40", "a100-80", "h100", "b200"]),
    ],
)
def test_a_newer_generation_trains_faster(dtype, order):
    rates = [_reached(key, dtype) for key in order]
    assert rates == sorted(rates)
    assert len(set(rates)) == len(rates)


def test_a_newer_generation_has_faster_memory():
    order = ["k80", "p100", "v100", "a100-40", "a100-80", "h100", "h200", "b200"]
    rates = [DEVICES[key].memory_bandwidth.value for key in order]
    assert rates == sorted(set(rates))


def test_narrower_types_are_never_slower():
    for device in DEVICES.values():
        peaks = [
            device.peak[dtype].value for dtype in ("float64", "float32", "float16") if dtype in device.peak
        ]
        assert peaks == sorted(peaks)
        if "bfloat16" in device.peak:
            assert device.peak["bfloat16"].value == device.peak["float16"].value


def test_what_was_not_read_at_the_vendor_says_so():
    """A figure of a GPU is NVIDIA's own page, or its note says that it was read elsewhere."""
    for row in device_table():
        if row.preset in GPUS and not row.figure.startswith("efficiency."):
            first_hand = "nvidia.com" in row.url
            assert first_hand or "second-hand" in row.note.lower(), (row.preset, row.figure)


def test_arithmetic_in_notes_is_right():
    """Notes write 'a x b = c' and 'a / b = c'; what they claim is computed again."""
    found = 0
    number = r"([0-9]+(?:\.[0-9]+)?)"
    for row in device_table():
        for left, right, claimed in re.findall(
            rf"{number} TFLOP/s of model FLOPs / {number} TFLOP/s = {number}", row.note
        ):
            assert float(left) / float(right) == pytest.approx(float(claimed), abs=0.0005)
            found += 1
        for left, right, claimed in re.findall(
            rf"{number} GB/s / {number} TFLOP/s = {number} bytes", row.note
        ):
            assert float(left) / float(right) == pytest.approx(float(claimed), rel=0.001)
            found += 1
    assert found >= 15
