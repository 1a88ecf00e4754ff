"""Slices are inverse to joining, and cut layers compute what the whole one does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.execute import kernels, slices
from simpar.execute.optimizers import OPTIMIZERS
from simpar.workload.placement import POLICIES, place
from simpar.workload.splitting import balanced

PARTS = range(1, 9)


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


@given(st.integers(0, 40), st.integers(1, 8), st.integers(0, 2))
def test_joining_is_the_inverse_of_cutting(size, parts, axis):
    shape = [3, 2, 4]
    shape[axis] = size
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    found = slices.cut(x, parts, axis)
    assert len(found) == parts
    sizes = [part.shape[axis] for part in found]
    assert max(sizes) - min(sizes) <= 1
    assert np.array_equal(slices.join(found, axis), x)


@given(st.integers(0, 40), st.integers(1, 8))
def test_parts_are_as_long_as_those_of_a_scenario(size, parts):
    assert [end - begin for begin, end in slices.bounds(size, parts)] == balanced(size, parts)


@given(st.lists(st.integers(), max_size=20), st.integers(1, 8))
def test_layers_are_cut_into_runs(layers, parts):
    runs = slices.cut_layers(layers, parts)
    assert len(runs) == parts
    assert [layer for run in runs for layer in run] == layers


@given(
    st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=5),
    st.integers(1, 8),
    st.sampled_from(POLICIES),
    st.one_of(st.none(), st.integers(1, 7)),
)
def test_parameters_come_back_from_servers_as_they_went(shapes, servers, policy, limit):
    tensors = [draw(*shape, seed=number) for number, shape in enumerate(shapes)]
    sizes = [(layer, tensor.size) for layer, tensor in enumerate(tensors)]
    placed = place(sizes, servers, policy, limit)
    pieces = [slices.Piece(one.tensor, one.server, one.start, one.elements) for one in placed]
    held = slices.by_server(tensors, pieces, servers)
    assert sum(part.size for part in held) == sum(tensor.size for tensor in tensors)
    again = slices.from_servers(held, pieces, [tensor.shape for tensor in tensors])
    assert all(np.array_equal(one, other) for one, other in zip(again, tensors, strict=True))


@pytest.mark.parametrize("parts", PARTS)
def test_a_layer_cut_by_columns_makes_the_parts_of_the_whole(parts):
    x, weight, bias = draw(5, 7), draw(11, 7), draw(11)
    whole = kernels.linear(x, weight, bias)
    made = [kernels.linear(x, *part) for part in slices.columns(weight, bias, parts)]
    assert slices.join(made, axis=1) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("parts", PARTS[:7])
def test_a_layer_cut_by_rows_makes_parts_that_add_up_to_the_whole(parts):
    x, weight, bias = draw(5, 7), draw(11, 7), draw(11)
    whole = kernels.linear(x, weight, bias)
    inputs = slices.cut(x, parts, axis=1)
    made = [
        kernels.linear(part, *layer)
        for part, layer in zip(inputs, slices.rows(weight, bias, parts), strict=True)
    ]
    assert slices.summed(made) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("parts", [2, 3])
def test_gradients_of_a_layer_cut_by_columns_are_parts_and_sums_of_those_of_the_whole(parts):
    x, weight, bias, dy = draw(5, 7), draw(11, 7), draw(11), draw(5, 11)
    dx, dw, db = kernels.linear_backward(x, weight, dy)
    slopes = slices.cut(dy, parts, axis=1)
    found = [
        kernels.linear_backward(x, layer[0], slope)
        for layer, slope in zip(slices.columns(weight, bias, parts), slopes, strict=True)
    ]
    assert slices.summed([one[0] for one in found]) == pytest.approx(dx, rel=1e-12)
    assert slices.join([one[1] for one in found]) == pytest.approx(dw, rel=1e-12)
    assert slices.join([one[2] for one in found]) == pytest.approx(db, rel=1e-12)


@given(st.integers(1, 8), st.integers(1, 3), st.integers(1, 3), st.integers(1, 8), st.integers(0, 1))
def test_heads_come_back_as_they_went(keys, group, width, parts, axis):
    shape = [2, 2]
    shape[axis] = (keys * group + 2 * keys) * width
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    found = slices.heads(x, (keys * group, keys), parts, axis)
    assert len(found) == parts
    assert np.array_equal(slices.from_heads(found, (keys * group, keys), axis), x)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"11 entries are not 3 \+ 2 x 1 heads"):
        slices.heads(np.zeros(11), (3, 1), 1)
    with pytest.raises(ValueError, match=r"14 entries are not 3 \+ 2 x 2 heads"):
        slices.heads(np.zeros(14), (3, 2), 1)


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
@pytest.mark.parametrize(("queries", "keys"), [(4, 4), (8, 4)])
def test_a_block_of_attention_cut_by_heads_makes_parts_that_add_up_to_the_whole(queries, keys, parts):
    """Columns before, rows behind: one sum a block (Shoeybi et al., arXiv:1909.08053, Figure 3b)."""
    width, features = 2, 5
    x, weight = draw(2, 3, features), draw((queries + 2 * keys) * width, features)
    bias, behind = draw((queries + 2 * keys) * width), draw(features, queries * width)
    qkv = kernels.linear(x, weight, bias)
    whole = kernels.linear(kernels.attention(qkv, queries, keys, True)[0], behind, None)
    found, first = [], 0
    weights, biases = (slices.heads(one, (queries, keys), parts) for one in (weight, bias))
    for part, (begin, end) in enumerate(slices.bounds(keys, parts)):
        own = (end - begin) * queries // keys
        mixed = kernels.attention(kernels.linear(x, weights[part], biases[part]), own, end - begin, True)[0]
        found.append(kernels.linear(mixed, behind[:, first : first + own * width], None))
        first += own * width
    assert slices.summed(found) == pytest.approx(whole, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_two_layers_cut_by_columns_and_then_by_rows_need_one_sum(parts):
    """Shoeybi et al., arXiv:1909.08053, Figure 3a: GELU between them needs nothing of other parts."""
    x, first, second = draw(5, 7), draw(9, 7), draw(4, 9)
    bias, last = draw(9), draw(4)
    whole = kernels.linear(kernels.gelu(kernels.linear(x, first, bias))[0], second, last)
    found = [
        kernels.linear(kernels.gelu(kernels.linear(x, *one))[0], *other)
        for one, other in zip(
            slices.columns(first, bias, parts), slices.rows(second, last, parts), strict=True
        )
    ]
    assert slices.summed(found) == pytest.approx(whole, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_updates_of_slices_are_those_of_the_whole_to_the_last_bit(optimizer, parts):
    whole = draw(29)
    cut = slices.cut(whole, parts)
    one, many = OPTIMIZERS[optimizer](0.1), [OPTIMIZERS[optimizer](0.1) for _ in cut]
    for step in range(4):
        gradient = draw(29, seed=step)
        whole = one.step(whole, gradient)
        parted = slices.cut(gradient, parts)
        cut = [state.step(*pair) for state, *pair in zip(many, cut, parted, strict=True)]
    assert np.array_equal(slices.join(cut), whole)


def test_there_must_be_tensors_to_cut():
    with pytest.raises(ValueError, match="no tensors"):
        slices.by_server([], [], 2)
