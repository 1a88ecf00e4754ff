"""The periodic task graph: what runs where, what waits for what, iteration after iteration.

A :class:`Program` is the template of one iteration and the number of times it is repeated; it is
never unrolled. It does not know who will run it: an engine gives every task a duration, an executor
a kernel or a message, and both answer with the same :class:`simpar.trace.Trace`.

The meaning of a program, which every engine keeps to the last bit:

* *Instance* ``(task, m)`` is the task in iteration ``m``. It is **ready** when one token has arrived
  over each of its incoming edges; an edge of distance ``d`` brings the token of iteration ``m - d``,
  and none is awaited where ``m < d``. A task without incoming edges is ready at 0 in every iteration.
* It **starts** when its resource takes it. A FIFO resource takes instances by (ready, rank,
  iteration), where the rank of a task is its index. A task without a resource starts when it is
  ready and takes no time.
* It **ends** ``seconds`` later. A *channel* carries messages over links that are shared fairly: there
  the message at the head transmits its bytes (times its ``stretch`` in that iteration), its channel is
  free at the last byte, and it ends one ``latency`` after that.
* *Instant*: at one point in time all ends, lags and tasks without time settle first; then resources
  are granted one at a time, in ascending rank over all of them, settling again after each; the
  network changes its rates once, last.
* A *join* (``NODE_JOIN``, k of n) fires iteration m at its k-th token of m, in the order of (time, rank
  of the sender). What comes later is dropped: it counts for no other iteration.
* A *batch* (``NODE_BATCH``) gathers tokens of any iteration, in the order of (time, rank of the sender,
  iteration), until its rule closes it; then its *update* runs. The b-th update has iteration b, and when it
  ends, the *reply* of each member gets a token with the member's own iteration: see :class:`Batch`. In an
  instant, the batch has its turn by its own rank among the grants, for tokens first and its timer then.
  Where nothing else can happen any more, batches that wait for more are closed short.

* A *dispatch* node (``NODE_DISPATCH``) hands out slices of work: every token is one. The first slice in the
  order of (time, rank of the sender, iteration) goes to the device that has been idle longest, the one of
  the lowest rank of equals; all are idle at the beginning. The n-th slice that is handed out has number n,
  which is the iteration of all tasks that it goes through there. When the last of them ends, the device is
  idle, and the *reply* of the slice gets a token with the sender's own iteration: see :class:`Dispatch`. In
  an instant, it has its turn by its own rank among the grants.
* A join may *cancel*: when iteration m has fired, and that instant has settled, what has not ended of its
  feeders stops. Those are the tasks that lead to the join within an iteration. In iteration m, one that runs
  ends there and then and gives its resource back, and so does one that waits for its turn; one that is not
  ready ends when it is, having taken no time. Their tokens leave as ever, and the join drops its own.

* A *ring* (:class:`Ring`) stands for the messages of a ring all-reduce, round after round, of which only the
  last round is in the template (``NODE_RING``). It means what :meth:`Program.expanded` writes out: nothing
  but channels and messages.

Sizes are bytes, times seconds, rates bytes per second. Start with :class:`simpar.program.ProgramBuilder`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simpar.errors import Problem, ProgramError
from simpar.program.parts import Batch, Dispatch, Link, Op, Resource, Ring

FORMAT = 1
"""Version of the file that :meth:`Program.save` writes."""

NODE_TASK = 0
"""Waits for all its tokens."""

NODE_JOIN = 1
"""Waits for the first k of its tokens; takes no time."""

NODE_BATCH = 2
"""Gathers tokens for an update; has no instances of its own."""

NODE_RING = 3
"""A message of the last round of a ring, which stands for all that lane's messages."""

NODE_DISPATCH = 4
"""Hands out slices of work to devices; has no instances of its own."""

BATCH_MODES = ("count", "drain", "timeout")
"""What closes a batch."""

SHORTEST_S = 1e-12
"""No task that occupies a resource takes less: a zero-time task on a FIFO resource breaks its order."""


@dataclass(frozen=True, eq=False)
class Program:
    """The template of one iteration as columns, one row a task, and one row an edge.

    Columns by task (T of them): ``resource`` int32[T] (-1: none), ``seconds`` float64[T] (what it
    occupies its resource for; 0 on a channel), ``bytes`` float64[T] (of the message it carries),
    ``overhead`` float64[T] (seconds on its channel before the bytes), ``latency`` float64[T]
    (seconds from the last byte sent to the last byte there, counted once a message),
    ``message`` int32[T] (tasks that are hops of one message share a number; -1: none),
    ``priority`` int32[T], ``node`` int8[T] (``NODE_TASK``, ``NODE_JOIN``, ``NODE_BATCH``,
    ``NODE_RING``, ``NODE_DISPATCH``).

    Columns by edge (E of them): ``source``, ``target``, ``distance`` int32[E], ``lag`` float64[E],
    ``at_start`` bool[E] (the token leaves when the source starts, not when it ends).
    """

    name: str
    iterations: int
    links: tuple[Link, ...]
    resources: tuple[Resource, ...]
    tasks: tuple[str, ...]
    ops: tuple[Op, ...]
    resource: NDArray[np.int32]
    seconds: NDArray[np.float64]
    bytes: NDArray[np.float64]
    overhead: NDArray[np.float64]
    latency: NDArray[np.float64]
    message: NDArray[np.int32]
    priority: NDArray[np.int32]
    node: NDArray[np.int8]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    distance: NDArray[np.int32]
    lag: NDArray[np.float64]
    at_start: NDArray[np.bool_]
    durations: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    """Tasks whose ``seconds`` differ by iteration: float64[:meth:`most_runs`]."""
    lags: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    """Edges whose ``lag`` differs by iteration of the target: float64[iterations]."""
    stretch: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    """Messages on channels whose bytes take a factor longer, by iteration: float64[iterations]."""
    joins: Mapping[int, int] = field(default_factory=dict)
    """How many tokens each join waits for."""
    batches: Mapping[int, Batch] = field(default_factory=dict)
    """What each batch node gathers."""
    cancels: tuple[int, ...] = ()
    """Joins whose late feeders stop when they fire, ascending."""
    dispatches: Mapping[int, Dispatch] = field(default_factory=dict)
    """What each dispatch node hands out."""
    rings: tuple[Ring, ...] = ()
    """Messages that are not in the template one by one."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the strategy that compiled it, plain JSON; see :func:`simpar.strategies.compile`."""

    def __len__(self) -> int:
        """Return the number of tasks in one iteration."""
        return len(self.tasks)

    def __repr__(self) -> str:
        """Return one line with the counts."""
        return (
            f"<Program {self.name!r}: {len(self.tasks)} tasks and {len(self.source)} edges an iteration, "
            f"{self.iterations} iterations, {len(self.resources)} resources, {len(self.links)} links"
            + (f", {self.folded:,} messages in {len(self.rings)} rings>" if self.rings else ">")
        )

    @property
    def folded(self) -> int:
        """How many messages of an iteration rings stand for, beyond those in the template."""
        return sum(ring.messages - len(ring.exits) for ring in self.rings)

    @property
    def instances(self) -> int:
        """How many task instances a run has: all tasks and messages of all iterations."""
        return (len(self.tasks) + self.folded) * self.iterations

    def expanded(self) -> Program:
        """Return the program with all messages of its rings in the template; itself where it has no rings."""
        from simpar.program.expand import expanded

        return expanded(self)

    def task(self, name: str) -> int:
        """Return the index (which is the rank) of the task called *name*.

        Raises:
            KeyError: there is none.
        """
        try:
            return self.tasks.index(name)
        except ValueError:
            raise KeyError(name) from None

    def edges(self) -> Iterator[tuple[int, int, int, float, bool]]:
        """Return (source, target, distance, lag, at_start) of every edge, as plain Python values."""
        return zip(
            self.source.tolist(),
            self.target.tolist(),
            self.distance.tolist(),
            self.lag.tolist(),
            self.at_start.tolist(),
            strict=True,
        )

    @property
    def only_reference(self) -> str:
        """What of the program the compiled engine does not know; '' where it can run it."""
        if self.dispatches:
            return "slices that go to whoever is free"
        return "joins that cancel what is late" if self.cancels else ""

    @cached_property
    def batch_of_update(self) -> dict[int, int]:
        """The batch node that each update task belongs to."""
        return {batch.update: node for node, batch in self.batches.items()}

    @cached_property
    def lane_of(self) -> dict[int, tuple[int, int]]:
        """The (dispatch node, number of the lane) that each task of a lane belongs to."""
        return {
            task: (node, lane)
            for node, dispatch in self.dispatches.items()
            for lane, tasks in enumerate(dispatch.lanes)
            for task in tasks
        }

    @cached_property
    def numbered(self) -> frozenset[int]:
        """Tasks whose instances have numbers of their own and not the program's iterations.

        Those are updates of batches, and what slices go through that are handed out.
        """
        return frozenset(self.batch_of_update) | frozenset(self.lane_of)

    @cached_property
    def feeders(self) -> dict[int, tuple[int, ...]]:
        """By join that cancels, the tasks that lead to it within an iteration, ascending."""
        before: dict[int, list[int]] = {}
        now = self.distance == 0
        for u, v in zip(self.source[now].tolist(), self.target[now].tolist(), strict=True):
            before.setdefault(v, []).append(u)
        found = {}
        for join in self.cancels:
            seen: set[int] = set()
            todo = [join]
            while todo:
                todo = [u for v in todo for u in before.get(v, ()) if u not in seen]
                seen.update(todo)
            found[join] = tuple(sorted(seen))
        return found

    def most_runs(self, task: int) -> int:
        """Return how many instances *task* may have: one an iteration, or a token where it is numbered."""
        if task in self.batch_of_update:
            return self.iterations * len(self.batches[self.batch_of_update[task]].senders)
        if task in self.lane_of:
            return self.iterations * len(self.dispatches[self.lane_of[task][0]].senders)
        return self.iterations

    def is_flow(self, task: int) -> bool:
        """Say whether *task* transmits bytes over a channel, lone or shared."""
        r = self._resource_of[task]
        return r >= 0 and self.resources[r].kind == "channel"

    @cached_property
    def are_flows(self) -> NDArray[np.bool_]:
        """By task, whether it transmits bytes over a channel: bool[T]."""
        channel = [resource.kind == "channel" for resource in self.resources]
        by_task: NDArray[np.bool_] = np.array([*channel, False])[self.resource]  # -1, for none, is the last
        return by_task

    @cached_property
    def hops(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(task, link) of every link that the message of each task crosses: two columns, by task."""
        found = [(task, link) for task in range(len(self)) for link in self.route(task)]
        task, link = np.array(found, dtype=np.int64).reshape(-1, 2).T
        return task, link

    def route(self, task: int) -> tuple[int, ...]:
        """Return the links that *task*'s message crosses on its resource; empty where it is no message."""
        r = self._resource_of[task]
        return self.resources[r].route if r >= 0 and self.message[task] >= 0 else ()

    @cached_property
    def lone_rate(self) -> list[float]:
        """By resource, the bytes per second of a lone channel; 0 for anything else."""
        crossing = Counter(
            link for resource in self.resources if resource.kind == "channel" for link in resource.route
        )
        return [
            min(self.links[link].bytes_per_s for link in resource.route)
            if resource.kind == "channel"
            and resource.discipline == "fifo"
            and resource.route
            and all(crossing[link] == 1 for link in resource.route)
            else 0.0
            for resource in self.resources
        ]

    @cached_property
    def shared_routes(self) -> list[tuple[int, ...]]:
        """By resource, the links that a channel shares with others; none for anything else."""
        return [
            resource.route if resource.kind == "channel" and not rate else ()
            for resource, rate in zip(self.resources, self.lone_rate, strict=True)
        ]

    @cached_property
    def _resource_of(self) -> list[int]:
        """``resource`` as a list, from which single figures are read ten times as fast."""
        on: list[int] = self.resource.tolist()
        return on

    def link_bytes(self) -> NDArray[np.float64]:
        """Return the bytes that cross each link in one iteration: float64[links].

        Where slices are handed out, as if all devices got as many.
        """
        task, link = self.hops
        sent = self.sent_bytes * self.turns
        return np.bincount(link, sent[task], len(self.links)).astype(np.float64)

    @cached_property
    def turns(self) -> NDArray[np.float64]:
        """How often each task runs in an iteration: 1, but for slices that are handed out: float64[T].

        Of those it is the mean over the lanes.
        """
        found = np.ones(len(self))
        for dispatch in self.dispatches.values():
            found[[task for lane in dispatch.lanes for task in lane]] = len(dispatch.senders) / len(
                dispatch.lanes
            )
        return found

    @cached_property
    def sent_bytes(self) -> NDArray[np.float64]:
        """Bytes that each task sends when it runs, with all messages that it stands for: float64[T]."""
        sent = self.bytes.copy()
        for ring in self.rings:
            sent[list(ring.exits)] = ring.by_lane(np.array(ring.chunks))
        return sent

    # -- rules ---------------------------------------------------------------------------------

    def check(self) -> list[Problem]:
        """Return what is wrong with the program, all of it; empty when it can be run.

        Checked: sizes of the columns, indices within range, finite and non-negative times and
        bytes, unique names, no cycle at distance 0, ranks that rise along every zero-delay path, a lag
        on start edges to a later iteration or from a priority resource, no task on a resource that
        takes no time, that every message carries the same bytes over each of its hops, that joins wait for
        no more tokens than come, that what cancelled tasks feed is cancelled, too, that batches can fill,
        update and reply, that what is dispatched stays in its lane, and that rings have their channels to
        themselves.
        """
        from simpar.program.check import check

        return check(self)

    def require_valid(self) -> None:
        """Raise :class:`ProgramError` with everything that :meth:`check` finds."""
        problems = self.check()
        if problems:
            raise ProgramError(problems)

    # -- files ---------------------------------------------------------------------------------

    def _header(self) -> dict[str, Any]:
        nodes: dict[str, Any] = {}  # only where there are any: what has none keeps its digest
        if self.joins:
            nodes["joins"] = {str(task): k for task, k in sorted(self.joins.items())}
        if self.cancels:
            nodes["cancels"] = list(self.cancels)
        if self.dispatches:
            nodes["dispatches"] = {str(task): asdict(one) for task, one in sorted(self.dispatches.items())}
        if self.rings:
            nodes["rings"] = [asdict(ring) for ring in self.rings]
        if self.batches:
            nodes["batches"] = {str(task): asdict(batch) for task, batch in sorted(self.batches.items())}
        return nodes | {
            "format": FORMAT,
            "name": self.name,
            "iterations": self.iterations,
            "links": [asdict(link) for link in self.links],
            "resources": [asdict(resource) for resource in self.resources],
            "tasks": list(self.tasks),
            "ops": [op._asdict() for op in self.ops],
            "meta": dict(self.meta),
        }

    def _columns(self) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _COLUMNS}
        columns |= {f"durations.{task}": values for task, values in sorted(self.durations.items())}
        columns |= {f"lags.{edge}": values for edge, values in sorted(self.lags.items())}
        columns |= {f"stretch.{task}": values for task, values in sorted(self.stretch.items())}
        return columns

    def digest(self) -> str:
        """Return a hash of everything in the program, equal on every machine."""
        h = hashlib.sha256(json.dumps(self._header(), sort_keys=True, allow_nan=False).encode())
        for name, column in self._columns().items():
            h.update(name.encode())
            h.update(np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<")).tobytes())
        return h.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to *path* (NumPy's ``.npz``, no pickle), all of it or nothing.

        Raises:
            OSError: the folder does not exist or cannot be written.
        """
        target = Path(path)
        header = np.frombuffer(json.dumps(self._header(), allow_nan=False).encode(), dtype=np.uint8)
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                columns: dict[str, Any] = self._columns()
                np.savez_compressed(file, header=header, **columns)
            os.replace(part, target)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """Read what :meth:`save` wrote.

        Raises:
            ProgramError: the file is not a program, or one of another format.
            OSError: it cannot be read.
        """
        with open(path, "rb") as file:
            try:
                with np.load(file, allow_pickle=False) as archive:
                    columns = {name: archive[name] for name in archive.files}
                header = json.loads(bytes(columns.pop("header")).decode())
                if header["format"] == FORMAT:
                    return cls._of_parts(header, columns)
            except Exception as error:  # each of numpy, zipfile, zlib and json has its own
                raise ProgramError(f"{os.fspath(path)} is not a saved program: {error}") from None
        raise ProgramError(
            f"{os.fspath(path)} has format {header['format']}; this version reads format {FORMAT}"
        )

    @classmethod
    def _of_parts(cls, header: dict[str, Any], columns: dict[str, NDArray[Any]]) -> Program:
        """Return the program of what a file holds; any exception means that it holds something else."""
        varying: dict[str, dict[int, NDArray[np.float64]]] = {"durations": {}, "lags": {}, "stretch": {}}
        for name, values in columns.items():
            kind, _, index = name.partition(".")
            if index:
                varying[kind][int(index)] = values
        return cls(
            name=header["name"],
            iterations=header["iterations"],
            links=tuple(Link(**link) for link in header["links"]),
            resources=tuple(Resource(**{**r, "route": tuple(r["route"])}) for r in header["resources"]),
            tasks=tuple(header["tasks"]),
            ops=tuple(Op(**{**op, "layers": tuple(op["layers"])}) for op in header["ops"]),
            durations=varying["durations"],
            lags=varying["lags"],
            stretch=varying["stretch"],
            joins={int(task): k for task, k in header.get("joins", {}).items()},
            batches={
                int(task): Batch(**{**b, "senders": tuple(b["senders"]), "replies": tuple(b["replies"])})
                for task, b in header.get("batches", {}).items()
            },
            cancels=tuple(header.get("cancels", ())),
            dispatches={
                int(task): Dispatch(
                    tuple(one["senders"]), tuple(map(tuple, one["lanes"])), tuple(one["replies"])
                )
                for task, one in header.get("dispatches", {}).items()
            },
            rings=tuple(
                Ring(**{key: tuple(one) if isinstance(one, list) else one for key, one in ring.items()})  # type: ignore[arg-type]
                for ring in header.get("rings", ())
            ),
            meta=header["meta"],
            **{name: columns[name] for name in _COLUMNS},
        )


_COLUMNS = (
    "resource",
    "seconds",
    "bytes",
    "overhead",
    "latency",
    "message",
    "priority",
    "node",
    "source",
    "target",
    "distance",
    "lag",
    "at_start",
)
