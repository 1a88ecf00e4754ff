"""Splitting rules: sizes by hand, stages against trying every way of cutting."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.workload.layers import Layer, Workload
from simpar.workload.splitting import all_cuts, balanced, block, crossing, cut_bytes, stages


def test_balanced_gives_the_first_parts_one_more():
    assert balanced(7, 4) == [2, 2, 2, 1]
    assert balanced(8, 4) == [2, 2, 2, 2]
    assert balanced(5, 1) == [5]


def test_balanced_leaves_parts_empty_when_there_are_too_few_things():
    assert balanced(2, 4) == [1, 1, 0, 0]
    assert balanced(0, 3) == [0, 0, 0]


def test_block_leaves_the_tail_short_or_empty():
    assert block(7, 4) == [2, 2, 2, 1]
    assert block(5, 4) == [2, 2, 1, 0]
    assert block(6, 4) == [2, 2, 2, 0]
    assert block(0, 2) == [0, 0]


@given(st.integers(0, 10**9), st.integers(1, 200))
def test_rules_keep_every_thing(m, k):
    assert len(balanced(m, k)) == len(block(m, k)) == k
    assert sum(balanced(m, k)) == sum(block(m, k)) == m
    assert set(balanced(m, k)) <= {m // k, m // k + 1}
    assert max(block(m, k)) == max(balanced(m, k)) == -(-m // k)
    assert k * -(-m // k) - m < k


@pytest.mark.parametrize("rule", [balanced, block])
def test_impossible_splits_are_refused(rule):
    with pytest.raises(ValueError, match="0 parts"):
        rule(3, 0)
    with pytest.raises(ValueError, match="-1 things"):
        rule(-1, 2)


def takes(costs, transfers, pieces, ranges):
    """The estimate that ``stages`` minimises: fill and drain, then the slowest of stages and transfers."""
    crossed = [transfers[begin] for begin, _ in ranges[1:]]
    slowest = max([sum(costs[a:b]) for a, b in ranges] + crossed)
    return (sum(costs) + sum(crossed)) / pieces + (pieces - 1) / pieces * slowest


def every_way(n, parts):
    return [list(pairwise([0, *cuts, n])) for cuts in combinations(range(1, n), parts - 1)]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20)), min_size=1, max_size=9).flatmap(
        lambda layers: st.tuples(st.just(layers), st.integers(1, len(layers)), st.integers(1, 16))
    )
)
def test_no_other_way_of_cutting_makes_a_shorter_pipeline(case):
    layers, parts, pieces = case
    costs, transfers = [cost for cost, _ in layers], [transfer for _, transfer in layers]
    found = stages(costs, transfers, parts, pieces)
    best = min(takes(costs, transfers, pieces, ranges) for ranges in every_way(len(costs), parts))
    assert takes(costs, transfers, pieces, found) == pytest.approx(best, rel=1e-12)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.data())
def test_stages_cover_the_layers_and_none_is_empty(costs, data):
    parts = data.draw(st.integers(1, len(costs)))
    ranges = stages(costs, [0.0] * len(costs), parts, 8)

    assert len(ranges) == parts
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(costs)
    assert all(start < end for start, end in ranges)
    assert all(before[1] == after[0] for before, after in pairwise(ranges))


def test_free_links_leave_the_expensive_layer_alone():
    assert stages([1, 1, 10, 1, 1], [0] * 5, 3, pieces=8) == [(0, 2), (2, 3), (3, 5)]


def test_a_wide_cut_is_avoided_where_it_costs_more_than_balance():
    """Cut in the middle: 4 of compute but 9 of transfer. Cut after the third layer: 6 and no transfer."""
    assert stages([2, 2, 2, 2], [0, 9, 9, 0], 2, pieces=8) == [(0, 3), (3, 4)]
    assert stages([2, 2, 2, 2], [0, 9, 3, 0], 2, pieces=8) == [(0, 2), (2, 4)]


def test_of_equals_the_earlier_cut_is_taken():
    assert stages([0, 0, 0], [0, 0, 0], 2, pieces=4) == [(0, 1), (1, 3)]


@pytest.mark.parametrize(
    ("costs", "parts"), [([1.0], 2), ([1.0], 0), ([], 1), ([-1.0, 2.0], 1), ([float("nan")], 1)]
)
def test_impossible_stages_are_refused(costs, parts):
    with pytest.raises(ValueError):
        stages(costs, [0.0] * len(costs), parts, 4)


def test_stages_need_a_transfer_a_layer_and_a_microbatch():
    with pytest.raises(ValueError, match="2 layers need 2 transfers"):
        stages([1.0, 1.0], [0.0], 1, 4)
    with pytest.raises(ValueError, match="microbatch"):
        stages([1.0, 1.0], [0.0, 0.0], 1, 0)


def residual() -> Workload:
    """Data -> a -> b -> c, then d adds a and c, and e reads d; also f reads the data, and g adds e, f."""
    wiring = [("a", 10, ()), ("b", 20, (0,)), ("c", 30, (1,)), ("d", 40, (0, 2)), ("e", 50, (3,))]
    wiring += [("f", 60, ()), ("g", 70, (4, 5))]
    layers = tuple(Layer(name, "add", 0.0, 0.0, (), float(size), inputs) for name, size, inputs in wiring)
    return Workload("residual", "samples", layers, batch=1, dtype="float32")


def test_cut_carries_each_output_that_is_read_behind_it():
    model = residual()

    assert [cut_bytes(model, position) for position in range(8)] == [
        0,
        10,
        10 + 20,
        10 + 30,
        40,
        50,
        50 + 60,
        0,
    ]
    assert crossing(model, 3) == (0, 2)


def test_an_output_with_two_readers_behind_the_cut_is_sent_once():
    layers = (
        Layer("a", "conv", 0.0, 0.0, (), 8.0, ()),
        Layer("b", "conv", 0.0, 0.0, (), 4.0, (0,)),
        Layer("c", "add", 0.0, 0.0, (), 4.0, (0, 1)),
    )
    model = Workload("twice", "samples", layers, batch=1, dtype="float32")

    assert crossing(model, 1) == (0,)
    assert cut_bytes(model, 1) == 8


@pytest.mark.parametrize("position", [-1, 8])
def test_cuts_outside_the_model_are_refused(position):
    with pytest.raises(ValueError, match="position"):
        cut_bytes(residual(), position)


def test_all_cuts_are_the_cuts_one_by_one():
    workload = residual()
    assert all_cuts(workload) == [cut_bytes(workload, position) for position in range(len(workload.layers))]
