"""What the ops of a program mean for a model that is really trained.

An op says little: ``push`` of worker 3 to server 1, key 7. What that is, slices of which tensors, samples
from where, elements of a bucket from which to which, stands in the program's ``meta``; here it is read.

Start with :class:`Plan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from simpar.errors import ProgramError
from simpar.execute.updates import Update
from simpar.program import Op, Program

COMPUTING = frozenset({"forward", "backward", "update"})
HOLDING = frozenset({"apply", "publish"})
"""Work of a server that holds parameters."""
COLLECTIVE = frozenset({"reduce_scatter", "all_gather", "reduce", "broadcast", "exchange"})
BETWEEN_SERVERS = frozenset({"sum", "share"})
"""The same two between servers that hold copies of all parameters."""
SUMMING = frozenset({"reduce_scatter", "reduce", "exchange", "sum"})
"""Messages of collectives whose receiver adds what comes to what it has; of the others it takes it over."""

KNOWN = (
    COMPUTING
    | COLLECTIVE
    | BETWEEN_SERVERS
    | frozenset(
        {"load", "push", "pull", "add", "apply", "merge", "hand", "all_reduce", "activation", "gradient"}
        | {"start", "gather", "batch", "dispatch", "publish", "output", "predict", "records"}
    )
)
"""Ops that can be performed."""

KeyId = tuple[int, int]
"""Server and key, as ops name them: key -1 is everything that the server holds."""


class Run(NamedTuple):
    """A run of elements of one tensor."""

    tensor: int
    start: int
    elements: int


@dataclass(frozen=True, slots=True)
class Share:
    """What a message of a collective carries: elements of a bucket."""

    bucket: int
    begin: int
    end: int
    adds: bool
    """Whether the receiver adds it to its own."""


class Plan:
    """One program and the sizes of the tensors that it trains."""

    def __init__(self, program: Program, sizes: Sequence[int]) -> None:
        """Read what *program* says of its ops.

        Args:
            sizes: elements of each parameter tensor, in the model's order.

        Raises:
            ProgramError: it has ops that nobody knows how to perform, or says too little of them.
        """
        self.program, self.sizes, self.meta = program, tuple(sizes), program.meta
        kind = self.meta.get("kind", program.name)
        unknown = sorted({op.kind for op in program.ops} - KNOWN)
        if unknown:
            raise ProgramError(f"{kind} cannot be executed: nobody knows how to perform {', '.join(unknown)}")
        if not any(op.kind in COMPUTING for op in program.ops):
            raise ProgramError(f"{kind} cannot be executed: its tasks do not say what they do")
        self.batch = int(self._fact("batch"))
        self.global_batch = int(self._fact("global_batch"))
        self.itemsize = int(self._fact("dtype_bytes"))
        self.recompute = bool(self.meta.get("recompute"))
        """Whether workers keep what layers read, and compute these once more on the way back."""
        self.parts = [0, *accumulate(self.meta.get("parts", ()))]
        """Where the parts of an iteration's samples begin; just 0 where there are none."""
        self.shares = self.meta.get("shares") or [self.batch] * max(1, self.global_batch // self.batch)
        """By worker, its samples of an iteration."""
        self._begins_of_shares = [0, *accumulate(self.shares)]
        self.split = str(self.meta.get("split", ""))
        """The rule under which samples that are not neighbours are one worker's; '' where they are."""
        self.pull_every = int(self.meta.get("pull_every", 1))
        """Pushes of a worker for each of its pulls; in between it trains its own copy of the parameters."""
        self.update = Update.of(self.meta)
        """How parameters are updated."""
        self.window = int(self.meta.get("window", 1))
        """Iterations of a worker that may be on their way at once."""
        self.served = any(op.kind in HOLDING for op in program.ops)
        """Whether servers hold the parameters, so that no worker updates."""
        self.copies = int(self.meta.get("copies", 1))
        """Servers that hold all parameters each; 1 where every parameter is on one server."""
        self.pushes_models = self.meta.get("payload") == "model"
        """Whether workers make steps of their own and push parameters, of which servers make the mean."""
        self.predicts = any(op.kind == "predict" for op in program.ops)
        """Whether workers only predict, so that nothing is learned."""
        self.own_parameters = bool(self.meta.get("own_parameters", False))
        """Whether every worker has parameters of its own."""
        self.workers = sorted({op.worker for op in program.ops if op.kind in COMPUTING and op.worker >= 0})
        self.keys: dict[KeyId, tuple[Run, ...]] = self._keys() if self.served else {}
        self.buckets: list[list[int]] = [list(bucket) for bucket in self.meta.get("buckets", ())]
        self.columns: frozenset[int] = frozenset(self.meta.get("columns", ()))
        """Layers of which each worker has a share of the outputs."""
        self._exchanges = [tuple(exchange) for exchange in self.meta.get("exchanges", ())]
        self._exchange_of = {(layer, what): at for at, (layer, what, _) in enumerate(self._exchanges)}
        self._begins = self._message_begins()
        self.chunk_bounds = self._chunk_bounds()
        """Where the chunks of each bucket, or what else is exchanged, begin and end."""

    def _fact(self, name: str) -> Any:
        if name not in self.meta:
            raise ProgramError(f"{self.program.name} cannot be executed: its meta has no {name!r}")
        return self.meta[name]

    # -- samples -----------------------------------------------------------------------------------

    def runs(self, op: Op, iteration: int) -> list[tuple[int, int, int]]:
        """Return which samples of the stream *op* computes on: (first, count, step) of each run of them."""
        base = iteration * self.global_batch
        device, sizes = op.worker, self.shares
        if op.part >= 0 and len(self.parts) > 1:
            device, sizes = op.part, [high - low for low, high in pairwise(self.parts)]
        if self.split == "strided":
            return [(base + device, sizes[device], len(sizes))]
        if self.split == "literal":
            size, left = divmod(self.global_batch, len(sizes))
            single = [(base + len(sizes) * size + device, 1, 1)] if device < left else []
            return [(base + device * size, size, 1), *single]
        begins = self.parts if op.part >= 0 and len(self.parts) > 1 else self._begins_of_shares
        return [(base + begins[device], sizes[device], 1)]

    def samples(self, op: Op, iteration: int) -> tuple[int, int]:
        """Return the first sample of the stream that *op* computes on, and how many."""
        runs = self.runs(op, iteration)
        return runs[0][0], sum(count for _, count, _ in runs)

    def pushed(self, worker: int, turn: int) -> range | None:
        """Return the parts of an iteration whose gradients push *turn* of *worker* has; None for all."""
        if self.pull_every == 1:
            return None
        each = int(self.meta.get("push_every", 1))
        first = (worker * self.pull_every + (turn if turn >= 0 else self.pull_every - 1)) * each
        return range(first, first + each)

    def before_pull(self, op: Op) -> range | None:
        """Return the parts of the push that *op*, a pass backward, completes; None if a pull follows."""
        if self.pull_every == 1:
            return None
        each = int(self.meta.get("push_every", 1))
        turn, left = divmod(op.part + 1 - op.worker * self.pull_every * each, each)
        return self.pushed(op.worker, turn - 1) if not left and turn < self.pull_every else None

    def samples_of(self, worker: int) -> int:
        """Return how many samples of an iteration are *worker*'s."""
        if len(self.parts) == 1:
            return int(self.shares[worker])
        mine = {op.part for op in self.program.ops if op.kind == "backward" and op.worker == worker}
        return sum(self.parts[part + 1] - self.parts[part] for part in mine if part >= 0)

    def segments(self, worker: int) -> list[tuple[int, int]]:
        """Return the ranges of layers that *worker* computes at once, ascending.

        A pass forward may span several passes backward; what it keeps is cut as they are.
        """
        spans = {
            op.layers for op in self.program.ops if op.worker == worker and op.kind in ("forward", "backward")
        }
        bounds = sorted({bound for span in spans for bound in span})
        return [
            (low, high)
            for low, high in pairwise(bounds)
            if any(first <= low and high <= last for first, last in spans)
        ]

    # -- parameter servers -------------------------------------------------------------------------

    def _keys(self) -> dict[KeyId, tuple[Run, ...]]:
        """Return what each key that is updated or published consists of."""
        columns = self._fact("slices")
        rows = list(
            zip(columns["tensor"], columns["server"], columns["start"], columns["elements"], strict=True)
        )
        held: dict[int, list[Run]] = {}
        for tensor, server, start, elements in rows:
            held.setdefault(server, []).append(Run(tensor, start, elements))
        found: dict[KeyId, tuple[Run, ...]] = {}
        for op in self.program.ops:
            if op.kind in HOLDING and (op.server, op.key) not in found:
                if op.key < 0:
                    found[op.server, op.key] = tuple(held.get(op.server, ()))
                else:
                    tensor, _, start, elements = rows[op.key]
                    found[op.server, op.key] = (Run(tensor, start, elements),)
        covered = sum(run.elements for runs in found.values() for run in runs)
        if covered != self.copies * sum(self.sizes):
            raise ProgramError(
                f"{self.program.name} cannot be executed: its servers hold {covered:,} parameters and the "
                f"model has {sum(self.sizes):,}"
            )
        return found

    def keys_of(self, op: Op) -> list[KeyId]:
        """Return the keys that a ``merge`` or ``hand`` is about: one, or all."""
        return [key for key in self.keys if op.key < 0 or key[1] == op.key]

    # -- collectives -------------------------------------------------------------------------------

    def exchange_of(self, layer: int, what: str) -> int | None:
        """Return the number of the collective that exchanges *what* of a cut layer; None where none does."""
        return self._exchange_of.get((layer, what))

    def cut_tensors(self, counts: Sequence[int]) -> frozenset[int]:
        """Return the tensors of which each worker holds a share; *counts* are the tensors of each layer."""
        first = [0, *accumulate(counts)]
        return frozenset(tensor for layer in self.columns for tensor in range(first[layer], first[layer + 1]))

    def elements(self, bucket: int) -> int:
        """Return the elements of a bucket, or of what else a collective exchanges."""
        if self._exchanges:
            return int(self._exchanges[bucket][2])
        return sum(self.sizes[tensor] for tensor in self.buckets[bucket])

    def share(self, task: int) -> Share:
        """Return what the message *task* of a collective carries."""
        op = self.program.ops[task]
        if self._begins:
            begin = self._begins[int(self.program.message[task])]
            end = begin + round(float(self.program.bytes[task]) / self.itemsize)
        else:
            begin, end = self.chunk_bounds[op.part][op.key : op.key + 2]
        return Share(op.part, begin, end, op.kind in SUMMING)

    def _message_begins(self) -> dict[int, int]:
        """Return where in its bucket each message begins, by its number; none where the chunks say so."""
        begins = self.meta.get("begins")
        if begins is None:
            return {}
        numbers: dict[int, None] = {}
        for task, op in enumerate(self.program.ops):
            if op.kind in COLLECTIVE:
                numbers.setdefault(int(self.program.message[task]))
        if len(numbers) != len(begins):
            raise ProgramError(
                f"{self.program.name} cannot be executed: it has {len(numbers)} messages of collectives and "
                f"says of {len(begins)} where they begin"
            )
        return dict(zip(numbers, begins, strict=True))

    def _chunk_bounds(self) -> list[list[int]]:
        """Return where the chunks of each bucket begin and end: one for each who sums, larger ones first."""
        count, found = self.copies if self.served else len(self.workers), []
        for bucket in range(len(self._exchanges) or len(self.buckets)):
            size, longer = divmod(self.elements(bucket), count)
            found.append([0, *accumulate([size + 1] * longer + [size] * (count - longer))])
        return found


def elements(shape: Sequence[int]) -> int:
    """Return how many elements a tensor of *shape* has."""
    return math.prod(shape)
