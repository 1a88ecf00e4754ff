"""The periodic task graph, what may be in it, and how it is written down.

:mod:`simpar.program.graph` says what a program means; :class:`ProgramBuilder` writes one;
:mod:`simpar.program.check` finds what is wrong with one.
"""

from simpar.program.builder import MOST_TASKS, ProgramBuilder
from simpar.program.graph import (
    NODE_BATCH,
    NODE_DISPATCH,
    NODE_JOIN,
    NODE_RING,
    NODE_TASK,
    SHORTEST_S,
    Program,
)
from simpar.program.parts import Batch, Dispatch, Link, Op, Resource, Ring

__all__ = [
    "MOST_TASKS",
    "NODE_BATCH",
    "NODE_DISPATCH",
    "NODE_JOIN",
    "NODE_RING",
    "NODE_TASK",
    "SHORTEST_S",
    "Batch",
    "Dispatch",
    "Link",
    "Op",
    "Program",
    "ProgramBuilder",
    "Resource",
    "Ring",
]
