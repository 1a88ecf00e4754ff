"""S3: copies of a model that predict, with the same parameters (replicated) or with their own (ensemble)."""

from dataclasses import replace

import numpy as np
import pytest
from plain_training import Sgd
from replay_lab import LAB

import simpar
from simpar.execute.data_sets import DATA_SETS
from simpar.execute.replay import replay
from simpar.result.traffic import account
from simpar.simulate import simulate

N, OUT, RATE_B, ALPHA = 4000.0, 500.0, 1000.0, 0.25
"""Bytes of the parameters and of a record's output, bytes per second of a link, its latency in seconds."""

KINDS = [
    "replicated",
    {"ensemble": {"combine": "mean"}},
    {"ensemble": {"combine": "sum"}},
    {"ensemble": {"combine": "vote"}},
]


def predicting(scene, strategy, **numbers):
    """Return a scenario of one layer: 1 s forward for a worker's batch, 4000 bytes of parameters."""
    batch = numbers.setdefault("batch", 1)
    layers = ((1.0, 2.0, 1000, OUT * batch),)
    return scene(strategy, **({"layers": layers, "bandwidth": RATE_B, "latency": ALPHA} | numbers))


def members(worker):
    """Return the parameters of one replica, which are no other's."""
    return LAB.model.init(100 + worker)


def perform(strategy, workers, source=LAB.source, steps=2, slow=False, given=members):
    """Simulate a strategy and carry it out, *slow* with every worker slower than the one after it."""
    scenario = LAB.scenario(strategy, workers=workers, steps=steps)
    program = simpar.compile(scenario, scenario.strategies[0].name)
    if slow:
        forwards = {task: op.worker for task, op in enumerate(program.ops) if op.kind == "forward"}
        takes = {task: np.full(steps, 0.1 * (workers - worker)) for task, worker in forwards.items()}
        program = replace(program, durations=takes)
    trace = simulate(program)
    return replay(trace, LAB.model, LAB.parameters, source, lambda: Sgd(0.1), members=given)


def outputs(parameters, first, count):
    """Return what one model alone makes of records of the stream."""
    return LAB.model.forward(parameters, LAB.source(first, count)[0])[0]


# -- replicated ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_s3c_after_synchronisation_all_replicas_are_equal_to_the_last_bit(agree, workers):
    """They begin with parameters of their own, and end with those of the host."""
    assert (members(0)[0] != members(1)[0]).any()
    found = perform("replicated", workers)
    assert sorted(found.replicas) == list(range(workers))
    off = max(
        np.abs(mine - host).max()
        for held in found.replicas.values()
        for mine, host in zip(held, LAB.parameters, strict=True)
    )
    agree("largest difference from the host's", off, 0.0)


@pytest.mark.parametrize("strategy", KINDS)
def test_s3c_a_device_holds_the_full_model_and_what_its_forward_pass_needs(scene, agree, strategy):
    """Layers of 100, 300 and 50 bytes of output: the second holds 100 + 300 at once, the third 300 + 50."""
    layers = ((1.0, 2.0, 1000, 200.0), (1.0, 2.0, 500, 600.0), (1.0, 2.0, 0, 100.0))
    program = simpar.compile(scene(strategy, layers=layers, workers=3, batch=2), _name(strategy))
    memory = program.meta["memory"]
    records = 2 if strategy == "replicated" else 3 * 2
    agree("parameters, bytes", memory["parameters_bytes"], 6000.0)
    agree("activations, bytes", memory["activations_bytes"], records * 400.0)
    agree("whole, bytes", program.meta["memory_bytes"], 6000.0 + records * 400.0)


def _name(strategy):
    return strategy if isinstance(strategy, str) else next(iter(strategy))


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_s3d_outputs_are_put_together_in_the_order_of_the_records(agree, workers, slow):
    """Also where the first worker's arrive last."""
    found = perform("replicated", workers, slow=slow)
    whole = workers * LAB.BATCH
    assert [one.first for one in found.predictions] == [0, whole]
    for one in found.predictions:
        wanted = np.concatenate(
            [outputs(LAB.parameters, one.first + w * LAB.BATCH, LAB.BATCH) for w in range(workers)]
        )
        agree("largest difference", np.abs(one.values - wanted).max(), 0.0)


@pytest.mark.parametrize("word", ["mean", "sum", "vote"])
def test_s3d_copies_that_agree_are_combined_in_no_other_way(scene, word):
    with pytest.raises(simpar.InputError, match=r"copies agree.*write concat, or take an ensemble"):
        scene({"replicated": {"combine": word}})
    assert scene({"replicated": {"combine": "concat"}}).strategies[0].options.combine == "concat"


# -- bytes and time ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("strategy", KINDS)
def test_s3e_parameters_travel_in_replicated_only_and_outputs_in_both(scene, agree, strategy, workers):
    program = simpar.compile(predicting(scene, strategy, workers=workers, batch=3), _name(strategy))
    sent = account(program)
    synchronised = strategy == "replicated"
    agree("parameters, bytes", sent.parameters_bytes, workers * N if synchronised else 0.0)
    records = 3 * workers if synchronised else workers * 3 * workers
    agree("outputs, bytes", sent.activations_bytes, records * OUT)
    assert sent.samples == 3 * workers


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_s3e_a_step_is_synchronisation_and_forward_and_gathering(scene, measure, agree, workers, sharing):
    """Of replicas; with the host's link as fast as the others it is the bottleneck of both transfers.

    Served one at a time, each 4 s after the one before, each has sent its output of 1 s before the next does:
    only the last one's is waited for.
    """
    found = measure(predicting(scene, "replicated", workers=workers, batch=2, sharing=sharing))
    sync = ALPHA + workers * N / RATE_B
    gather = ALPHA + (workers if sharing == "fair" else 1) * 2 * OUT / RATE_B
    agree("step, s", found.step_s, sync + 1.0 + gather)


@pytest.mark.parametrize("host", [500.0, 2000.0, 100_000.0])
def test_s3e_the_slower_of_the_hosts_link_and_the_devices_sets_both_transfers(scene, measure, agree, host):
    found = measure(predicting(scene, "replicated", workers=4, server_bandwidth=host))
    sync = ALPHA + max(N / RATE_B, 4 * N / host)
    gather = ALPHA + max(OUT / RATE_B, 4 * OUT / host)
    agree("step, s", found.step_s, sync + 1.0 + gather)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("server", [None, {"add_rate": 8000.0, "overhead": 0.5}])
def test_s3e_an_ensemble_computes_all_records_everywhere_and_synchronises_nothing(
    scene, measure, agree, workers, server
):
    """A batch of 1 s for each worker; every output of every record goes to the host, which adds them up."""
    scenario = predicting(scene, {"ensemble": {"combine": "sum"}}, workers=workers, batch=2, server=server)
    sent = workers * (2 * workers) * OUT
    combining = 0.0 if server is None else 0.5 + sent / 8000.0
    agree("step, s", measure(scenario).step_s, workers * 1.0 + ALPHA + sent / RATE_B + combining)


def test_s3e_putting_outputs_one_after_another_adds_nothing_up(scene, measure, agree):
    """The host takes them up, in half a second; its rate of adding does not matter."""
    server = {"add_rate": 1.0, "overhead": 0.5}
    found = measure(predicting(scene, "replicated", workers=2, server=server))
    agree("step, s", found.step_s, 2 * ALPHA + (2 * N + 2 * OUT) / RATE_B + 1.0 + 0.5)


@pytest.mark.parametrize(("strategy", "records"), [("replicated", 1), ("ensemble", 3)])
def test_s3e_devices_read_the_records_that_they_predict(scene, measure, agree, strategy, records):
    """Three devices, each with room for one batch: they read 100 B a record at 400 B/s, then compute."""
    layers = ((0.25, 2.0, 0, 0.0),)
    scenario = scene(strategy, layers=layers, workers=3, data=(100.0, 400.0, 1), bandwidth=1e6)
    agree("step, s", measure(scenario).step_s, 3 * records * 100.0 / 400.0 + records * 0.25)


def test_s3e_the_slowest_device_sets_the_forward_pass(scene, measure, agree):
    scenario = predicting(scene, "replicated", workers=3, speed=(1.0, 0.5, 0.8), latency=0.0)
    found = measure(scenario).step_s
    # The others' outputs, of 0.5 s each, are through long before the slowest begins to send its own.
    agree("step, s", found, 3 * N / RATE_B + 1.0 / 0.5 + OUT / RATE_B)


def test_s3e_speedup_is_over_one_device_that_predicts(scene, agree):
    """No bytes: three devices predict three times as fast as one; an ensemble no faster."""
    layers = ((1.0, 2.0, 0, 0.0),)
    rows = simpar.compare(scene("replicated", "ensemble", layers=layers, workers=3, batch=2))
    agree("speedup of replicas", rows["replicated"].speedup, 3.0)
    agree("speedup of an ensemble", rows["ensemble"].speedup, 1.0)


# -- ensembles -----------------------------------------------------------------------------------------


def reduced(rows, how):
    """Return the mean, the sum or the vote of k models' outputs: [k, records, classes]."""
    rows = np.stack(rows)
    if how == "vote":
        firsts = rows.argmax(axis=-1)
        return np.array([np.bincount(one, minlength=rows.shape[-1]).argmax() for one in firsts.T])
    return rows.mean(axis=0) if how == "mean" else rows.sum(axis=0)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("how", ["mean", "sum", "vote"])
def test_s3f_an_ensemble_is_the_reduction_over_models_run_apart(agree, how, workers, slow):
    found = perform({"ensemble": {"combine": how}}, workers, slow=slow)
    whole = workers * LAB.BATCH
    assert len(found.predictions) == 2
    for one in found.predictions:
        rows = [outputs(members(worker), one.first, whole) for worker in range(workers)]
        wanted = reduced(rows, how)
        assert one.values.shape == wanted.shape
        agree("largest difference", np.abs(one.values - wanted).max(), 0.0, abs=1e-12)


def test_s3f_members_keep_their_parameters_and_disagree():
    found = perform({"ensemble": {"combine": "vote"}}, 4)
    for worker, held in found.replicas.items():
        assert all((a == b).all() for a, b in zip(held, members(worker), strict=True))
    rows = [outputs(members(worker), 0, 12).argmax(axis=-1) for worker in range(4)]
    assert any((rows[0] != row).any() for row in rows[1:]), "voters that agree would prove nothing"


def test_s3f_of_classes_with_as_many_votes_the_first_is_taken():
    rows = [outputs(members(worker), 0, 6).argmax(axis=-1) for worker in range(2)]
    assert (rows[0] != rows[1]).any()
    found = perform({"ensemble": {"combine": "vote"}}, 2, steps=1)
    assert (found.predictions[0].values == np.minimum(*rows)).all()


def test_s3f_without_parameters_of_their_own_members_are_refused():
    with pytest.raises(simpar.ProgramError, match="workers' parameters are not given"):
        perform("ensemble", 2, given=None)


def test_s3f_an_ensemble_does_not_put_the_same_records_one_after_another(scene):
    with pytest.raises(simpar.InputError, match=r"every device predicts all.*write mean, sum or vote"):
        scene({"ensemble": {"combine": "concat"}})


@pytest.mark.parametrize(
    ("model", "data"),
    [
        ({"preset": "mlp", "shape": {"sizes": [10, 4, 3]}}, {"set": "regression"}),
        ({"preset": "mlp", "shape": {"sizes": [10, 4, 1]}}, {}),
        ({"layers": [{"name": "l0", "flops": "1 GFLOP", "activation": "12 B"}]}, {}),
    ],
)
def test_s3f_a_vote_needs_classes(model, data):
    """Figures have none, and of one output there is no other; 12 bytes are 3 samples' of one float32."""
    scenario = LAB.scenario(
        {"ensemble": {"combine": "vote"}}, model=model | {"batch": 3, "learning_rate": 0.1}, data=data
    )
    with pytest.raises(simpar.InputError, match=r"strategies\[0\].combine.*needs classes.*write mean or sum"):
        simpar.compare(scenario)
    assert simpar.compile(
        LAB.scenario({"ensemble": {"combine": "mean"}}, model=model | {"batch": 3}), "ensemble"
    )


REGRESSION = {
    "model": {"preset": "mlp", "shape": {"sizes": [10, 4, 1]}, "batch": 50, "dtype": "float64"},
    "data": {"set": "regression"},
}


def drawn(seed):
    """Return parameters of a perceptron 10-4-1 by He et al.: normal, of variance 2 / inputs; biases 0."""
    rng = np.random.default_rng(seed)
    first = rng.normal(0.0, np.sqrt(2 / 10), (4, 10))
    return first, np.zeros(4), rng.normal(0.0, np.sqrt(2 / 4), (1, 4)), np.zeros(1)


def plain(parameters, x):
    first, bias, second, bias_2 = parameters
    return np.maximum(x @ first.T + bias, 0) @ second.T + bias_2


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_s3f_replica_j_begins_with_parameters_drawn_from_the_seed_and_j(agree, how):
    scenario = LAB.scenario({"ensemble": {"combine": how}}, workers=3, run={"seed": 7}, **REGRESSION)
    found = simpar.predict(scenario)
    inputs = DATA_SETS["regression"]().inputs
    wanted = reduced([plain(drawn((7, replica)), inputs) for replica in range(3)], how)
    assert found.values.shape == wanted.shape == (960, 1)
    agree("largest difference", np.abs(found.values - wanted).max(), 0.0, abs=1e-12)


def test_s3d_replicas_predict_all_records_of_the_data_in_their_order(agree):
    """960 records are 6.4 steps of 150: what the last step takes again from the beginning does not count."""
    found = simpar.predict(LAB.scenario("replicated", workers=3, run={"seed": 7}, **REGRESSION))
    data = DATA_SETS["regression"]()
    wanted = plain(drawn(7), data.inputs)
    assert found.values.shape == wanted.shape
    agree("largest difference", np.abs(found.values - wanted).max(), 0.0, abs=1e-12)
    assert (found.targets == data.targets[:960]).all()
    assert found.accuracy is None


def test_s3f_who_predicts_is_not_trained_and_who_trains_does_not_predict():
    scenario = LAB.scenario("replicated", "ps-sync", **REGRESSION)
    with pytest.raises(simpar.InputError, match="replicated predicts and learns nothing; name those that"):
        simpar.replay(scenario)
    with pytest.raises(simpar.InputError, match="ps-sync trains and predicts nothing"):
        simpar.predict(scenario, "ps-sync")
    with pytest.raises(simpar.InputError, match="no strategy predicts; write one of: ensemble, replicated"):
        simpar.predict(LAB.scenario("ps-sync", **REGRESSION))
