"""Functions that run as they are written, and compiled: one source, the same bits.

Plain functions over lists suit small programs, which should not pay for importing a compiler; their
compiled twins run the same statements on NumPy arrays. No fast-math: the order of float operations is the
source's in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import FunctionType
from typing import Any

from simpar.simulate import flows


def can_compile() -> bool:
    """Say whether functions can be compiled: whether numba is installed."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


def twins(
    names: Mapping[str, Any], functions: Iterable[str], entries: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return compiled twins of *functions*, by name.

    Args:
        names: what the functions refer to: the globals of their module, compiled twins of other modules'
            functions in place of those that they import.
        functions: names of those to compile, all that call each other.

    Raises:
        ImportError: numba is not installed.
    """
    from numba import njit

    functions = list(functions)
    twin = dict(names)
    for name in functions:
        private = name.startswith("_") if entries is None else name not in entries
        options: dict[str, Any] = {"no_cpython_wrapper": private, "no_cfunc_wrapper": True}
        compiled = njit(cache=not private, error_model="numpy", **options)
        twin[name] = compiled(FunctionType(names[name].__code__, twin, name))
    return {name: twin[name] for name in functions}


@cache
def compiled_flows() -> dict[str, Callable[..., Any]]:
    """Return ``start``, ``settle`` and ``complete`` of :mod:`simpar.simulate.flows` compiled, by name.

    Raises:
        ImportError: numba is not installed.
    """
    names = vars(flows)
    own = [name for name, one in names.items() if getattr(one, "__module__", "") == flows.__name__]
    functions = [name for name in own if isinstance(names[name], FunctionType) and name not in flows.BUILDERS]
    found = twins(names, functions)
    return {name: found[name] for name in ("start", "settle", "complete")}
