"""Which figures of presets a scenario uses: those that it does not write itself."""

import simpar
from simpar.strategies import prepare
from simpar.study.provenance import used

HEAD = "model: {preset: resnet-50, batch: 8}\n"
TAIL = "strategies: [allreduce]\n"


def figures_of(tmp_path, middle, head=HEAD):
    """Return (preset, figure) of every number used by a scenario."""
    file = tmp_path / "mine.yaml"
    file.write_text(head + middle + TAIL)
    scenario = simpar.load(file)
    found = used(scenario, prepare(scenario, scenario.strategies[0]).workload)
    for one in found:
        assert one.text
        assert one.source
        assert one.preset.startswith("resnet") or (one.url.startswith("https://") and one.checked)
    return [(one.preset, one.figure) for one in found]


def test_a_scenario_of_its_own_numbers_uses_no_preset(tmp_path):
    middle = "cluster: {workers: 2, device: {flops: 1 TFLOP/s}}\nnetwork: {bandwidth: 1 Gbit/s}\n"
    layers = "model: {batch: 1, layers: [{name: a, flops: 1 GFLOP, parameters: 10}]}\n"
    assert figures_of(tmp_path, middle, layers) == []


def test_a_device_gives_what_its_element_type_needs(tmp_path):
    middle = "cluster: {workers: 2, device: v100}\nnetwork: {bandwidth: 1 Gbit/s}\n"
    assert figures_of(tmp_path, middle) == [
        ("resnet-50", "parameters"),
        ("v100", "peak.float32"),
        ("v100", "efficiency.float32"),
        ("v100", "memory"),
    ]


def test_what_is_written_beside_a_preset_is_not_the_presets(tmp_path):
    middle = (
        "cluster: {workers: 2, device: {preset: v100, efficiency: 0.5, memory: 1 TB}}\n"
        "network: {preset: ethernet-25, latency: 5 us}\n"
    )
    assert figures_of(tmp_path, middle) == [
        ("resnet-50", "parameters"),
        ("v100", "peak.float32"),
        ("ethernet-25", "rate"),
        ("ethernet-25", "efficiency"),
    ]


def test_an_instance_gives_its_devices_its_links_and_its_price(tmp_path):
    middle = "cluster: {nodes: 2, instance: p3.16xlarge}\n"
    found = figures_of(tmp_path, middle)
    assert [figure for preset, figure in found if preset == "p3.16xlarge"] == ["devices", "network", "price"]
    # The machine states its own rate; of the kind of network it takes efficiency and latency.
    assert [figure for preset, figure in found if preset == "ethernet-25"] == ["efficiency", "latency"]
    assert [figure for preset, figure in found if preset == "nvlink-2"] == ["rate", "efficiency", "latency"]


def test_a_price_of_the_scenario_replaces_the_published_one(tmp_path):
    middle = "cluster: {nodes: 2, instance: p3.16xlarge}\nprices: {p3.16xlarge: 10 USD/h}\n"
    assert ("p3.16xlarge", "price") not in figures_of(tmp_path, middle)
