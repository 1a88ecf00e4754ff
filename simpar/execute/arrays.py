"""Arrays of any library that follows the array API standard: NumPy, CuPy, array-api-strict.

The kernels are written once, in what all of these libraries know. What they do not share is writing a result
into an array that is already there, ``out=``; here that is made the same for all.

Start with :func:`apply`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from array_api_compat import array_namespace, device, is_cupy_array, is_numpy_array

Array = Any
"""An array of any library that follows the standard."""

Gemm = Callable[..., Array]
"""Called with two matrices, or two stacks of them, and ``out=``: returns their products."""


def namespace(*arrays: Array) -> Any:
    """Return the functions of the library that *arrays* belong to."""
    return array_namespace(*arrays)


def apply(function: Callable[..., Array], *operands: Any, out: Array | None = None, **how: Any) -> Array:
    """Return ``function(*operands, **how)``, in *out* where that is given.

    NumPy and CuPy write there at once; of other libraries the result is copied.
    """
    if out is None:
        return function(*operands, **how)
    if is_numpy_array(out) or is_cupy_array(out):
        return function(*operands, out=out, **how)
    out[...] = function(*operands, **how)
    return out


def gemm(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the product of matrices *a* [..., m, k] and *b* [..., k, n]: [..., m, n].

    All multiplications of matrices go through a function like this one. Who executes a model may give
    another: one that counts, that takes longer, or that runs elsewhere.
    """
    return apply(namespace(a, b).matmul, a, b, out=out)


class Buffers:
    """Arrays that a pass over a model writes into again, step after step, instead of new ones.

    What a pass returns is then valid until the next one with the same buffers; a part of the work that is
    under way at the same time needs buffers of its own.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], Array] = {}

    def take(self, layer: int, role: str, shape: Sequence[int], like: Array) -> Array:
        """Return the array for one *role* in one *layer*: of *shape*, of the type and device of *like*.

        Its contents are whatever was left in it.
        """
        held = self._held.get((layer, role))
        if held is None or held.shape != tuple(shape) or held.dtype != like.dtype:
            held = namespace(like).empty(tuple(shape), dtype=like.dtype, device=device(like))
            self._held[layer, role] = held
        return held

    @property
    def bytes(self) -> int:
        """Bytes of all arrays so far."""
        return sum(held.size * namespace(held).finfo(held.dtype).bits // 8 for held in self._held.values())
