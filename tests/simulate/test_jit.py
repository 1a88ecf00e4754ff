"""Functions compiled: where there is no compiler, or nowhere to keep what it makes."""

import pytest

from simpar.simulate import jit, network
from simpar.simulate.network import FairNetwork


def _tripled(x):
    return 3.0 * x


def tripled_sum(x, y):
    return _tripled(x) + _tripled(y)


def compiled():
    return jit.twins(globals(), ["_tripled", "tripled_sum"], allocates=False)["tripled_sum"]


def test_a_compiled_twin_gives_the_same_bits():
    assert compiled()(0.1, 0.7) == tripled_sum(0.1, 0.7)


def test_functions_are_compiled_all_the_same_where_nothing_can_be_kept(monkeypatch):
    caching = pytest.importorskip("numba.core.caching")
    kept = caching.CompileResultCacheImpl
    monkeypatch.setattr(
        kept, "_locator_classes", []
    )  # as if neither the source nor the home could be written to
    assert compiled()(0.1, 0.7) == tripled_sum(0.1, 0.7)


def test_a_network_of_many_channels_is_solved_in_python_where_numba_cannot_be_imported(monkeypatch):
    def old():
        raise ImportError("Numba needs another NumPy")

    monkeypatch.setattr(network, "compiled_flows", old)
    channels = network.COMPILED_FROM
    fair = FairNetwork([float(channels)], [(0,)] * channels)
    for channel in range(channels):
        fair.start(channel, 2.0)
    assert fair.settle(0.0) == 2.0  # each has a rate of 1
    with pytest.raises(ImportError):
        FairNetwork([1.0], [(0,)], jit=True)
