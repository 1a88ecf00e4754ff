"""Functions that run as they are written, and compiled: one source, the same bits.

Plain functions over lists suit small programs, which should not pay for importing a compiler; their
compiled twins run the same statements on NumPy arrays. No fast-math: the order of float operations is the
source's in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from simpar.simulate import flows


def can_compile() -> bool:
    """Say whether functions can be compiled: whether numba is installed."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


def twins(
    names: Mapping[str, Any],
    functions: Iterable[str],
    entries: Iterable[str] | None = None,
    allocates: bool = True,
) -> dict[str, Any]:
    """Return compiled twins of *functions*, by name.

    Args:
        names: what the functions refer to: the globals of their module, compiled twins of other modules'
            functions in place of those that they import.
        functions: names of those to compile, all that call each other.
        entries: those of them that Python calls; the others get no way in from there, which takes long to
            compile. By default those whose names have no leading underscore.
        allocates: whether they make arrays. Where none does, nobody counts references, which would take
            longer than what short functions do.

    Raises:
        ImportError: numba is not installed.
    """
    from numba import njit

    functions = list(functions)
    stamp = _stamp(names[name] for name in functions)
    open_ones = {name for name in functions if not name.startswith("_")} if entries is None else set(entries)
    twin = dict(names)
    for name in functions:
        entry = name in open_ones
        options: dict[str, Any] = {
            "no_cpython_wrapper": not entry,
            "no_cfunc_wrapper": True,
            "_nrt": allocates,
        }
        function = FunctionType(names[name].__code__, twin, name)
        function.__qualname__ = f"{name}_{stamp}"
        try:
            twin[name] = njit(cache=entry, error_model="numpy", **options)(function)
        except RuntimeError:  # no folder to keep compiled code in: then it is compiled in every process
            twin[name] = njit(error_model="numpy", **options)(function)
    return {name: twin[name] for name in functions}


def _stamp(functions: Iterable[Callable[..., Any]]) -> str:
    """Return what tells versions of *functions* apart: compiled code that is kept is kept under this name.

    Otherwise, what is kept of a function would outlive a change in another file of one that it calls.
    """
    files = sorted({function.__code__.co_filename for function in functions})
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()[:12]


def is_kept(entry: Callable[..., Any], functions: Iterable[Callable[..., Any]]) -> bool:
    """Say whether the compiled twin of *entry*, made with *functions*, is kept beside its source."""
    source = Path(entry.__code__.co_filename)
    pattern = f"{source.stem}.{entry.__name__}_{_stamp(functions)}-*.nbi"
    return any((source.parent / "__pycache__").glob(pattern))


@cache
def compiled_flows() -> dict[str, Callable[..., Any]]:
    """Return ``start``, ``settle`` and ``complete`` of :mod:`simpar.simulate.flows` compiled, by name.

    Raises:
        ImportError: numba is not installed.
    """
    names = vars(flows)
    functions = [name for name, one in names.items() if getattr(one, "__module__", "") == flows.__name__]
    entries = ("start", "settle", "complete")
    found = twins(names, functions, entries, allocates=False)
    return {name: found[name] for name in entries}
