"""Splitting rules: sizes by hand, the partition against trying every one."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.workload.layers import Layer, Workload
from simpar.workload.splitting import balanced, block, crossing, cut_bytes, partition


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


def best_by_trying(costs, parts):
    """Every cut in lexicographic order; the first of the best ones."""
    n = len(costs)
    ways = [list(pairwise([0, *cuts, n])) for cuts in combinations(range(1, n), parts - 1)]
    return min(ways, key=lambda ranges: max(sum(costs[a:b]) for a, b in ranges))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=9).flatmap(
    lambda costs: st.tuples(st.just(costs), st.integers(1, len(costs)))
))  # fmt: skip
def test_partition_is_the_first_of_the_best(case):
    costs, parts = case

    assert partition(costs, parts) == best_by_trying(costs, parts)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.data())
def test_partition_covers_the_costs_without_empty_ranges(costs, data):
    parts = data.draw(st.integers(1, len(costs)))
    ranges = partition(costs, parts)

    assert len(ranges) == parts
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(costs)
    assert all(start < end for start, end in ranges)
    assert all(before[1] == after[0] for before, after in pairwise(ranges))


def test_partition_isolates_what_is_expensive():
    assert partition([1, 1, 10, 1, 1], 3) == [(0, 2), (2, 3), (3, 5)]


def test_partition_cuts_early_among_equals():
    """The largest sum is 10 in any case: cut before the first 1, and keep the 10 alone."""
    assert partition([1, 1, 1, 10], 3) == [(0, 1), (1, 3), (3, 4)]
    assert partition([0, 0, 0], 2) == [(0, 1), (1, 3)]


def test_partition_compares_sums_without_rounding():
    """In floating point 1e16 + 1 is 1e16, and both cuts would seem equal."""
    assert partition([1e16, 1.0, 1.0], 2) == [(0, 1), (1, 3)]
    assert partition([1.0, 1.0, 1e16], 2) == [(0, 2), (2, 3)]


@pytest.mark.parametrize(
    ("costs", "parts"), [([1.0], 2), ([1.0], 0), ([], 1), ([-1.0, 2.0], 1), ([float("nan")], 1)]
)
def test_impossible_partitions_are_refused(costs, parts):
    with pytest.raises(ValueError):
        partition(costs, parts)


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
