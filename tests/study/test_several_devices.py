"""Scenarios of machines with several devices: what is compared, advised, explained and drawn."""

import json

import pytest

import simpar
from simpar import hardware, workload
from simpar.show import timeline
from simpar.show.table import comparison, explanation

BASE = """
name: machines
model: {{batch: 8, layers: [{{name: a, flops: 1 GFLOP, parameters: 10000000}}, {{name: b, flops: 1 GFLOP}}]}}
cluster: {cluster}
{network}
strategies: [{strategies}]
run: {{steps: 3}}
"""

CLUSTER = "{nodes: 2, devices_per_node: 4, device: {flops: 1 TFLOP/s}}"
NETWORK = "network: {bandwidth: 10 Gbit/s, latency: 5 us, intra: {bandwidth: 50 GB/s, latency: 2 us}}"


@pytest.fixture
def write(tmp_path):
    def save(strategies="allreduce", cluster=CLUSTER, network=NETWORK):
        file = tmp_path / "machines.yaml"
        file.write_text(BASE.format(strategies=strategies, cluster=cluster, network=network))
        return file

    return save


def links(file, **changes):
    """Return the machines of a scenario."""
    scenario = simpar.load(file, set=changes)
    return hardware.build(scenario, workload.build(scenario))


# -- presets ---------------------------------------------------------------------------------------------


def test_the_name_of_a_link_stands_for_its_figures(write):
    """links.yaml: 25 Gbit/s of which large messages reach 0.941, 15 us."""
    network = links(write(cluster="{workers: 2, device: v100}", network="network: ethernet-25")).network
    assert network.bytes_per_s == pytest.approx(25e9 / 8 * 0.941)
    assert network.server_bytes_per_s == network.bytes_per_s
    assert network.latency_s == pytest.approx(15e-6)


def test_what_is_written_beside_a_preset_wins(write):
    text = "network: {preset: ethernet-25, latency: 3 us, bandwidth: 10 Gbit/s, efficiency: 0.5}"
    network = links(write(cluster="{workers: 2, device: v100}", network=text)).network
    assert (network.bytes_per_s, network.latency_s) == pytest.approx((0.625e9, 3e-6))


def test_a_setting_may_be_changed_beside_the_name_of_a_link(write):
    file = write(cluster="{workers: 2, device: v100}", network="network: ethernet-25")
    network = links(file, **{"network.latency": "1 us"}).network
    assert (network.bytes_per_s, network.latency_s) == pytest.approx((25e9 / 8 * 0.941, 1e-6))


def test_an_instance_gives_devices_links_and_needs_no_network(write):
    """instances.yaml: 8 V100 on nvlink-2, 25 Gbit/s as ethernet-25; links.yaml: nvlink-2 150 GB/s x 0.958."""
    found = links(write(cluster="{instance: p3.16xlarge, nodes: 2}", network=""))
    assert (found.workers, found.nodes, found.devices_per_node) == (16, 2, 8)
    assert found.device.name == "V100 SXM2 16 GB"
    assert found.network.bytes_per_s == pytest.approx(25e9 / 8 * 0.941)
    assert found.intra.bytes_per_s == pytest.approx(hardware.load_links()["nvlink-2"].bytes_per_s)
    assert [found.node_of(worker) for worker in (0, 7, 8, 15)] == [0, 0, 1, 1]


def test_what_is_written_beside_an_instance_wins(write):
    text = "network: {bandwidth: 10 Gbit/s, intra: {latency: 1 us}}"
    cluster = "{instance: p3.16xlarge, nodes: 2, devices_per_node: 4, device: a100-80}"
    found = links(write(cluster=cluster, network=text))
    assert (found.workers, found.devices_per_node) == (8, 4)
    assert found.device.name.startswith("A100")
    assert found.network.bytes_per_s == pytest.approx(10e9 / 8 * 0.941)
    assert found.network.latency_s == pytest.approx(15e-6)
    assert found.intra.latency_s == pytest.approx(1e-6)
    assert found.intra.bytes_per_s == pytest.approx(hardware.load_links()["nvlink-2"].bytes_per_s)


def test_measured_times_on_an_instance_keep_its_memory(write):
    cluster = "{instance: p3.2xlarge, workers: 2, device: {forward: 1 ms, backward: 2 ms}}"
    device = links(write(cluster=cluster, network="")).device
    assert (device.forward_s, device.backward_s) == (1e-3, 2e-3)
    assert device.memory_bytes == 16 * 2**30


def test_workers_and_machines_say_the_same(write):
    by_workers = "{workers: 8, devices_per_node: 4, device: {flops: 1 TFLOP/s}}"
    steps = [simpar.compare(write(cluster=c)).best.step_s for c in (CLUSTER, by_workers)]
    assert steps[0] == steps[1]


# -- tables ----------------------------------------------------------------------------------------------


def test_labels_say_where_servers_live_and_gradients_meet(write):
    kinds = "ps-sync: {servers: 2, colocate: true}, ps-async: {local_merge: true}"
    result = simpar.compare(write(f"{kinds}, allreduce: {{algorithm: hierarchical}}"), advise=False)
    labels = {row.name: row.label for row in result.values()}
    assert labels == {
        "ps-sync": "ps-sync, 2 colocated servers",
        "ps-async": "ps-async, 1 server, local merge",
        "allreduce": "allreduce hierarchical",
    }
    assert "on each of 8 workers (2 x 4)" in comparison(result)


def test_the_links_of_machines_are_named_as_theirs(write):
    said = comparison(simpar.compare(write("ps-sync: {servers: 2, colocate: true}"), advise=False))
    assert "waits for the machines' links (n0.out, n1.out)" in said


def test_an_explanation_counts_messages_of_two_latencies(write):
    found = simpar.explain(write("allreduce: {algorithm: hierarchical}"), "allreduce")
    said = explanation(found)
    # 2 x 3 messages of 2 us inside, 2 of 5 us across
    assert "22.0 us   8 messages" in said
    assert "a free way inside a machine to its link" in said


def test_an_explanation_of_a_merge_has_its_phases(write):
    said = explanation(simpar.explain(write("ps-sync: {local_merge: true}"), "ps-sync"))
    assert "add gradients up inside machines" in said
    assert "hand parameters round" in said
    assert "machines that add up their devices' gradients in no time" in said


@pytest.mark.parametrize(
    ("strategy", "setting", "value"),
    [
        ("ps-sync: {servers: 2, overlap: true}", "local_merge", True),
        ("ps-async: {servers: 2, overlap: true}", "local_merge", True),
        ("allreduce: {algorithm: tree, overlap: true}", "algorithm", "hierarchical"),
    ],
)
def test_what_helps_machines_of_several_devices_is_tried(write, strategy, setting, value):
    (row,) = simpar.compare(write(strategy)).values()
    tried = row.bottleneck.suggestion
    assert (tried.path, tried.value) == (f"strategies[{row.name}].{setting}", value)
    after = simpar.compare(write(strategy), set={tried.path: value}, advise=False)[row.name]
    assert after.step_s < row.step_s


def test_a_faster_network_is_tried_where_the_instance_gives_it(write):
    file = write("allreduce: {algorithm: hierarchical}", "{instance: p3.16xlarge, nodes: 2}", "")
    (row,) = simpar.compare(file, set={"strategies[allreduce].overlap": True}).values()
    tried = row.bottleneck.suggestion
    assert (tried.path, tried.value) == ("network.bandwidth", "50 Gbit/s")
    after = simpar.compare(file, set={tried.path: tried.value, "strategies[allreduce].overlap": True})
    assert after["allreduce"].step_s == pytest.approx(tried.step_s, rel=0.02)


def test_a_pipeline_names_the_cut_that_takes_longest_on_its_own_links(write):
    """Stages 0 and 1 on one machine: the cut between them is crossed inside it, at 50 GB/s."""
    cluster = "{nodes: 1, devices_per_node: 2, device: {flops: 1 TFLOP/s}}"
    model = {"model.layers[0].activation": "8 GB", "model.layers[1].parameters": 5}
    result = simpar.compare(write("pipeline: {microbatches: 2}", cluster), set=model, advise=False)
    (note,) = result["pipeline"].notes
    assert "2 x 320 ms on a link" in note  # 8 GB of 8 samples: 16 GB of both batches over 50 GB/s


# -- timelines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_a_timeline_has_the_machines_beside_their_devices(write, sharing, tmp_path):
    network = NETWORK.replace("latency: 5 us", f"latency: 5 us, sharing: {sharing}")
    strategies = (
        "allreduce: {algorithm: hierarchical}, ps-sync: {servers: 2, colocate: true, local_merge: true}"
    )
    result = simpar.compare(write(strategies, network=network), advise=False)
    events = json.loads(timeline.comparison(result, compressed=False))["traceEvents"]
    names = [event["args"]["name"] for event in events if event["name"] == "process_name"]
    assert {"allreduce · w0", "allreduce · n0", "ps-sync · n1"} <= set(names)
    of_ring = [name for name in names if name.startswith("allreduce · ")]
    assert of_ring == [f"allreduce · w{w}" for w in range(8)] + ["allreduce · n0", "allreduce · n1"]
