"""What a reader is told before believing the figures."""

import re

import pytest

import simpar

BASE = """
name: notes
model: {{batch: 8, layers: [{{name: a, flops: 1 GFLOP, parameters: 1000000}}, {{name: b, flops: 1 GFLOP}}]}}
cluster: {{workers: 2, device: {{flops: 1 TFLOP/s}}{cluster}}}
network: {{bandwidth: 10 Gbit/s, latency: 5 us{network}}}
strategies: [{strategies}]
run: {{steps: 3{run}}}
"""


@pytest.fixture
def compared(tmp_path):
    def compare(strategies="ps-sync", cluster="", network="", run="", set=None):
        file = tmp_path / "notes.yaml"
        file.write_text(BASE.format(strategies=strategies, cluster=cluster, network=network, run=run))
        return simpar.compare(file, set=set or {})

    return compare


def test_which_engine_ran_and_why_is_in_the_result(compared):
    for asked, ran, why in (
        ("auto", "compiled", "the fastest that can run it"),
        ("compiled", "compiled", "asked for"),
        ("reference", "reference", "asked for"),
    ):
        found = compared("ps-sync, allreduce", set={"run.engine": asked}).to_dict()
        assert (found["engine"], found["engine_why"]) == (ran, why)


def test_the_reference_engine_is_a_note_and_the_usual_one_is_none(compared):
    noted = compared("ps-sync, allreduce", set={"run.engine": "reference"}).notes
    assert sum(note.startswith("simulated by the reference engine") for note in noted) == 1
    for usual in ("auto", "compiled"):
        assert "engine" not in " ".join(compared(set={"run.engine": usual}).notes)


def test_nobody_ran_what_does_not_fit_so_there_is_no_why(compared):
    found = compared("ps-sync", set={"cluster.device.memory": "1 kB", "run.engine": "reference"}).to_dict()
    assert found["engine"] == "none"
    assert "engine_why" not in found
    assert "reference" not in " ".join(found["notes"])


def test_a_missing_compiler_is_said_once_for_all_strategies(compared, monkeypatch):
    from simpar.simulate import compiled

    def missing():
        raise ImportError("No module named 'numba'\nand a second line")

    usual = compared("ps-sync, allreduce, ps-async").to_dict()
    monkeypatch.setattr(compiled, "compiled_loop", missing)
    monkeypatch.setattr(compiled, "_pays", lambda instances: True)
    found = compared("ps-sync, allreduce, ps-async").to_dict()
    (note,) = [one for one in found["notes"] if "plain Python" in one]
    assert note.endswith("numba cannot be used (No module named 'numba')")
    assert found["strategies"] == usual["strategies"]
    explained = simpar.explain("scenarios/quickstart.yaml", "ps-sync").row.notes
    assert [one for one in explained if "plain Python" in one] == [note]


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        ({"strategies": "single"}, "network had no effect: no message crosses a link"),
        (
            {"strategies": "allreduce", "network": ", server_bandwidth: 1 Gbit/s"},
            "network.server_bandwidth had no effect",
        ),
        (
            {"strategies": "allreduce", "cluster": ", server: {add_rate: 1 GB/s}"},
            "cluster.server.add_rate had no effect",
        ),
        ({"cluster": ", server: {threads: 2}"}, "cluster.server.threads had no effect"),
        ({"run": ", stagger: none"}, "run.stagger had no effect: no strategy is asynchronous"),
        ({"run": ", collectives: closed_form"}, "run.collectives had no effect"),
        ({"run": ", seed: 3"}, "run.seed had no effect: nothing in this scenario is drawn at random"),
        (
            {"strategies": "allreduce", "run": ", collectives: closed_form", "network": ", sharing: fifo"},
            "network.sharing had no effect",
        ),
        ({"set": {"model.seq": 128}}, "model.seq had no effect"),
        (
            {"set": {"cluster.device.memory_bandwidth": "900 GB/s"}},
            "cluster.device.memory_bandwidth had no effect",
        ),
        ({"set": {"cluster.device.half_flops": 0}}, "cluster.device.half_flops had no effect"),
        ({"set": {"cluster.device.launch": 0}}, "cluster.device.launch had no effect"),
        (
            {"set": {"variation": {"stragglers": [{"worker": 1, "factor": 1}]}}},
            "variation.stragglers[0] had no effect: a factor of 1 is the nominal time",
        ),
        (
            {"set": {"variation": {"link": {"kind": "lognormal", "mean": 1, "cv": 0}}}},
            "variation.link had no effect: a factor of 1 that does not vary",
        ),
        ({"network": ", intra: nvlink-3"}, "network.intra had no effect: machines have one device each"),
        (
            {"network": ", topology: {kind: tree, rack: 2, oversubscription: 4}"},
            "network.topology had no effect: no message leaves its rack",
        ),
        (
            {
                "network": ", topology: {kind: tree, rack: 1, oversubscription: 4, servers: apart}",
                "strategies": "allreduce",
            },
            "network.topology.servers had no effect: no server has a machine of its own",
        ),
        (
            {"network": ", topology: ring, server_bandwidth: 1 Gbit/s"},
            "network.server_bandwidth had no effect: links of ring are not the servers' own",
        ),
        (
            {
                "network": ", topology: {kind: links, links: [{between: [w0, w1], bandwidth: 1 Gbit/s}]}",
                "strategies": "allreduce",
            },
            "network.bandwidth had no effect: every link has a bandwidth of its own",
        ),
        (
            {"network": ", intra: nvlink-3", "cluster": ", devices_per_node: 2"}
            | {"strategies": "allreduce"},
            "network.bandwidth had no effect: no message leaves the machine",
        ),
        (
            {"network": ", intra: nvlink-3", "cluster": ", devices_per_node: 2"},
            "network.intra had no effect: no message stays inside a machine",
        ),
        (
            {"network": ", preset: ethernet-25, efficiency: 0.5"},
            "network.preset had no effect: everything is written beside it",
        ),
        (
            {"strategies": "ps-sync: {colocate: true}", "network": ", server_bandwidth: 1 Gbit/s"},
            "network.server_bandwidth had no effect: servers share the links of the workers' machines",
        ),
        (
            {"strategies": "ps-sync: {colocate: true}", "set": {"cluster.workers": 1}},
            "network had no effect: no message crosses a link",
        ),
    ],
)
def test_a_setting_without_effect_is_reported(compared, arguments, setting):
    assert any(note.startswith(setting) for note in compared(**arguments).notes)


@pytest.mark.parametrize(
    ("strategy", "option"),
    [
        ("ps-sync: {placement: round_robin}", "placement"),
        ("ps-sync: {servers: 2, slice_bytes: 1 kB}", "slice_bytes"),
        ("ps-sync: {placement: balanced, slice_bytes: 1 kB}", "slice_bytes"),
        ("ps-sync: {servers: 2, pull_from: all}", "pull_from"),
        ("ps-sync: {pull_from: all, placement: replicated}", "pull_from"),
        ("ps-sync: {payload: gradient}", "payload"),
        ("allreduce: {bucket: 1 GB}", "bucket"),
        ("ps-sync: {servers: 2, local_merge: true}", "local_merge"),
        ("allreduce: {algorithm: hierarchical}", "algorithm"),
        ("pipeline: {stages: 1, microbatches: 4}", "microbatches"),
    ],
)
def test_an_option_without_effect_is_reported_and_has_none(compared, strategy, option):
    result = compared(strategies=strategy)
    (row,) = result.rows
    assert any(f"strategies[{row.name}].{option} had no effect" in note for note in result.notes)
    kind, options = strategy.split(": ", 1)
    kept = [part for part in options.strip("{}").split(", ") if not part.startswith(option)]
    without = compared(strategies=f"{kind}: {{{', '.join(kept)}}}")
    assert without.rows[0].step_s == row.step_s


@pytest.mark.parametrize(
    "strategy",
    [
        "ps-sync: {servers: 2, slice_bytes: 1 MB, overlap: true}",
        "ps-sync: {servers: 2, slice_bytes: 1 MB, placement: round_robin}",
        "pipeline: {microbatches: 4}",
    ],
)
def test_an_option_with_effect_is_not_reported(compared, strategy):
    assert compared(strategies=strategy).notes == ()


def test_settings_with_effect_are_not_reported(compared):
    result = compared(
        strategies="ps-sync, ps-async, allreduce",
        cluster=", server: {add_rate: 1 GB/s, threads: 2}",
        network=", server_bandwidth: 1 Gbit/s, sharing: fifo",
        run=", stagger: none, collectives: closed_form",
    )
    assert result.notes == ()


def test_what_had_no_effect_really_changes_no_figure(compared):
    """The other way round: each of these notes is about a setting that may be left out."""
    plain = compared(strategies="ps-sync, allreduce")
    for change in ({"run.stagger": "none"}, {"run.seed": 5}, {"cluster.server.threads": 3}):
        changed = compared(strategies="ps-sync, allreduce", set=change)
        assert changed.notes
        assert [row.step_s for row in changed.rows] == [row.step_s for row in plain.rows]


def test_lockstep_is_said_and_is_as_slow_as_synchronous(compared):
    result = compared(strategies="ps-sync, ps-async", run=", stagger: none")
    assert "lockstep" in " ".join(result["ps-async"].notes)
    assert result["ps-async"].step_s == pytest.approx(result["ps-sync"].step_s, rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("factor", [1.3, 2.0, 3.7])
def test_figures_of_a_few_gradients_are_as_far_off_as_is_said_at_most(scene, steps, factor):
    """Workers that never meet: each goes round in its own time; together they do the sum of their paces."""
    straggler = {"stragglers": [{"worker": 2, "factor": factor}]}
    scenario = scene(
        "ps-async",
        workers=3,
        layers=((1.0, 2.0, 1, 0.0),),
        bandwidth=1e12,
        run={"steps": steps},
        variation=straggler,
    )
    row = simpar.compare(scenario, advise=False)["ps-async"]
    pace = row.samples_per_s / (2 / 3.0 + 1 / (3.0 * factor))
    said = [re.search(r"over (\d+) gradients? only, .* by up to (\d+) %", note) for note in row.notes]
    bounds = [(int(found[1]), int(found[2])) for found in said if found]
    bound = bounds[0][1] + 0.5 if bounds else 4.0  # what is said is rounded
    assert abs(1 / pace - 1) <= bound / 100
    assert all(bound == round(100 * 2 / gradients) for gradients, bound in bounds)
    assert bounds or steps >= 8


@pytest.mark.parametrize("kind", ["ps-async", "ps-ssp"])
def test_asynchronous_figures_of_few_updates_are_called_an_estimate(scene, kind):
    for sharing, steps in (("fifo", 1), ("fifo", 2), ("fair", 1)):
        scenario = scene(kind, workers=4, sharing=sharing, run={"steps": steps, "warmup": 0})
        (row,) = simpar.compare(scenario, advise=False).rows
        assert any("only, so its figures are an estimate" in note for note in row.notes)
        assert not any("1 gradients" in note for note in row.notes)
    many = simpar.compare(scene(kind, workers=4, run={"steps": 40}), advise=False).rows[0]
    assert not any("an estimate" in note for note in many.notes)


def test_when_workers_start_is_said_to_have_no_effect_only_where_it_has_none(scene):
    """Without parameters nobody waits for anybody, but the first step ends when the last starter is done."""

    def compared(**run):
        return simpar.compare(scene("ps-async", layers=((1.0, 2.0, 0, 0.0),), run=run), advise=False)

    for warmup, said in ((2, True), (0, False)):
        even, none = (compared(stagger=stagger, warmup=warmup, steps=2) for stagger in ("even", "none"))
        assert (even.rows[0].step_s == none.rows[0].step_s) is said
        notes = [note for note in none.notes if note.startswith("run.stagger")]
        assert notes == (
            ["run.stagger had no effect: nothing is pushed, so that nobody meets anybody"] * said
        )


def test_staleness_stands_beside_asynchronous_throughput(compared):
    row = compared(strategies="ps-async")["ps-async"]
    assert row.staleness.mean == 1.0
    assert any("1.0 updates old" in note for note in row.notes)


def test_servers_that_hold_nothing_are_said(compared):
    row = compared(strategies="ps-sync: {servers: 3, placement: round_robin}")["ps-sync"]
    assert "ps-sync: 2 of 3 servers hold nothing" in row.notes


def test_workers_without_a_stage_are_said(compared):
    row = compared(strategies="pipeline: {stages: 1, microbatches: 2}")["pipeline"]
    assert "pipeline: 1 of 2 workers has no stage" in row.notes


def test_what_tensor_parallelism_leaves_idle_or_does_everywhere_is_said(scene):
    """Of 3 s a sample in a convolution and 6 s in a linear layer, the convolution is a third: 9 s of 3."""
    layer = {"forward": "1 s", "backward": "2 s", "activation": "8 B"}
    twice = {"forward": "2 s", "backward": "4 s", "activation": "8 B", "parameters": 2}
    layers = [{"name": "a", "kind": "conv"} | layer, {"name": "b", "kind": "linear"} | twice]
    row = simpar.compare(scene({"tensor": {"devices": 2}}, model={"layers": layers}, workers=3))["tensor"]
    assert row.label == "tensor, 2 devices"
    assert "tensor: 1 of 3 workers has no share" in row.notes
    said = (
        "tensor: every device computes all layers that are not cut, 33 % of the model's compute (9 s a step)"
    )
    assert said in row.notes


def test_times_of_another_batch_are_said_to_be_scaled(tmp_path):
    file = tmp_path / "scaled.yaml"
    file.write_text(
        "name: scaled\nmodel: {preset: resnet-50, batch: 32}\n"
        "cluster: {workers: 1, device: {forward: 60 ms, backward: 120 ms, batch: 64}}\nstrategies: [single]\n"
    )
    result = simpar.compare(file)
    assert result["single"].step_s == pytest.approx(0.09, rel=1e-12)
    assert any("batch 64" in note and "batch 32" in note for note in result.notes)


def test_who_predicts_is_not_compared_with_who_trains(compared):
    said = " ".join(compared("replicated, ensemble, hosted").notes)
    assert "not to be compared: replicated, ensemble only predict, and the others train" in said
    assert "only predict" not in " ".join(compared("replicated, ensemble").notes)
    assert "only predict" not in " ".join(compared("hosted, ps-sync").notes)


def test_rates_of_the_host_that_prediction_leaves_nothing_to_do_are_named(compared):
    rates = ", server: {add_rate: 1 GB/s, update_rate: 1 GB/s}"
    update = "cluster.server.update_rate had no effect: nothing is updated"
    add = "cluster.server.add_rate had no effect: outputs are put one after another, not added up"
    for strategies, wanted in (
        ("replicated", {update, add}),
        ("replicated, ensemble", {update}),
        ("hosted", set()),
        ("hosted, replicated", set()),
    ):
        notes = compared(strategies, cluster=rates).notes
        assert {note for note in notes if note.startswith("cluster.server")} == wanted, strategies


def test_the_ways_of_combining_outputs_take_equally_long(compared):
    notes = compared("{replicated: {combine: concat}}, {ensemble: {combine: vote}}").notes
    assert "strategies[replicated].combine had no effect: there is no other way" in notes
    assert "strategies[ensemble].combine had no effect: all ways take equally long" in notes


@pytest.mark.parametrize("kind", ["hosted", "replicated"])
def test_the_link_of_a_host_is_that_of_a_server(compared, kind):
    found = compared(kind, network=", server_bandwidth: 1 Gbit/s")
    assert not [note for note in found.notes if "server_bandwidth" in note]
    assert found[kind].step_s > compared(kind)[kind].step_s


def test_outputs_without_bytes_are_named(compared):
    """BASE says nothing of the activation of its last layer, b."""
    wanted = "ensemble: outputs of b have no bytes, as its activation is not given"
    assert wanted in compared("ensemble").notes
    layers = [{"name": "a", "flops": "1 GFLOP", "activation": "8 MB"}]
    assert "no bytes" not in " ".join(compared("ensemble", set={"model.layers": layers}).notes)
