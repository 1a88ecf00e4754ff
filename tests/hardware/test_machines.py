"""build() on scenarios given by hand: figures small enough to check in the head."""

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import pytest

from simpar.errors import InputError, Problem
from simpar.hardware import Cluster, Device, Network, Server, build, load_devices
from simpar.workload import Layer, Workload
from simpar.workload.presets import MODELS


def _device(**given):
    fields = "preset forward backward batch flops efficiency memory memory_bandwidth"
    operations = {"half_flops": None, "launch": 0.0, "roofline": False}
    return SimpleNamespace(**{**dict.fromkeys(fields.split()), **operations, **given})


def _server(**given):
    plain = {"add_rate": None, "update_rate": None, "threads": 1, "threads_per_key": 1, "overhead": 0.0}
    return SimpleNamespace(**{**plain, **given})


def _network(**given):
    plain = {
        "preset": None,
        "latency": 0.0,
        "overhead": 0.0,
        "efficiency": 1.0,
        "intra": None,
        "sharing": "fair",
        "server_bandwidth": None,
        "background": 0.0,
        "topology": SimpleNamespace(kind="star"),
    }
    return SimpleNamespace(**{**plain, **given})


def _scenario(device=None, network=None, workers=2, speed=None, server=None):
    server = server or _server()
    return SimpleNamespace(
        cluster=SimpleNamespace(
            workers=workers, device=device, speed=speed, server=server, instance=None, per_node=1
        ),
        variation=SimpleNamespace(stragglers=None),
        network=network,
        problem=lambda path, message, fix="": Problem("toy.yaml", 1, 1, path, message, fix),
    )


def _workload(dtype="float32"):
    layer = Layer("fc", "linear", 10.0, 20.0, (), 4.0, ())
    return Workload("toy", "samples", (layer,), 1, dtype)


def _build(dtype="float32", **given):
    return build(_scenario(**given), _workload(dtype))


def test_a_scenario_without_device_or_network_states_nothing():
    assert _build() == Cluster(
        workers=2,
        device=Device("measured", None, None, None, None, None, None),
        speeds=(1.0, 1.0),
        server=Server(None, None, 1),
        network=None,
    )


def test_a_device_given_by_times_is_measured_and_has_no_rate():
    device = _build(device=_device(forward=0.06, backward=0.12, batch=64)).device
    assert device == Device("measured", 0.06, 0.12, 64, None, None, None)


def test_flops_given_by_hand_are_reached_in_full_unless_an_efficiency_is_given():
    assert _build(device=_device(flops=10e12)).device.flops_per_s == 10e12
    assert _build(device=_device(flops=10e12, efficiency=0.5)).device.flops_per_s == 5e12
    assert _build(device=_device(flops=10e12)).device.name == "custom"


@pytest.mark.parametrize(
    ("dtype", "rate"),
    [("float32", 15.7e12 * 0.613), ("float16", 125e12 * 0.274), ("float64", 7.8e12 * 0.613)],
)
def test_a_preset_reaches_its_share_of_the_peak_of_the_element_type(dtype, rate):
    device = _build(dtype, device=_device(preset="v100")).device
    assert device.name == "V100 SXM2 16 GB"
    assert device.flops_per_s == pytest.approx(rate, rel=1e-12)
    assert device.memory_bytes == 16 * 2**30
    assert device.memory_bytes_per_s == 900e9


def test_what_is_written_by_hand_wins_over_the_preset():
    spec = _device(preset="v100", flops=10e12, efficiency=0.25, memory=32e9, memory_bandwidth=1e12)
    device = _build(device=spec).device
    assert (device.flops_per_s, device.memory_bytes, device.memory_bytes_per_s) == (2.5e12, 32e9, 1e12)


def test_flops_beside_a_preset_keep_the_presets_efficiency():
    assert _build(device=_device(preset="v100", flops=10e12)).device.flops_per_s == pytest.approx(6.13e12)


def test_an_element_type_without_a_rate_is_refused():
    with pytest.raises(InputError) as caught:
        _build("bfloat16", device=_device(preset="v100"))
    (problem,) = caught.value.problems
    assert problem.path == "model.dtype"
    assert problem.message == "device v100 has no rate for bfloat16"
    assert "float64, float32, float16" in problem.fix


def test_a_preset_nobody_measured_asks_for_an_efficiency(monkeypatch):
    v100 = dataclasses.replace(load_devices()["v100"], efficiency={})
    monkeypatch.setattr("simpar.hardware.machines.load_devices", lambda: {"v100": v100})
    with pytest.raises(InputError, match=r"v100 reaches of its peak on float32; write .*efficiency"):
        _build(device=_device(preset="v100"))
    spec = _device(preset="v100", efficiency=0.5)
    assert _build(device=spec).device.flops_per_s == pytest.approx(7.85e12)


def test_an_element_type_without_a_rate_is_fine_where_it_was_measured_or_given():
    measured = _build("bfloat16", device=_device(preset="v100", forward=1.0, backward=2.0)).device
    assert (measured.forward_s, measured.flops_per_s) == (1.0, None)
    assert _build("bfloat16", device=_device(preset="v100", flops=1e12)).device.flops_per_s == 1e12


def test_speeds_are_one_a_worker():
    assert _build(workers=3, speed=(1.0, 0.5, 2.0)).speeds == (1.0, 0.5, 2.0)
    with pytest.raises(InputError, match="2 speeds for 3 workers"):
        _build(workers=3, speed=(1.0, 0.5))


def test_a_link_carries_its_bandwidth_times_its_efficiency():
    network = _build(network=_network(bandwidth=100.0, efficiency=0.5, latency=3.0, overhead=2.0)).network
    assert network == Network(50.0, 50.0, 3.0, 2.0, "fair")


def test_servers_may_have_faster_links():
    given = _network(bandwidth=100.0, server_bandwidth=400.0, efficiency=0.5, sharing="fifo")
    assert _build(network=given).network == Network(50.0, 200.0, 0.0, 0.0, "fifo")


def test_server_rates_are_passed_on():
    given = _server(add_rate=5.0, update_rate=4.0, threads=3)
    assert _build(server=given).server == Server(5.0, 4.0, 3)


def test_threads_that_share_a_key_are_faster_and_work_on_fewer():
    given = _server(add_rate=5.0, threads=6, threads_per_key=3, overhead=0.5)
    assert _build(server=given).server == Server(15.0, None, 2, overhead_s=0.5)


def test_a_device_keeps_what_is_said_of_its_operations():
    device = _build(device=_device(flops=4e12, launch=5e-6, half_flops=1e9, roofline=True)).device
    assert (device.half_flops, device.launch_s, device.roofline, device.is_linear) == (1e9, 5e-6, True, False)
    assert _build(device=_device(flops=4e12)).device.is_linear


@pytest.mark.parametrize(
    ("dtype", "element_bytes", "images_per_s"), [("float32", 4, 392.24), ("float16", 2, 1393.87)]
)
def test_resnet_50_on_the_v100_runs_at_the_speed_it_was_measured_at(dtype, element_bytes, images_per_s):
    """Model and device presets count the same FLOPs, so together they give back what was measured."""
    layers = MODELS["resnet-50"].layers(element_bytes)
    resnet_50 = Workload("ResNet-50", "images", layers, 128, dtype)
    device = build(_scenario(device=_device(preset="v100")), resnet_50).device
    flops = resnet_50.forward_flops + resnet_50.backward_flops
    assert device.flops_per_s / flops == pytest.approx(images_per_s, rel=0.002)


def test_the_room_opens_without_pydantic_or_yaml():
    """A program is run on machines that have neither."""
    code = (
        "import sys, simpar.hardware; sys.exit(any(m in sys.modules for m in ('pydantic', 'yaml', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
