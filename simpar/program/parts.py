"""What a program is made of: links, resources, operations, batches, dispatchers and rings.

:mod:`simpar.program.graph` says what they mean together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of one cable."""

    name: str
    """``w3.out``, ``ps0.in``."""

    bytes_per_s: float
    """Payload rate."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that a task occupies while it runs."""

    name: str
    """``w3``, ``ps0.cpu``, ``ps0.in``, ``w3>ps0``."""

    kind: str
    """``device``, ``server``, ``collective``, ``link`` (one message at a time), ``channel`` (shared)."""

    capacity: int = 1
    """Instances that it serves at once."""

    discipline: str = "fifo"
    """``fifo``, or ``priority`` for (priority, ready, rank, iteration)."""

    route: tuple[int, ...] = ()
    """Links that its messages cross, as indices into ``Program.links``."""


class Op(NamedTuple):
    """What a task really does, for those who run it and for those who explain it.

    Indices are -1 where they mean nothing.
    """

    kind: str
    """``load``, ``forward``, ``backward``, ``push``, ``apply``, ``pull``, ``merge`` and ``hand`` (gradients
    to, and parameters from, the first device of a machine), ``reduce_scatter``, ``all_gather``,
    ``all_reduce``, ``sum`` and ``share`` (the same two between servers that hold copies), ``records`` (of a
    worker, to the server that computes on them), ``activation``, ``gradient``, ``update``, ``start``,
    ``gather`` (waits for several)."""

    worker: int = -1
    """The worker whose work this is: the sender of a push or merge, the receiver of a pull or what is handed
    to it, the sender in a ring."""

    server: int = -1
    """The parameter server concerned."""

    peer: int = -1
    """The other worker of a message between workers, the other server of one between servers."""

    layers: tuple[int, int] = (-1, -1)
    """Half-open range of layers."""

    key: int = -1
    """Slice of the parameters (index into the placement), or -1 for all that this server holds."""

    part: int = -1
    """Slice of the work: microbatch, bucket."""

    step: int = -1
    """Step of a collective. Of a push that is not the last of its iteration, and of what a server does with
    it, its turn there."""


@dataclass(frozen=True, slots=True)
class Batch:
    """How a batch node gathers, and what it sets off. Tasks are indices."""

    mode: str
    """``count`` closes at the *count*-th token; ``timeout`` then, or *timeout_s* after the first; ``drain``
    asks for its update at the first token and takes in what comes until the update starts, that instant
    included."""

    update: int
    """The task that runs once a batch. It has as many instances as there were batches, and no edges."""

    senders: tuple[int, ...]
    """Whose ends bring tokens, ascending: the sources of the edges into the node."""

    replies: tuple[int, ...]
    """By sender, the task that gets a token when the update has ended; -1 where none does."""

    count: int = 1
    timeout_s: float = 0.0

    window: int = 1
    """Iterations of one sender that may be without a reply at once; it bounds what can ever gather."""

    at_once: bool = False
    """Whether members that do not fill the batch are answered as they come, before the update."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """How a dispatch node hands out slices of work, each to one of its lanes. Tasks are indices."""

    senders: tuple[int, ...]
    """Whose ends bring slices, ascending: the sources of the edges into the node."""

    lanes: tuple[tuple[int, ...], ...]
    """By device, the lower ranks first: the tasks that a slice goes through there, ascending. The first is
    ready when the slice is sent, and the end of the last frees the device. They have an instance for each
    slice that goes to their device, and no other; its iteration is the number of the slice."""

    replies: tuple[int, ...]
    """By sender, the task that gets a token when its slice is through; -1 where none does."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Messages that go round a ring of N lanes, round after round, written down once.

    In round r lane i sends chunk (i - r) mod N to lane i + 1, over the lone channel of its *exit*. It has to
    have received what it got in the round before, and, in the first N rounds, to have its own share: its
    *entry* must have ended. Tasks are indices.
    """

    entries: tuple[int, ...]
    """By lane, the task after whose end it takes part."""

    exits: tuple[int, ...]
    """By lane, its message of the last round; they follow each other in the template."""

    chunks: tuple[float, ...]
    """Bytes of each chunk."""

    rounds: int
    """2 (N - 1) of an all-reduce: N - 1 to sum, N - 1 to spread the sums."""

    summed_s: tuple[float, ...]
    """By chunk, seconds from the arrival of one that is summed until it is; 0 where that takes no time."""

    copied_s: tuple[float, ...]
    """By chunk, seconds from the arrival of one that is a sum already until it is stored."""

    edge: int
    """How many edges of the program come before its own."""

    @property
    def messages(self) -> int:
        """How many messages it stands for, those in the template among them."""
        return self.rounds * len(self.exits)

    def by_lane(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return, by lane, the sum of *values* (by chunk) over the chunks that it sends: float64[N]."""
        lanes = len(self.exits)
        turns, rest = divmod(self.rounds, lanes)
        # Beyond whole turns lane i sends the chunks from i - rest + 1 to i.
        before = np.concatenate([[0.0], np.cumsum(np.tile(values, 2))])
        last = np.arange(lanes + 1, 2 * lanes + 1)
        total: NDArray[np.float64] = turns * values.sum() + (before[last] - before[last - rest])
        return total

    def after_s(self, step: int, chunk: int) -> float:
        """Return the seconds from the arrival of *chunk* in round *step* until it may be sent on."""
        return (self.summed_s if step < len(self.exits) - 1 else self.copied_s)[chunk]
