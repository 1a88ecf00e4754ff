"""The lines of a PipeDream graph file: nodes, edges and everything that can be wrong with them.

:class:`Reader` parses and collects problems with their line and column; :func:`order` sorts the nodes
topologically. What nodes mean is the business of ``import_pipedream``.
"""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

from simpar.errors import InputError, Problem
from simpar.workload.import_file import LARGEST_BYTES

_NAME = re.compile(r"node[0-9]{1,9}")
_SEPARATOR = " -- "
_SIZES = ("activation_size", "parameter_size")
_FIGURES = ("forward_compute_time", "backward_compute_time", *_SIZES)
_LIMITS = {
    "forward_compute_time": Decimal(10) ** 12,
    "backward_compute_time": Decimal(10) ** 12,
    "activation_size": Decimal(10) ** 15,
    "parameter_size": Decimal(10) ** 15,
}
"""Milliseconds and bytes that no layer reaches; profiles hold whatever is below."""

_NODE_FORM = "expected 'node1 -- DESCRIPTION -- " + ", ".join(f"{key}=NUMBER" for key in _FIGURES) + "'"
_EDGE_FORM = "expected a tab and 'node1 -- node2'"


@dataclass(frozen=True, slots=True)
class Node:
    """One node line."""

    name: str
    """``node12``."""

    line: int
    """Line in the file, from 1."""

    description: str
    """The framework's description of the layer."""

    forward_ms: Decimal
    """Milliseconds of one batch, forward."""

    backward_ms: Decimal
    """Milliseconds of one batch, backward."""

    activation_bytes: int
    """Bytes of the output for one batch; the sum where the file gives a list."""

    parameter_bytes: int
    """Bytes of the parameters."""

    @property
    def rank(self) -> tuple[int, str]:
        """Order among equals: by number, then by spelling (``node1``, ``node01``)."""
        return int(self.name.removeprefix("node")), self.name


class Reader:
    """Reads one graph file and keeps what is wrong with it."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []

    def problem(self, line: int, col: int, message: str, fix: str) -> None:
        """Keep a problem; line and column are 0 where it concerns the whole file."""
        self._problems.append(Problem(self._file, line, col, "", message, fix))

    def stop_on_problems(self) -> None:
        """Raise all problems kept so far, by line.

        Raises:
            InputError: there is at least one.
        """
        if self._problems:
            raise InputError(sorted(self._problems, key=lambda problem: (problem.line, problem.col)))

    def read(self) -> tuple[dict[str, Node], dict[str, set[str]]]:
        """Return the nodes by name, and for each the names of the nodes that it reads.

        Malformed lines become problems, and are left out.

        Raises:
            InputError: the file cannot be opened, or is no text.
        """
        nodes: dict[str, Node] = {}
        named: dict[str, int] = {}
        arrows: list[tuple[int, str, str]] = []
        for number, line in enumerate(self._text().split("\n"), start=1):
            line = line.rstrip()
            if not line:
                continue
            if line[0] == "\t":
                if (arrow := self._edge(number, line)) is not None:
                    arrows.append((number, *arrow))
                continue
            name = line.partition(_SEPARATOR)[0]
            if _NAME.fullmatch(name):
                if name in named:
                    self.problem(
                        number, 1, f"{name} is already on line {named[name]}", "give every node once"
                    )
                named.setdefault(name, number)
            if (node := self._node(number, line)) is not None:
                nodes.setdefault(node.name, node)
        if not named and not self._problems:
            self.problem(0, 0, "no nodes in this file", _NODE_FORM)

        reads: dict[str, set[str]] = {name: set() for name in nodes}
        for number, before, after in arrows:
            for col, name in ((2, before), (2 + len(before) + len(_SEPARATOR), after)):
                if name not in named:
                    self.problem(number, col, f"edge to {name}, which no line describes", "add its node line")
            if before in nodes and after in nodes:
                reads[after].add(before)
        return nodes, reads

    def _text(self) -> str:
        try:
            if Path(self._file).exists() and not Path(self._file).is_file():
                self._give_up("is not a file", "give a PipeDream graph file, graph.txt")
            with open(self._file, "rb") as stream:
                data = stream.read(LARGEST_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._give_up(f"cannot be read: {reason}", "give a PipeDream graph file, graph.txt")
        if len(data) > LARGEST_BYTES:
            self._give_up("is larger than 10 MB", "give a PipeDream graph file, graph.txt")
        if b"\0" in data:
            self._give_up("not a text file", "give a PipeDream graph file, graph.txt")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._give_up(
                f"not a text file: byte {error.start} is not UTF-8",
                "give a PipeDream graph file, graph.txt",
            )

    def _give_up(self, message: str, fix: str) -> NoReturn:
        self.problem(0, 0, message, fix)
        raise InputError(self._problems)

    def _edge(self, number: int, line: str) -> tuple[str, str] | None:
        names = line[1:].rstrip().split(_SEPARATOR)
        for name in names:
            if not _NAME.fullmatch(name):
                self.problem(number, line.find(name) + 1, f"{name!r} is no node", _EDGE_FORM)
                return None
        if len(names) != 2:
            self.problem(number, 2, "an edge joins two nodes", _EDGE_FORM)
            return None
        return names[0], names[1]

    def _node(self, number: int, line: str) -> Node | None:
        """Return the node on a line ``name -- description -- figures [-- stage_id=...]``."""
        line = re.sub(r" -- stage_id=[0-9]+$", "", line)
        name, _, rest = line.partition(_SEPARATOR)
        description, separator, figures = rest.rpartition(_SEPARATOR)
        if not _NAME.fullmatch(name):
            self.problem(
                number, 1, "this line is neither a node nor an edge", f"{_NODE_FORM} or {_EDGE_FORM}"
            )
            return None
        if not separator:
            self.problem(number, len(name) + 1, f"{name} lacks its description or its figures", _NODE_FORM)
            return None

        values: dict[str, Decimal] = {}
        bad = False
        col = len(line) - len(figures) + 1
        for field in figures.split(","):
            key, equals, text = (part.strip() for part in field.partition("="))
            at = col + len(field) - len(field.lstrip())
            col += len(field) + 1
            if key not in _FIGURES or not equals or key in values:
                what = "is given twice" if key in values else "is no figure of a node"
                self.problem(number, at, f"{name}: {key!r} {what}", f"expected {', '.join(_FIGURES)}")
                bad = True
                continue
            value = self._figure(number, at + field.strip().find("=") + 1, name, key, text)
            bad |= value is None
            values[key] = Decimal(0) if value is None else value
        missing = [key for key in _FIGURES if key not in values]
        if missing and not bad:
            self.problem(number, len(line) + 1, f"{name} lacks {', '.join(missing)}", _NODE_FORM)
        if missing or bad:
            return None
        return Node(
            name=name,
            line=number,
            description=description.strip(),
            forward_ms=values["forward_compute_time"],
            backward_ms=values["backward_compute_time"],
            activation_bytes=int(values["activation_size"]),
            parameter_bytes=int(values["parameter_size"]),
        )

    def _figure(self, number: int, col: int, name: str, key: str, text: str) -> Decimal | None:
        """Return a time, or a size that may be a list of sizes; None after a problem."""
        is_list = key == "activation_size" and text.startswith("[") and text.endswith("]")
        parts = text[1:-1].split(";") if is_list else [text]
        total = Decimal(0)
        for part in map(str.strip, parts):
            try:
                value = Decimal(part)
            except InvalidOperation:
                self.problem(number, col, f"{name}: {key}={part!r} is not a number", "write it like 12.345")
                return None
            exponent = value.as_tuple().exponent
            if not isinstance(exponent, int) or not 0 <= value < _LIMITS[key] or exponent < -18:
                self.problem(
                    number,
                    col,
                    f"{name}: {key}={part} is not possible",
                    f"expected a number from 0 to below {_LIMITS[key]:.0e} with at most 18 decimals",
                )
                return None
            if key in _SIZES and value % 1:
                self.problem(
                    number, col, f"{name}: {key}={part} is no whole number of bytes", "write whole bytes"
                )
                return None
            total += value.copy_abs()
        return total


def order(reader: Reader, nodes: dict[str, Node], reads: dict[str, set[str]]) -> list[Node]:
    """Return the nodes so that each follows what it reads; among several, the lowest number first.

    A circle becomes a problem of *reader*; its nodes and those behind them are left out.
    """
    waiting = {name: len(before) for name, before in reads.items()}
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for name, before in reads.items():
        for other in before:
            readers[other].append(name)
    ready = [nodes[name].rank for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    ordered = []
    while ready:
        name = heapq.heappop(ready)[1]
        ordered.append(nodes[name])
        for other in readers[name]:
            waiting[other] -= 1
            if waiting[other] == 0:
                heapq.heappush(ready, nodes[other].rank)
    if len(ordered) < len(nodes):
        circle = _circle(nodes, reads, waiting)
        reader.problem(
            nodes[circle[0]].line,
            1,
            f"the graph has a circle: {' -> '.join([*circle, circle[0]])}",
            "remove one of its edges",
        )
    return ordered


def _circle(nodes: dict[str, Node], reads: dict[str, set[str]], waiting: dict[str, int]) -> list[str]:
    """Return the names along one circle, from its lowest number, in the direction of the edges."""
    stuck = {name for name, count in waiting.items() if count > 0}
    name = min(stuck, key=lambda name: nodes[name].rank)
    walk: dict[str, None] = {}
    while name not in walk:
        walk[name] = None
        name = min(reads[name] & stuck, key=lambda name: nodes[name].rank)
    names = list(walk)
    circle = names[names.index(name) :][::-1]
    lowest = circle.index(min(circle, key=lambda name: nodes[name].rank))
    return circle[lowest:] + circle[:lowest]
