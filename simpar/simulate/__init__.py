"""Engines: from a program to a trace.

:func:`simulate` is the way in. :mod:`simpar.simulate.reference` states the semantics;
:mod:`simpar.simulate.compiled` gives the same traces, fast; :mod:`simpar.simulate.network` shares links
between flows for both.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from simpar.errors import EngineError
from simpar.program import Program
from simpar.simulate.compiled import CompiledEngine
from simpar.simulate.reference import Progress, ReferenceEngine
from simpar.trace import Trace

ENGINES = ("auto", "reference", "compiled")
"""What ``engine`` may be."""

FASTEST, ASKED = "the fastest that can run it", "asked for"
"""Why an engine ran: ``auto`` took it, or it was named."""

CANNOT = "the compiled engine does not know {}"
"""Why the reference ran, or why the compiled engine cannot."""

MOST_INSTANCES = 100_000_000_000
"""Instances of a run, beyond which it would take hours."""

MOST_ROWS = 200_000_000
"""Rows of a trace, beyond which it would fill a laptop's memory."""

__all__ = ["ENGINES", "CompiledEngine", "Progress", "ReferenceEngine", "simulate"]


def simulate(
    program: Program, engine: str = "auto", progress: Progress | None = None, keep: int | None = None
) -> Trace:
    """Run *program* and return its trace; ``trace.engine`` says which engine ran, and ``engine_why`` why.

    Args:
        engine: ``auto`` takes the fastest engine that can run the program, which is the compiled one;
            ``reference`` is SimPy; ``compiled`` is the compiled one and no other.
        progress: called now and then with (instances done, instances in all).
        keep: of how many of the last iterations the trace has rows; None for all, 0 for none. The
            updates of batches are kept all, or none; ``trace.totals`` are those of the whole run.

    Raises:
        ProgramError: the program breaks a rule.
        EngineError: there is no such engine, the run or its trace would be too large, or the program cannot
            go on.
    """
    if engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}; write one of: {', '.join(ENGINES)}")
    kept = program.iterations if keep is None else min(max(0, keep), program.iterations)
    _check_size(program, kept)
    program.require_valid()
    unknown = program.only_reference
    if unknown and engine == "compiled":
        raise EngineError(f"{program.name}: {CANNOT.format(unknown)}; write engine: auto or reference")
    if engine == "reference" or unknown:
        trace = _last(ReferenceEngine(program, progress).run(), kept)
    else:
        trace = CompiledEngine(program, progress, keep=kept).run()
    why = CANNOT.format(unknown) if unknown else FASTEST
    return replace(trace, engine_why=why if engine == "auto" else ASKED)


def _check_size(program: Program, kept: int) -> None:
    instances, rows = len(program) * program.iterations, len(program) * kept
    if instances > MOST_INSTANCES:
        raise EngineError(
            f"{program.name} has {_short(instances)} task instances ({len(program):,} tasks x "
            f"{program.iterations:,} iterations), more than {MOST_INSTANCES:.0e}; run fewer iterations"
        )
    if rows > MOST_ROWS:
        raise EngineError(
            f"the trace of {program.name} would have {_short(rows)} rows, more than {MOST_ROWS:.0e}; "
            "keep those of the last iterations only (keep=...)"
        )


def _short(count: int) -> str:
    """Return *count* to three digits, however large it is."""
    return f"{min(count, 10**300):.3g}"


def _last(trace: Trace, kept: int) -> Trace:
    """Return *trace* with the rows of its last *kept* iterations and of updates, or with none."""
    program = trace.program
    if kept == program.iterations:
        return trace
    wanted = trace.iteration >= program.iterations - kept
    wanted |= np.isin(trace.task, np.array(sorted(program.numbered), dtype=np.int32))
    wanted &= kept > 0
    columns = ("task", "iteration", "resource", "ready_s", "start_s", "end_s")
    nodes = trace.nodes
    if nodes is not None and len(nodes.cancelled):
        there = (nodes.cancelled[:, 1] >= program.iterations - kept) & (kept > 0)
        nodes = replace(nodes, cancelled=nodes.cancelled[there], done_frac=nodes.done_frac[there])
    return replace(trace, nodes=nodes, **{name: getattr(trace, name)[wanted] for name in columns})


class _CallableRoom(ModuleType):
    """This module, which can be called: ``simpar.simulate`` is a function and the room of its name.

    Importing a submodule binds it as an attribute of its package, over whatever had that name before. So that
    ``simpar.simulate(program)`` means the same whoever imported what first, the room passes the call on.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Trace:
        """Call :func:`simulate`."""
        return simulate(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
