"""Kernels against formulas written with loops, and gradients against differences of the function.

In float64, a central difference of step h is off by about h^2 / 6 times the third derivative, and by the
rounding of the function over h: near 1e-9 for h = 1e-5 and figures of about 1. In float32 the analytic
gradient is held against that in float64: it may be off by some tens of the last digit, 6e-8, of the largest.
"""

import math

import array_api_strict
import numpy as np
import pytest

from simpar.execute import convolution as conv
from simpar.execute import kernels
from simpar.execute.optimizers import Adam, Momentum, Sgd

NAMESPACES = {"numpy": np, "strict": array_api_strict}


@pytest.fixture(params=NAMESPACES)
def xp(request):
    return NAMESPACES[request.param]


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def plain(x):
    return np.asarray(x)


def differences(function, x, step=1e-5):
    """Return the gradient of a function of one array, number by number."""
    found = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[at] += sign * step
            ends.append(float(function(moved)))
        found[at] = (ends[0] - ends[1]) / (2 * step)
    return found


def check(xp, forward, backward, arguments, exact=1e-8):
    """Compare what *backward* says with differences of *forward*, and float32 with float64."""
    arguments = [np.asarray(one, dtype=np.float64) for one in arguments]
    slope = draw(*plain(forward(*map(xp.asarray, arguments))).shape, seed=7)
    found = backward(*map(xp.asarray, arguments), xp.asarray(slope))
    for number, gradient in enumerate(found):

        def value(moved, number=number):
            given = [moved if n == number else one for n, one in enumerate(arguments)]
            return (plain(forward(*map(xp.asarray, given))) * slope).sum()

        assert plain(gradient) == pytest.approx(differences(value, arguments[number]), rel=1e-6, abs=exact)
    small = [xp.asarray(one.astype(np.float32)) for one in arguments]
    for rough, gradient in zip(backward(*small, xp.asarray(slope.astype(np.float32))), found, strict=True):
        assert plain(rough).dtype == np.float32
        assert plain(rough) == pytest.approx(plain(gradient), abs=1e-5 * max(1.0, abs(plain(gradient)).max()))


# -- dense -----------------------------------------------------------------------------------------------


def test_linear(xp):
    x, weight, bias = draw(2, 3, 4), draw(5, 4), draw(5)
    wanted = [
        [[sum(x[s, t, i] * weight[o, i] for i in range(4)) + bias[o] for o in range(5)] for t in range(3)]
        for s in range(2)
    ]
    assert plain(kernels.linear(*map(xp.asarray, (x, weight, bias)))) == pytest.approx(np.array(wanted))
    check(xp, kernels.linear, lambda x, w, b, dy: kernels.linear_backward(x, w, dy), (x, weight, bias))


def test_linear_without_bias(xp):
    x, weight = draw(3, 4), draw(5, 4)
    check(
        xp,
        lambda x, w: kernels.linear(x, w, None),
        lambda x, w, dy: kernels.linear_backward(x, w, dy, has_bias=False)[:2],
        (x, weight),
    )
    assert kernels.linear_backward(x, weight, draw(3, 5), has_bias=False)[2] is None


def test_all_matrix_products_go_through_the_hook():
    asked = []

    def gemm(a, b, out=None):
        asked.append((a.shape, b.shape))
        return kernels.gemm(a, b, out)

    x, weight, bias, dy = draw(6, 4), draw(5, 4), draw(5), draw(6, 5)
    assert kernels.linear(x, weight, bias, gemm) == pytest.approx(x @ weight.T + bias)
    kernels.linear_backward(x, weight, dy, gemm=gemm)
    assert asked == [((6, 4), (4, 5)), ((6, 5), (5, 4)), ((5, 6), (6, 4))]
    asked.clear()
    y, saved = kernels.attention(draw(2, 3, 8), 2, 1, True, gemm)
    kernels.attention_backward(saved, y, gemm)
    assert len(asked) == 6
    asked.clear()
    images, filters = draw(2, 3, 5, 5), draw(4, 3, 3, 3)
    y, rows = conv.convolution(images, filters, None, gemm=gemm)
    conv.convolution_backward(images.shape, rows, filters, y, has_bias=False, gemm=gemm)
    assert asked == [((18, 27), (27, 4)), ((4, 18), (18, 27)), ((18, 4), (4, 27))]


def test_results_are_written_where_the_caller_wants_them(xp):
    x, weight, bias = (xp.asarray(one) for one in (draw(3, 4), draw(5, 4), draw(5)))
    out = xp.zeros((3, 5), dtype=xp.float64)
    assert kernels.linear(x, weight, bias, out=out) is out
    assert plain(out) == pytest.approx(plain(kernels.linear(x, weight, bias)))
    kernels.relu(out, out=out)
    assert plain(out).min() == 0.0
    product = xp.zeros((3, 3), dtype=xp.float64)
    assert kernels.gemm(x, xp.matrix_transpose(x), out=product) is product
    assert plain(product) == pytest.approx(plain(x) @ plain(x).T)


WRITERS = {
    "gelu": (lambda x, dy, w, out: kernels.gelu(x, out=out)[0]),
    "gelu_backward": (lambda x, dy, w, out: kernels.gelu_backward(x, kernels.gelu(x)[1], dy, out=out)),
    "softmax": (lambda x, dy, w, out: kernels.softmax(x, out=out)),
    "layer_norm": (lambda x, dy, w, out: kernels.layer_norm(x, w, w, out=out)[0]),
    "layer_norm_backward": (
        lambda x, dy, w, out: kernels.layer_norm_backward(
            kernels.layer_norm(x, w, w)[1], w, dy, out=(out, None, None)
        )[0]
    ),
    "relu_backward": (lambda x, dy, w, out: kernels.relu_backward(kernels.relu(x), dy, out=out)),
    "squared_error": (lambda x, dy, w, out: kernels.squared_error(x, dy, out=out)[1]),
    "linear_backward": (
        lambda x, dy, w, out: kernels.linear_backward(x, x[:4, :], dy, out=(out, None, None))[0]
    ),
    "Sgd": (lambda x, dy, w, out: Sgd(0.1).step(x, dy, out=out)),
    "Momentum": (lambda x, dy, w, out: Momentum(0.1).step(x, dy, out=out)),
    "Adam": (lambda x, dy, w, out: Adam(0.1).step(x, dy, out=out)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_into_an_array_is_what_a_new_one_would_hold(xp, name):
    x, dy, w = (xp.asarray(one) for one in (draw(4, 4), draw(4, 4, seed=1), draw(4)))
    new = WRITERS[name](x, dy, w, None)
    out = xp.zeros((4, 4), dtype=xp.float64)
    assert WRITERS[name](x, dy, w, out) is out
    assert np.array_equal(plain(out), plain(new))
    assert new is not out


def blank(xp, *arrays):
    """Return an array of zeros for each of *arrays*, and as large."""
    return tuple(xp.zeros(one.shape, dtype=one.dtype) for one in arrays)


def test_all_gradients_of_a_kernel_are_written_where_the_caller_wants_them(xp):
    """Of layer norm, batch norm and convolution: those of x, weight and bias."""
    x, w, b = (xp.asarray(one) for one in (draw(2, 3, 4, 4), draw(4), draw(4, seed=1)))
    scale, shift, filters, bias = (xp.asarray(one) for one in (draw(3), draw(3), draw(5, 3, 3, 3), draw(5)))
    y, rows = conv.convolution(x, filters, bias)
    saved, normal = kernels.layer_norm(x, w, b)[1], conv.batch_norm(x, scale, shift)[1]
    for backward, like in (
        (lambda out: kernels.layer_norm_backward(saved, w, x, out=out), (x, w, b)),
        (lambda out: conv.batch_norm_backward(normal, scale, x, out=out), (x, scale, shift)),
        (lambda out: conv.convolution_backward(x.shape, rows, filters, y, out=out), (x, filters, bias)),
    ):
        out = blank(xp, *like)
        for given, found, new in zip(out, backward(out), backward((None, None, None)), strict=True):
            assert found is given
            assert np.array_equal(plain(given), plain(new))
            assert plain(given).any()


def test_attention_embeddings_and_poolings_write_where_the_caller_wants_them(xp):
    qkv, table, x = (xp.asarray(one) for one in (draw(2, 3, 8), draw(7, 4), draw(2, 3, 4, 4)))
    tokens = xp.asarray([[0, 6, 2], [2, 2, 5]])
    y, saved = kernels.attention(qkv, 2, 1, True)
    pooled, which = conv.max_pool(x, 2, 2)
    rows = kernels.embedding(tokens, table)
    for write, like in (
        (lambda out: kernels.attention(qkv, 2, 1, True, out=out)[0], y),
        (lambda out: kernels.attention_backward(saved, y, out=out), qkv),
        (lambda out: kernels.embedding(tokens, table, out=out), rows),
        (lambda out: kernels.embedding_backward(tokens, 7, rows, out=out), table),
        (lambda out: conv.max_pool(x, 2, 2, out=out)[0], pooled),
        (lambda out: conv.max_pool_backward(x.shape, which, pooled, 2, 2, out=out), x),
        (lambda out: conv.average_pool(x, 2, 2, out=out), pooled),
        (lambda out: conv.average_pool_backward(x.shape, pooled, 2, 2, out=out), x),
    ):
        (out,) = blank(xp, like)
        assert write(out) is out
        assert np.array_equal(plain(out), plain(write(None)))
        assert plain(out).any()


def test_gradients_of_parameters_and_of_scores_are_written_where_the_caller_wants_them(xp):
    x, weight, dy = (xp.asarray(one) for one in (draw(3, 4), draw(5, 4), draw(3, 5)))
    dw, db = xp.zeros((5, 4), dtype=xp.float64), xp.zeros(5, dtype=xp.float64)
    found = kernels.linear_backward(x, weight, dy, out=(None, dw, db))
    assert found[1] is dw
    assert found[2] is db
    assert plain(dw) == pytest.approx(plain(dy).T @ plain(x))
    assert plain(db) == pytest.approx(plain(dy).sum(0))
    targets, out = xp.asarray([[0, 2, 1]]), xp.zeros((1, 3, 5), dtype=xp.float64)
    scores = xp.reshape(dy, (1, 3, 5))
    slope = kernels.cross_entropy(scores, targets, out=out)[1]
    assert slope is out
    assert np.array_equal(plain(out), plain(kernels.cross_entropy(scores, targets)[1]))


def test_results_of_convolutions_and_batch_norms_are_written_where_the_caller_wants_them(xp):
    x, weight, bias = (xp.asarray(one) for one in (draw(2, 3, 4, 4), draw(5, 3, 3, 3), draw(5)))
    out = xp.zeros((2 * 2 * 2, 5), dtype=xp.float64)
    y = conv.convolution(x, weight, bias, out=out)[0]
    assert np.array_equal(plain(out).reshape(2, 2, 2, 5).transpose(0, 3, 1, 2), plain(y))
    assert np.array_equal(plain(y), plain(conv.convolution(x, weight, bias)[0]))
    scale, shift = xp.asarray(draw(3)), xp.asarray(draw(3, seed=1))
    same = xp.zeros((2, 3, 4, 4), dtype=xp.float64)
    assert conv.batch_norm(x, scale, shift, out=same)[0] is same
    assert np.array_equal(plain(same), plain(conv.batch_norm(x, scale, shift)[0]))


def test_relu_and_gelu(xp):
    x = draw(4, 5)
    assert plain(kernels.relu(xp.asarray(x))) == pytest.approx(np.where(x > 0, x, 0))
    check(xp, kernels.relu, lambda x, dy: [kernels.relu_backward(kernels.relu(x), dy)], (x,))
    # Its own definition, x Phi(x), of which tanh is an approximation to within 5e-4.
    phi = np.array([[0.5 * (1 + math.erf(one / math.sqrt(2))) for one in row] for row in x])
    assert plain(kernels.gelu(xp.asarray(x))[0]) == pytest.approx(x * phi, abs=5e-4)
    check(
        xp,
        lambda x: kernels.gelu(x)[0],
        lambda x, dy: [kernels.gelu_backward(x, kernels.gelu(x)[1], dy)],
        (x,),
    )


@pytest.mark.parametrize("has_bias", [True, False])
def test_layer_norm(xp, has_bias):
    x, weight, bias = draw(2, 3, 6), draw(6, seed=1), draw(6, seed=2)
    given = (x, weight, bias)[: 2 + has_bias]
    y = plain(kernels.layer_norm(*map(xp.asarray, given), *[] if has_bias else [None])[0])
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    assert y == pytest.approx(normal * weight + (bias if has_bias else 0))

    def backward(x, weight, *rest):
        saved = kernels.layer_norm(x, weight, rest[0] if has_bias else None)[1]
        return kernels.layer_norm_backward(saved, weight, rest[-1], has_bias)[: 2 + has_bias]

    check(xp, lambda *a: kernels.layer_norm(*a, *[] if has_bias else [None])[0], backward, given)


def test_embedding(xp):
    tokens, table = np.array([[1, 3, 1], [0, 1, 3]]), draw(4, 5)
    found = kernels.embedding(xp.asarray(tokens), xp.asarray(table))
    assert (plain(found) == table[tokens]).all()
    dy = draw(2, 3, 5)
    wanted = np.zeros((4, 5))
    for sample, place in np.ndindex(2, 3):
        wanted[tokens[sample, place]] += dy[sample, place]
    assert plain(kernels.embedding_backward(xp.asarray(tokens), 4, xp.asarray(dy))) == pytest.approx(wanted)


# -- attention and losses --------------------------------------------------------------------------------


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (2, 2), (4, 2), (3, 1)])
@pytest.mark.parametrize("causal", [True, False])
def test_attention(xp, heads, kv_heads, causal):
    samples, tokens, width = 2, 3, 2
    qkv = draw(samples, tokens, (heads + 2 * kv_heads) * width)
    wanted = np.zeros((samples, tokens, heads * width))
    for s, h, t in np.ndindex(samples, heads, tokens):
        at = lambda head, token, s=s: qkv[s, token, head * width : (head + 1) * width]  # noqa: E731
        seen = range(t + 1 if causal else tokens)
        key = heads + h // (heads // kv_heads)
        weights = [math.exp(at(h, t) @ at(key, other) / math.sqrt(width)) for other in seen]
        for other, weight in zip(seen, weights, strict=True):
            share = weight / sum(weights)
            wanted[s, t, h * width : (h + 1) * width] += share * at(key + kv_heads, other)
    assert plain(kernels.attention(xp.asarray(qkv), heads, kv_heads, causal)[0]) == pytest.approx(wanted)
    check(
        xp,
        lambda x: kernels.attention(x, heads, kv_heads, causal)[0],
        lambda x, dy: [kernels.attention_backward(kernels.attention(x, heads, kv_heads, causal)[1], dy)],
        (qkv,),
    )


def test_cross_entropy_is_the_log_of_the_share_and_its_gradient_the_share_less_one(xp):
    scores, targets = draw(4, 3), np.array([0, 2, 1, 2])
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    value, slope = kernels.cross_entropy(xp.asarray(scores), xp.asarray(targets))
    assert float(value) == pytest.approx(-sum(math.log(shares[n, t]) for n, t in enumerate(targets)))
    shares[range(4), targets] -= 1
    assert plain(slope) == pytest.approx(shares)


def test_cross_entropy_of_huge_scores_is_finite(xp):
    value, slope = kernels.cross_entropy(xp.asarray([[1000.0, 0.0]]), xp.asarray([1]))
    assert float(value) == pytest.approx(1000.0)
    assert plain(slope) == pytest.approx(np.array([[1.0, -1.0]]))


def test_losses_of_slices_add_up_to_that_of_the_whole(xp):
    scores, targets = draw(7, 3), np.array([0, 2, 1, 2, 0, 0, 1])
    parts = [slice(0, 3), slice(3, 5), slice(5, 7)]
    for loss, wanted in ((kernels.cross_entropy, targets), (kernels.squared_error, draw(7, 3, seed=3))):
        whole, slope = loss(xp.asarray(scores), xp.asarray(wanted))
        each = [loss(xp.asarray(scores[part]), xp.asarray(wanted[part])) for part in parts]
        assert sum(float(value) for value, _ in each) == pytest.approx(float(whole))
        assert np.concatenate([plain(one) for _, one in each]) == pytest.approx(plain(slope))


# -- convolution -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 2, 0), (3, 2, 0)]
)
def test_convolution(xp, kernel, stride, padding):
    x, weight, bias = draw(2, 3, 5, 6), draw(4, 3, kernel, kernel), draw(4)
    framed = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    high, wide = ((side + 2 * padding - kernel) // stride + 1 for side in (5, 6))
    wanted = np.zeros((2, 4, high, wide))
    for s, o, row, column in np.ndindex(wanted.shape):
        down, right = row * stride, column * stride
        window = framed[s, :, down : down + kernel, right : right + kernel]
        wanted[s, o, row, column] = (window * weight[o]).sum() + bias[o]
    given = tuple(map(xp.asarray, (x, weight, bias)))
    assert plain(conv.convolution(*given, stride, padding)[0]) == pytest.approx(wanted)

    def backward(x, weight, bias, dy):
        rows = conv.convolution(x, weight, bias, stride, padding)[1]
        return conv.convolution_backward(x.shape, rows, weight, dy, stride, padding)

    check(xp, lambda *a: conv.convolution(*a, stride, padding)[0], backward, (x, weight, bias))


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_max_pool(xp, kernel, stride, padding):
    x = draw(2, 3, 5, 6)
    framed = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    y = plain(conv.max_pool(xp.asarray(x), kernel, stride, padding)[0])
    for s, c, row, column in np.ndindex(y.shape):
        down, right = row * stride, column * stride
        assert y[s, c, row, column] == framed[s, c, down : down + kernel, right : right + kernel].max()

    def backward(x, dy):
        which = conv.max_pool(x, kernel, stride, padding)[1]
        return [conv.max_pool_backward(x.shape, which, dy, kernel, stride, padding)]

    check(xp, lambda x: conv.max_pool(x, kernel, stride, padding)[0], backward, (x,))


def test_average_pool(xp):
    x = draw(2, 3, 6, 4)
    y = plain(conv.average_pool(xp.asarray(x), 2, 2))
    assert y == pytest.approx(x.reshape(2, 3, 3, 2, 2, 2).mean(axis=(3, 5)))
    check(
        xp,
        lambda x: conv.average_pool(x, 2, 2),
        lambda x, dy: [conv.average_pool_backward(x.shape, dy, 2, 2)],
        (x,),
    )


def test_batch_norm(xp):
    x, weight, bias = draw(3, 2, 4, 3), draw(2, seed=1), draw(2, seed=2)
    y = plain(conv.batch_norm(*map(xp.asarray, (x, weight, bias)))[0])
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    normal = (x - mean) / np.sqrt(variance + 1e-5)
    assert y == pytest.approx(normal * weight[:, None, None] + bias[:, None, None])

    def backward(x, weight, bias, dy):
        return conv.batch_norm_backward(conv.batch_norm(x, weight, bias)[1], weight, dy)

    check(xp, lambda *a: conv.batch_norm(*a)[0], backward, (x, weight, bias), exact=1e-7)


def test_batch_norm_of_slices_is_that_of_the_whole_only_with_its_statistics():
    x, weight, bias = draw(4, 2, 3, 3), draw(2, seed=1), draw(2, seed=2)
    whole, given = conv.batch_norm(x, weight, bias)[0], conv.statistics(x)
    slices = [conv.batch_norm(x[part], weight, bias)[0] for part in (slice(0, 2), slice(2, 4))]
    assert abs(np.concatenate(slices) - whole).max() > 0.01
    slices = [conv.batch_norm(x[part], weight, bias, given)[0] for part in (slice(0, 2), slice(2, 4))]
    assert np.concatenate(slices) == pytest.approx(whole)
    saved, dy = conv.batch_norm(x, weight, bias, given)[1], draw(*x.shape, seed=5)
    value = lambda moved: (conv.batch_norm(moved, weight, bias, given)[0] * dy).sum()  # noqa: E731
    dx = conv.batch_norm_backward(saved, weight, dy, own=False)[0]
    assert dx == pytest.approx(differences(value, x), rel=1e-6, abs=1e-8)


def test_of_a_sequence_the_mean_over_its_tokens_counts(xp):
    """So that of scores which tell nothing it is the log of the number of classes, however long it is."""
    value, slope = kernels.cross_entropy(xp.zeros((3, 8, 11)), xp.zeros((3, 8), dtype=xp.int64))
    assert float(value) == pytest.approx(3 * math.log(11))
    assert plain(slope)[0, 0] == pytest.approx(np.array([1 / 11 - 1] + [1 / 11] * 10) / 8)
