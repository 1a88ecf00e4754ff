"""S10: cutting the data into slices saves traffic of data, not of parameters; both are counted."""

import dataclasses
import json

import pytest

import simpar
from simpar.result.traffic import account, as_heavy
from simpar.show import table_more
from simpar.study import more

LAYERS = ((1.0, 2.0, 1000, 40.0), (1.0, 2.0, 500, 8.0))
N = 6000.0  # bytes of the parameters, 4 each
RECORD = 50.0


def traffic(scene, strategy, **numbers):
    scenario = scene(strategy, **({"layers": LAYERS, "batch": 4} | numbers))
    return account(simpar.compile(scenario, scenario.strategies[0].name))


def explained(scene, records, **numbers):
    """Return what ``explain --more`` finds out where so many records are known."""
    scenario = scene("ps-sync", layers=LAYERS, batch=4, data=(RECORD, 1e6, 2), **numbers)
    data = scenario.data.model_copy(update={"records": records})
    return more.look_further(simpar.explain(dataclasses.replace(scenario, data=data), "ps-sync"))


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize("kind", ["ps-sync", "ps-async", "ps-ssp"])
def test_s10b_servers_cost_two_messages_of_all_parameters_a_worker_however_many(
    scene, agree, kind, workers, servers
):
    found = traffic(scene, {kind: {"servers": servers}}, workers=workers)
    agree("parameters and gradients a step, B", found.parameters_bytes, 2 * workers * N)
    assert (found.activations_bytes, found.data_bytes) == (0.0, 0.0)
    assert found.samples == 4 * workers


@pytest.mark.parametrize("algorithm", ["ring", "tree", "direct"])
@pytest.mark.parametrize("workers", [2, 4, 5])
def test_s10b_an_all_reduce_costs_two_messages_of_all_parameters_a_worker_but_one(scene, algorithm, workers):
    found = traffic(scene, {"allreduce": {"algorithm": algorithm}}, workers=workers)
    assert found.parameters_bytes == pytest.approx(2 * (workers - 1) * N, rel=1e-12)


def test_s10b_recursive_doubling_sends_everything_in_every_round(scene):
    """3 rounds of 8 workers."""
    found = traffic(scene, {"allreduce": {"algorithm": "recursive-doubling"}}, workers=8)
    assert found.parameters_bytes == pytest.approx(8 * 3 * N, rel=1e-12)


def test_s10b_a_message_over_several_links_counts_once(scene):
    """With links that serve one message at a time, a message is a task a link."""
    found = traffic(scene, "ps-sync", workers=3, sharing="fifo", data=(RECORD, 1e6, 2))
    assert found.parameters_bytes == pytest.approx(2 * 3 * N, rel=1e-12)
    assert found.data_bytes == pytest.approx(3 * 4 * RECORD, rel=1e-12)


def test_s10b_a_pipeline_sends_activations_and_no_parameters(scene):
    """Of 4 samples 40 B cross the one cut, and as much comes back; a step has 2 x 4."""
    found = traffic(scene, {"pipeline": {"microbatches": 4}}, workers=2)
    assert found.activations_bytes == pytest.approx(2 * 2 * 40.0, rel=1e-12)
    assert found.parameters_bytes == 0.0


def test_s10b_a_ring_that_is_not_written_out_counts_all_its_messages(scene, monkeypatch):
    from simpar.strategies import allreduce

    monkeypatch.setattr(allreduce, "MOST_WRITTEN_OUT", 1)
    scenario = scene("allreduce", layers=LAYERS, batch=4, workers=6)
    program = simpar.compile(scenario, "allreduce")
    assert program.folded > 0
    assert account(program).parameters_bytes == pytest.approx(2 * 5 * N, rel=1e-12)


def test_s10b_what_a_closed_form_would_send_is_not_told(scene):
    assert traffic(scene, "allreduce", workers=4, run={"collectives": "closed_form"}).parameters_bytes is None


def test_s10a_records_weigh_as_much_as_gradients_at_a_batch_of_parameters_over_record(agree):
    agree("batch at the crossover", as_heavy(N, RECORD), 120.0)


@pytest.mark.parametrize("batch", [60, 120, 240])
def test_s10a_on_either_side_of_that_batch_the_other_is_more_to_send(scene, agree, batch):
    found = traffic(scene, "ps-sync", workers=3, batch=batch, data=(RECORD, 1e6, 2))
    pushes = found.parameters_bytes / 2
    agree("data over gradients", found.data_bytes / pushes, batch / 120)


SENT = {"ps-sync": {"payload": "data"}}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch", [30, 60, 120, 240])
def test_s10a_servers_that_compute_are_sent_records_in_place_of_gradients(scene, agree, batch, workers):
    """Both ways in the account: W B r of data for W n of gradients, and the parameters come back."""
    numbers = {"workers": workers, "batch": batch, "data": (RECORD, 1e6, 2)}
    records, gradients = (traffic(scene, one, **numbers) for one in (SENT, "ps-sync"))
    read = workers * batch * RECORD  # by the workers, from the store
    agree("parameters that come back, B", records.parameters_bytes, workers * N)
    agree("gradients and parameters, B", gradients.parameters_bytes, 2 * workers * N)
    agree("records sent over gradients sent", (records.data_bytes - read) / (workers * N), batch / 120)


def test_s10a_a_sweep_over_the_batch_turns_where_records_weigh_as_much_as_parameters(scene, measure, agree):
    """One worker, whose compute is the server's: which way is the shorter step is up to bytes alone."""
    more = {}
    for batch in (30, 60, 119, 120, 121, 240, 480):
        numbers = {"layers": LAYERS, "batch": batch, "workers": 1}
        records = measure(scene(SENT, data=(RECORD,), **numbers)).step_s
        more[batch] = records - measure(scene("ps-sync", **numbers)).step_s
        agree("records' seconds more than gradients'", more[batch], (batch * RECORD - N) / 1000.0, abs=1e-9)
    assert max(more[30], more[60], more[119]) < 0 < min(more[121], more[240], more[480])
    agree("at the crossover, s", more[120], 0.0, abs=1e-9)


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("workers", [1, 3])
def test_s10b_parameters_an_epoch_fall_with_the_batch_and_data_do_not(scene, agree, batch, workers):
    """2 n (m / (W B)) W bytes of parameters, and m r of data."""
    records = 960
    found = traffic(scene, "ps-sync", workers=workers, batch=batch, data=(RECORD, 1e6, 2)).per_epoch(records)
    agree("parameters and gradients an epoch, B", found.parameters_bytes, 2 * N * records / batch)
    agree("data an epoch, B", found.data_bytes, records * RECORD)


def test_s10b_explain_more_shows_both_and_where_they_cross(scene):
    found = explained(scene, 960, workers=3)
    told = found.to_dict()
    assert told["traffic"] == {
        "parameters_bytes": pytest.approx(36_000.0),
        "activations_bytes": 0.0,
        "data_bytes": pytest.approx(600.0),
    }
    assert told["traffic_per_epoch"]["parameters_bytes"] == pytest.approx(2_880_000.0)
    assert told["traffic_per_epoch"]["data_bytes"] == pytest.approx(48_000.0)
    assert told["batch_as_heavy_as_gradients"] == 120.0
    json.dumps(told, allow_nan=False)
    lines = table_more.more(found).splitlines()
    at = next(i for i, line in enumerate(lines) if "all messages carry" in line)
    assert [line.split() for line in lines[at : at + 4]] == [
        ["all", "messages", "carry", "a", "step", "an", "epoch"],
        ["parameters", "and", "gradients", "36", "kB", "2.88", "MB"],
        ["data", "600", "B", "48", "kB"],
        ["120", "records", "of", "50", "B", "weigh", "as", "much", "as", "the", "gradients", "(now", "4)"],
    ]


def test_s10b_without_a_number_of_records_there_is_no_epoch(scene):
    found = more.look_further(simpar.explain(scene("ps-sync", layers=LAYERS), "ps-sync"))
    assert found.epoch is None
    assert found.to_dict()["traffic_per_epoch"] is None
    assert "an epoch" not in table_more.more(found)
