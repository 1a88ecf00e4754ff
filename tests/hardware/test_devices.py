import datetime

import pytest
from hardware_tables import FIGURE, shipped_text, table_text

from simpar.errors import InputError
from simpar.hardware.devices import device_table, load_devices, read_devices
from simpar.scenario.presets import DEVICE_PRESETS

RESNET_50_MULTIPLY_ADDS = 4.089e9
"""Of one 224 x 224 image, forward; torchvision counts 4.09e9 for the same model."""


def _table(**changes):
    """Return the text of a table with one sound device, changed at ``peak__float32__url`` and the like."""
    entry = {
        "name": "Toy",
        "memory": {**FIGURE, "value": "2 GiB"},
        "memory_bandwidth": {**FIGURE, "value": "100 GB/s"},
        "peak": {"float32": dict(FIGURE)},
        "efficiency": {"float32": {**FIGURE, "value": 0.5, "note": "5 of 10 TFLOP/s"}},
    }
    return table_text("devices", entry, changes)


def test_presets_are_the_names_that_a_scenario_may_write():
    assert tuple(load_devices()) == DEVICE_PRESETS


def test_v100_is_its_datasheet():
    v100 = load_devices()["v100"]
    assert v100.name == "V100 SXM2 16 GB"
    assert {dtype: figure.value for dtype, figure in v100.peak.items()} == {
        "float64": 7.8e12,
        "float32": 15.7e12,
        "float16": 125e12,
    }
    assert v100.memory.value == 16 * 2**30
    assert v100.memory_bandwidth.value == 900e9


def test_v100_peaks_follow_from_its_cores_and_clock():
    """80 SMs of 64 float32 cores, 32 float64 cores and 8 tensor cores of 64 multiply-adds each; 1.53 GHz."""
    peak = load_devices()["v100"].peak
    for dtype, multiply_adds in [("float32", 64), ("float64", 32), ("float16", 8 * 64)]:
        assert 80 * multiply_adds * 2 * 1.53e9 == pytest.approx(peak[dtype].value, rel=0.01)


@pytest.mark.parametrize(("dtype", "images_per_s"), [("float32", 392.24), ("float16", 1393.87)])
def test_v100_efficiency_is_the_measured_images_over_the_peak(dtype, images_per_s):
    v100 = load_devices()["v100"]
    reached = images_per_s * 3 * 2 * RESNET_50_MULTIPLY_ADDS
    assert v100.efficiency[dtype].value == round(reached / v100.peak[dtype].value, 3)
    assert f"{images_per_s} images/s" in v100.efficiency[dtype].note


def test_v100_float64_efficiency_says_that_nobody_measured_it():
    v100 = load_devices()["v100"]
    assert v100.efficiency["float64"].value == v100.efficiency["float32"].value
    assert "not measured" in v100.efficiency["float64"].source


def test_every_number_shipped_says_where_it_comes_from_and_when_it_was_checked():
    rows = device_table()
    assert {row.preset for row in rows} == set(DEVICE_PRESETS)
    assert sum(row.preset == "v100" for row in rows) == 8
    for row in rows:
        assert row.source
        assert row.url.startswith("https://")
        assert datetime.date.fromisoformat(row.checked) >= datetime.date(2020, 1, 1)
        assert row.unit or row.figure.startswith("efficiency.")


def test_no_device_is_in_the_data_and_not_in_the_table():
    """Counted in the text itself, so that a reader which drops entries is found out."""
    assert shipped_text("devices.yaml").count(" value: ") == len(device_table())


def test_a_sound_table_is_read_in_si():
    toy = read_devices(_table(), "toy.yaml")["toy"]
    assert (toy.key, toy.name) == ("toy", "Toy")
    assert (toy.memory.value, toy.memory.unit) == (2 * 2**30, "B")
    assert (toy.memory_bandwidth.value, toy.memory_bandwidth.unit) == (100e9, "B/s")
    assert (toy.peak["float32"].value, toy.peak["float32"].unit) == (10e12, "FLOP/s")
    assert (toy.efficiency["float32"].value, toy.efficiency["float32"].note) == (0.5, "5 of 10 TFLOP/s")
    assert toy.peak["float32"].checked == "2026-01-31"


@pytest.mark.parametrize("missing", ["source", "url", "checked"])
@pytest.mark.parametrize("figure", ["memory", "memory_bandwidth", "peak__float32", "efficiency__float32"])
def test_a_number_without_provenance_is_refused(figure, missing):
    with pytest.raises(InputError) as caught:
        read_devices(_table(**{f"{figure}__{missing}": None}), "toy.yaml")
    (problem,) = caught.value.problems
    assert problem.path == "devices.toy." + figure.replace("__", ".")
    assert problem.message == f"has no {missing}"
    assert (problem.file, problem.line > 1) == ("toy.yaml", True)


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"peak__float32__url": "see the web"}, "peak.float32.url", "not an address"),
        ({"peak__float32__checked": "last May"}, "peak.float32.checked", "not a day"),
        ({"peak__float32__checked": "2026-02-30"}, "peak.float32.checked", "not a day"),
        ({"peak__float32__value": "10 TB"}, "peak.float32.value", "FLOP rate"),
        ({"peak__float32__value": "-10 TFLOP/s"}, "peak.float32.value", "not above zero"),
        ({"peak__float32__sauce": "x"}, "peak.float32.sauce", "unknown key"),
        ({"peak__float8": dict(FIGURE)}, "peak.float8", "unknown key"),
        ({"efficiency__float32__value": 1.5}, "efficiency.float32.value", "not a share"),
        ({"efficiency__float32__value": "50 %"}, "efficiency.float32.value", "not a share"),
        ({"efficiency__float16": {**FIGURE, "value": 0.5}}, "efficiency.float16", "has no peak"),
        ({"colour": "green"}, "colour", "unknown key"),
        ({"memory__note": 3}, "memory.note", "not text"),
        ({"peak": 3}, "peak", "not a mapping"),
        ({"name": None}, "", "has no name"),
        ({"memory": 3}, "memory", "not a mapping"),
    ],
)
def test_a_damaged_entry_is_refused_where_it_stands(changes, path, said):
    with pytest.raises(InputError) as caught:
        read_devices(_table(**changes), "toy.yaml")
    at = ".".join(part for part in ("devices.toy", path) if part)
    assert any(one.path == at and said in one.message for one in caught.value.problems)


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as caught:
        read_devices(_table(memory__url=None, peak__float32__source=None), "toy.yaml")
    assert len(caught.value.problems) == 2


def test_a_device_given_twice_is_refused():
    text = _table()
    with pytest.raises(InputError, match="given twice"):
        read_devices(text + text.removeprefix("devices:\n"), "toy.yaml")
