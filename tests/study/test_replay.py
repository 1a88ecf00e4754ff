"""What strategies learn: digits with stale gradients and without, and everything that is refused."""

import json
import math

import pytest

import simpar
from simpar.errors import FitError, InputError
from simpar.execute import data_sets
from simpar.study import replay as module
from simpar.study.replay import replay

DIGITS = "scenarios/digits.yaml"

REGRESSION = {
    "name": "line",
    "model": {
        "preset": "mlp",
        "shape": {"sizes": [10, 1]},
        "batch": 5,
        "optimizer": "sgd",
        "learning_rate": 0.05,
    },
    "data": {"set": "regression"},
    "cluster": {"workers": 3, "device": {"flops": "1 MFLOP/s"}},
    "network": {"bandwidth": "1 MB/s", "latency": "10 us"},
    "strategies": ["ps-sync", {"ps-async": {"servers": 2}}, "allreduce"],
    "run": {"epochs": 3},
}


@pytest.fixture(scope="module")
def digits():
    """Return a function that replays the shipped scenario with other settings, once for each."""
    pytest.importorskip("sklearn", reason="the digits need: pip install '.[data]'")
    found = {}

    def run(*names, **settings):
        key = names, tuple(sorted(settings.items()))
        if key not in found:
            changed = {path.replace("__", "."): value for path, value in settings.items()}
            found[key] = replay(DIGITS, names, set=changed)
        return found[key]

    return run


@pytest.mark.parametrize(("workers", "learns"), [(1, True), (5, True), (17, False), (65, False)])
def test_a_few_stale_updates_do_no_harm_and_many_are_fatal(digits, workers, learns):
    """Of batches of 32 at a rate of 0.2, gradients that miss 4 updates learn, those that miss 16 do not.

    Of the same net with gradients that were simply put off by so many updates, in plain NumPy, 95 %, 13 % and
    11 % are right after 12 epochs.
    """
    alone = {"strategies": "[ps-async]", "cluster__workers": workers, "model__batch": 32}
    row = digits("ps-async", **alone)["ps-async"]
    if workers > 1:
        assert row.staleness.mean == pytest.approx(workers - 1, rel=0.02)
    assert (row.accuracy >= 0.9) == learns
    assert (row.accuracy <= 0.5) == (not learns)


@pytest.mark.parametrize("name", ["ps-sync", "allreduce", "pipeline"])
def test_synchronous_training_reads_digits_on_four_devices(digits, name):
    row = digits("ps-sync", "allreduce", "pipeline", cluster__workers=4)[name]
    assert row.accuracy >= 0.95
    assert row.reaches_s(0.95) < row.time_s
    assert row.staleness is None


CNN = "{image: [1, 8, 8], channels: [8, 16], sizes: [10]}"


def test_a_convolutional_net_learns_to_read_digits_however_it_is_cut(digits):
    net = f"{{preset: cnn, shape: {CNN}, batch: 8, optimizer: sgd, learning_rate: 0.2}}"
    rows = digits("ps-sync", "pipeline", cluster__workers=4, run__epochs=10, model=net)
    assert rows["ps-sync"].accuracy >= 0.95
    for one, other in zip(rows["ps-sync"].points, rows["pipeline"].points, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)


def test_synchronous_strategies_differ_in_time_only(digits):
    rows = digits("ps-sync", "allreduce", "pipeline", cluster__workers=4).rows
    for row in rows[1:]:
        assert [point.samples for point in row.points] == [point.samples for point in rows[0].points]
        for one, other in zip(row.points, rows[0].points, strict=True):
            assert one.loss == pytest.approx(other.loss, rel=1e-3)
    assert len({row.time_s for row in rows}) == 3


def test_softsync_makes_gradients_as_stale_as_its_number_says_and_they_learn(digits):
    """(W - 1) / c updates, with c = 4 pushes an update of 16 workers."""
    row = digits("softsync")["softsync"]
    assert row.staleness.mean == pytest.approx(15 / 4, rel=0.05)
    assert row.accuracy >= 0.9


def test_the_shipped_scenario_says_what_its_comments_say(digits):
    assert digits("ps-async")["ps-async"].accuracy <= 0.5
    assert digits("ps-async", cluster__workers=4)["ps-async"].accuracy >= 0.95
    assert digits("ps-async", model__learning_rate=0.05)["ps-async"].accuracy >= 0.95


# -- without any data set to install ---------------------------------------------------------------


def changed(**settings):
    return {path.replace("__", "."): value for path, value in settings.items()}


def test_workers_together_learn_as_one_device_with_all_their_samples():
    many = replay(REGRESSION, ["ps-sync"], set=changed(model__dtype="float64"))
    alone = changed(model__dtype="float64", cluster__workers=1, model__batch=15)
    one = replay(REGRESSION, ["ps-sync"], set=alone)
    assert len(many.rows[0].points) == len(one.rows[0].points) > 4
    for some, other in zip(many.rows[0].points, one.rows[0].points, strict=True):
        assert some.samples == other.samples
        assert some.loss == pytest.approx(other.loss, rel=1e-12)
        if some.training_loss is not None:
            assert some.training_loss == pytest.approx(other.training_loss, rel=1e-12)


def test_time_is_that_of_the_simulated_steps():
    row = replay(REGRESSION, ["ps-sync"])["ps-sync"]
    step_s = simpar.compare(REGRESSION)["ps-sync"].step_s
    assert row.time_s == pytest.approx(row.updates * step_s, abs=1.01 * step_s)


def test_it_ends_with_the_last_sample_of_the_last_epoch():
    result = replay(REGRESSION, epochs=2)
    records = result.facts["records"]
    for row in result.rows:
        assert 2 * records <= row.samples < 2 * records + 15
        assert row.points[0].samples == 0
        assert row.points[-1].samples == row.samples
        assert row.points[-1].time_s == row.time_s
    assert result["ps-async"].updates == math.ceil(2 * records / 5)
    assert result["ps-sync"].updates == math.ceil(2 * records / 15)


@pytest.mark.parametrize("speed", [[1, 1, 0.1], [1, 0.5, 0.4]])
def test_fast_workers_go_on_until_the_end(speed):
    scenario = simpar.load(REGRESSION, set={"cluster.speed": str(speed)})
    row = replay(scenario, ["ps-async"])["ps-async"]
    trace = module.trace_of(scenario, scenario.strategy("ps-async"), int(row.samples))
    fastest = trace.program.task("w0.backward")
    assert trace.end_s[trace.row(fastest, trace.program.iterations - 1)] >= row.time_s


def test_the_same_scenario_gives_the_same_figures_and_another_seed_others():
    some, again = (replay(REGRESSION, epochs=1).to_dict() for _ in range(2))
    assert some == again
    other = replay(REGRESSION, epochs=1, set={"run.seed": 1}).to_dict()
    assert other["strategies"][0]["loss"] != some["strategies"][0]["loss"]


def test_what_is_printed_for_programs():
    result = replay(REGRESSION, ["ps-async"], epochs=1)
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["schema"] == 1
    (row,) = found["strategies"]
    assert row["points"][0]["training_loss"] is None
    assert row["accuracy_frac"] is None
    assert [point["step"] for point in row["points"]] == [
        pytest.approx(point.samples / 15) for point in result.rows[0].points
    ]
    assert row["points"][-1]["epoch"] == pytest.approx(1, abs=0.1)
    lines = result.to_csv().splitlines()
    assert lines[0] == "strategy,time_s,step,epoch,training_loss,loss,accuracy_frac"
    assert len(lines) == 1 + len(row["points"])
    assert lines[1].startswith("ps-async,0.0,0.0,0.0,,")


def test_only_the_first_records_are_trained_on_where_fewer_are_asked_for():
    result = replay(REGRESSION, ["ps-sync"], epochs=1, set={"data.records": 30})
    assert result.facts["records"] == 30
    assert result["ps-sync"].samples == 30


def test_a_transformer_learns_the_same_whichever_way_it_is_cut():
    """Cuts go through blocks, where what is added again crosses them, too."""
    scenario = {
        "name": "text",
        "model": {
            "preset": "gpt",
            "shape": {
                "layers": 2,
                "hidden": 16,
                "heads": 2,
                "vocab": data_sets.characters().outputs,
                "positions": 32,
                "tied": False,
            },
            "seq": 32,
            "batch": 4,
            "optimizer": "adam",
            "learning_rate": 0.01,
            "dtype": "float64",
        },
        "data": {"set": "characters", "records": 96},
        "cluster": {"workers": 3, "device": {"flops": "1 GFLOP/s"}},
        "network": {"bandwidth": "100 MB/s"},
        "strategies": [
            "single",
            {"ps-sync": {"servers": 2, "overlap": True}},
            {"allreduce": {"overlap": True, "bucket": "8 kB"}},
            {"pipeline": {"stages": 3, "microbatches": 5}},
            {"pipeline": {"stages": 3, "schedule": "1f1b"}},
        ],
        "run": {"epochs": 2},
    }
    alone, *others = replay(scenario).rows
    assert alone.loss < 0.9 * alone.points[0].loss
    for row in others:
        assert row.loss == pytest.approx(alone.loss, rel=1e-9)
        assert row.accuracy == alone.accuracy


# -- refused -----------------------------------------------------------------------------------------


def refused(**settings):
    with pytest.raises(InputError) as error:
        replay(REGRESSION, set=changed(**settings))
    assert all("\n" not in str(problem) for problem in error.value.problems)
    return "\n".join(map(str, error.value.problems))


def without(section, key):
    return REGRESSION | {section: {name: value for name, value in REGRESSION[section].items() if name != key}}


def test_nothing_to_train_on_and_no_rate_are_said_at_once():
    scenario = without("data", "set") | {"model": without("model", "learning_rate")["model"]}
    with pytest.raises(InputError) as error:
        replay(scenario)
    said = [str(problem) for problem in error.value.problems]
    assert len(said) == 2
    assert any("data: " in one and "write 'set: digits'" in one for one in said)
    assert any("model: " in one and "learning_rate: 0.1" in one for one in said)


def test_a_model_that_does_not_fit_the_data_is_refused():
    assert "model" in refused(model__shape__sizes="[9, 1]")
    assert "model" in refused(model__shape__sizes="[10, 2]")


def test_a_model_that_cannot_be_trained_is_refused_by_its_layer():
    said = refused(model="{preset: inception-v3, batch: 4, learning_rate: 0.1}")
    assert said.count("\n") == 0
    assert "is an average of padded windows, which cannot be trained yet" in said


def test_a_model_without_a_shape_that_reads_larger_samples_is_refused_in_one_line():
    said = refused(model="{preset: resnet-50, batch: 4, learning_rate: 0.1}")
    assert said.count("\n") == 0
    assert "model.preset: conv1 reads 150,528 numbers of a sample, and regression has 10" in said
    assert "write mlp, with 'shape: {sizes: [10, ..., 1]}'" in said


def test_an_image_of_another_size_is_refused():
    shape = "{image: [1, 3, 3], channels: [2], sizes: [1]}"
    said = refused(model=f"{{preset: cnn, shape: {shape}, batch: 4, learning_rate: 0.1}}")
    assert "model.shape: conv1 reads 9 numbers of a sample, and regression has 10 numbers" in said
    assert "write an image of 10 numbers in all" in said


def test_more_records_than_there_are_is_refused():
    assert "data.records" in refused(data__records="1000000")


def test_a_type_that_numpy_does_not_have_is_refused():
    assert "model.dtype: " in refused(model__dtype="bfloat16")


def test_training_that_diverges_is_one_line_with_strategy_step_and_task():
    said = refused(model__learning_rate="1000", strategies="[{ps-async: {name: free}}]", run__epochs="20")
    assert "model.learning_rate: free: the loss of " in said
    assert "in iteration" in said
    assert "try a smaller one" in said


def test_what_does_not_fit_in_memory_is_not_trained_either():
    with pytest.raises(FitError, match=r"strategies\[0\]: ps-sync does not fit: it needs"):
        replay(REGRESSION, set={"cluster.device.memory": "100 B"})


def test_an_unknown_strategy_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'ps-async'"):
        replay(REGRESSION, ["ps-asinc"])


def test_epochs_that_would_take_hours_are_refused_at_once():
    assert "too many to simulate" in refused(run__epochs="100000")


def test_losses_fall_towards_the_known_optimum():
    """That of the normal equations, of the same data."""
    data = data_sets.regression()
    weight, bias = data_sets.least_squares(data)
    off = data.test_inputs @ weight.T + bias - data.test_targets
    best = 0.5 * float((off**2).mean())
    row = replay(REGRESSION, ["ps-sync"], epochs=20)["ps-sync"]
    assert row.loss == pytest.approx(best, rel=0.1)
    assert row.points[0].loss > 100 * best
