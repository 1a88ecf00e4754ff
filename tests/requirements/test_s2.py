"""S2, uniform splitting: what each device gets of the records, and what a rest costs."""

import math

import numpy as np
import pytest
from plain_training import Perceptron, Sgd, one_device

import simpar
from simpar.errors import InputError
from simpar.execute.replay import replay
from simpar.execute.sampling import Stream
from simpar.workload import splitting

SIZES = [(m, k) for m in (0, 1, 3, 4, 7, 8, 11, 100) for k in (1, 2, 3, 4, 7, 8)]
RATE = 0.1


def records(m, k, rule, device):
    """Return the records of one device, one by one."""
    runs = splitting.share(m, k, rule, device)
    return [run.first + turn * run.step for run in runs for turn in range(run.size)]


def scenario(workers, batch, split="balanced", strategies=("allreduce",), **more):
    return simpar.load(
        {
            "name": "split",
            "model": {
                "preset": "mlp",
                "shape": {"sizes": [7, 6, 5]},
                "global_batch": batch,
                "dtype": "float64",
            },
            "data": {"split": split},
            "cluster": {"workers": workers, "device": {"flops": "1 MFLOP/s"}},
            "network": {"bandwidth": "1 Pbit/s", "latency": "0 us"},
            "strategies": list(strategies),
            "run": {"steps": 4, "warmup": 0},
        }
        | more
    )


@pytest.mark.parametrize(("m", "k"), SIZES)
def test_s2a_balanced_shares_differ_by_one_and_are_numpys(m, k):
    wanted = np.array_split(np.arange(m), k)
    assert [records(m, k, "balanced", device) for device in range(k)] == [part.tolist() for part in wanted]
    size, left = divmod(m, k)
    assert splitting.shares(m, k, "balanced") == [size + 1] * left + [size] * (k - left)


@pytest.mark.parametrize(("m", "k"), SIZES)
def test_s2b_literal_slices_dealt_in_turn_come_to_the_same_totals(m, k):
    slices = splitting.literal(m, k)
    size, left = divmod(m, k)
    assert slices == [size] * k + [1] * left
    totals = [sum(slices[device::k]) for device in range(k)]
    assert totals == splitting.shares(m, k, "literal") == splitting.shares(m, k, "balanced")
    begins = np.concatenate([[0], np.cumsum(slices)])
    for device in range(k):
        wanted = [r for s in range(device, len(slices), k) for r in range(begins[s], begins[s + 1])]
        assert records(m, k, "literal", device) == wanted


@pytest.mark.parametrize(("m", "k"), SIZES)
def test_s2c_blocks_are_equal_and_the_last_may_be_short_or_empty(m, k):
    size = math.ceil(m / k)
    shares = splitting.shares(m, k, "block")
    assert sum(shares) == m
    assert all(share in (0, size) or device == m // max(size, 1) for device, share in enumerate(shares))
    if size * (k - 1) < m:  # no device is without: the padding is less than one block
        assert 0 <= k * size - m < size or m == 0


@pytest.mark.parametrize("rule", splitting.RULES)
@pytest.mark.parametrize(("m", "k"), SIZES)
def test_s2d_shares_are_disjoint_and_all_there_at_the_edges_too(m, k, rule):
    everything = [one for device in range(k) for one in records(m, k, rule, device)]
    assert sorted(everything) == list(range(m))
    if m < k and rule != "block":
        assert [len(records(m, k, rule, device)) for device in range(k)] == [1] * m + [0] * (k - m)


def test_s2d_devices_without_records_take_part_in_barriers():
    """Three samples on five workers: all five push, and no step ends before the last has."""
    program = simpar.compile(scenario(5, 3, strategies=["ps-sync"]), "ps-sync")
    pushes = [op.worker for op in program.ops if op.kind == "push"]
    assert sorted(pushes) == [0, 1, 2, 3, 4]
    seconds = {
        op.worker: program.seconds[task] for task, op in enumerate(program.ops) if op.kind == "forward"
    }
    assert all(seconds[worker] > 0 for worker in range(3))
    assert seconds[3] == seconds[4] == 0


@pytest.mark.parametrize(("m", "length"), [(0, 3), (1, 3), (6, 3), (7, 3), (7, 1), (7, 9)])
def test_s2e_a_share_is_cut_into_slices_of_which_the_last_is_short(m, length):
    slices = splitting.slices(m, length)
    assert len(slices) == math.ceil(m / length)
    assert sum(slices) == m
    assert all(one == length for one in slices[:-1])


def test_s2e_slices_take_the_place_of_the_batch():
    base = {"name": "s", "model": {"preset": "mlp", "shape": {"sizes": [7, 6, 5]}}}
    base |= {"cluster": {"workers": 4, "device": {"flops": "1 MFLOP/s"}}, "strategies": ["single"]}
    one = simpar.compare(base | {"data": {"slice_len": 8}})
    # 100 records on 4 workers are 25 each; in 4 slices that is 7, 7, 7 and 4.
    other = simpar.compare(base | {"data": {"records": 100, "num_slices": 4}})
    plain = [
        simpar.compare(base | {"model": base["model"] | {"batch": batch}})["single"].step_s
        for batch in (8, 7)
    ]
    assert [one["single"].step_s, other["single"].step_s] == plain


@pytest.mark.parametrize(
    ("data", "model", "said"),
    [
        (
            {"slice_len": 8, "num_slices": 2, "records": 100},
            {},
            "'slice_len' and 'num_slices' are both given",
        ),
        ({"slice_len": 8}, {"batch": 8}, "'model.batch' and 'data.slice_len' both say"),
        ({"num_slices": 8}, {}, "'num_slices' is given without 'records'"),
        (
            {"num_slices": 26, "records": 100},
            {},
            "26 slices of the 25 records that a worker has; write 25 or less",
        ),
        ({"split": "halves"}, {"batch": 1}, "write one of: balanced, block, strided, literal"),
    ],
)
def test_s2e_what_excludes_each_other_is_said(data, model, said):
    base = {"name": "s", "model": {"preset": "mlp", "shape": {"sizes": [7, 6, 5]}} | model}
    base |= {"cluster": {"workers": 4, "device": {"flops": "1 MFLOP/s"}}, "strategies": ["single"]}
    with pytest.raises(InputError) as caught:
        simpar.load(base | {"data": data})
    assert said in str(caught.value)


@pytest.mark.parametrize(("m", "k"), [(7, 4), (9, 4), (5, 4), (3, 5), (8, 4)])
@pytest.mark.parametrize("kind", ["ps-sync", "allreduce", "hosted"])
def test_s2f_the_largest_share_sets_the_step(m, k, kind):
    """Without communication the speedup is m / ceil(m / k): of 7 records on 4 devices 3.5, not 4."""
    row = simpar.compare(scenario(k, m, strategies=[kind]))[kind]
    assert row.speedup == pytest.approx(m / math.ceil(m / k), rel=1e-6)


def test_s2f_asynchronous_workers_must_have_as_many():
    with pytest.raises(InputError, match=r"7 samples do not divide by 4 workers, .* ps-async.*write 4 or 8"):
        scenario(4, 7, strategies=["ps-async"])


@pytest.mark.parametrize(("m", "k"), SIZES)
def test_s2g_strided_shares_are_every_kth_record(m, k):
    for device in range(k):
        assert records(m, k, "strided", device) == list(range(device, m, k))
    assert splitting.shares(m, k, "strided") == splitting.shares(m, k, "balanced")


@pytest.mark.parametrize("rule", splitting.RULES)
@pytest.mark.parametrize(
    "strategy",
    [
        {"single": {}},
        {"ps-sync": {"servers": 2}},
        {"allreduce": {}},
        {"hosted": {"parts": 5}},
        {"pipeline": {"stages": 2}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_s2_training_on_any_split_is_training_on_the_whole_batch(rule, strategy):
    """Parameters after four steps are those of plain NumPy on all 7 records at once."""
    model = Perceptron((7, 6, 5))
    parameters = model.init(3)
    rng = np.random.default_rng(5)
    data = rng.normal(size=(28, 7)), rng.integers(0, 5, 28)
    stream = Stream(28, 1)

    def source(first, count):
        rows = stream.rows(first, count)
        return data[0][rows], data[1][rows]

    file = scenario(4, 7, rule, [strategy])
    trace = simpar.simulate(simpar.compile(file, next(iter(strategy))))
    found = replay(trace, model, parameters, source, lambda: Sgd(RATE))
    wanted, _ = one_device(model, parameters, source, 4, 7, RATE)
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * np.abs(other).max())
    assert found.samples == 28


@pytest.mark.parametrize("rule", splitting.RULES)
def test_s2g_predictions_come_in_the_order_of_the_records(rule):
    model = Perceptron((7, 6, 5))
    parameters = model.init(3)
    inputs = np.random.default_rng(5).normal(size=(28, 7))
    stream = Stream(28, None)

    def source(first, count):
        return inputs[stream.rows(first, count)], np.zeros(count)

    trace = simpar.simulate(simpar.compile(scenario(4, 7, rule, ["replicated"]), "replicated"))
    found = replay(trace, model, parameters, source, lambda: Sgd(0.0))
    wanted, _ = model.forward(parameters, inputs)
    np.testing.assert_allclose(np.concatenate([one.values for one in found.predictions]), wanted, rtol=1e-12)
