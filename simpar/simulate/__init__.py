"""Engines: from a program to a trace.

:func:`simulate` is the way in. :mod:`simpar.simulate.reference` states the semantics;
:mod:`simpar.simulate.network` shares links between flows for every engine.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from simpar.errors import EngineError
from simpar.program import Program
from simpar.simulate.reference import Progress, ReferenceEngine
from simpar.trace import Trace

ENGINES = ("auto", "reference")
"""What ``engine`` may be."""

__all__ = ["ENGINES", "Progress", "ReferenceEngine", "simulate"]


def simulate(program: Program, engine: str = "auto", progress: Progress | None = None) -> Trace:
    """Run *program* and return its trace; ``trace.engine`` says which engine ran.

    Args:
        engine: ``auto`` takes the fastest engine that can run the program; ``reference`` is SimPy.
        progress: called now and then with (instances done, instances in all).

    Raises:
        ProgramError: the program breaks a rule.
        EngineError: there is no such engine, or the program cannot go on.
    """
    if engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}; write one of: {', '.join(ENGINES)}")
    program.require_valid()
    return ReferenceEngine(program, progress).run()


class _CallableRoom(ModuleType):
    """This module, which can be called: ``simpar.simulate`` is a function and the room of its name.

    Importing a submodule binds it as an attribute of its package, over whatever had that name before. So that
    ``simpar.simulate(program)`` means the same whoever imported what first, the room passes the call on.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Trace:
        """Call :func:`simulate`."""
        return simulate(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
