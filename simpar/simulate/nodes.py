"""What joins, batches and dispatch nodes keep in mind while a program runs.

Nothing here has a clock: an engine says which tokens come and when a batch has its turn, and is told what
is ready, whom to answer and whether to set a timer. Start with :class:`Gathering`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from simpar.program import Batch, Dispatch, Program
from simpar.trace import NodeLog

Token = tuple[int, int]
"""(sender, its iteration)."""


@dataclass(slots=True)
class Turn:
    """What a batch node does in its turn."""

    updates: list[int]
    """Numbers of the updates that are ready now."""
    answers: list[Token]
    """Replies, each with its iteration, that leave at once."""
    timer: int | None
    """Number of the batch that has begun to gather and is to be closed by a timer."""


class Gathering:
    """One batch node in one run: the tokens that wait, and the members of each update."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.members: list[list[Token]] = []
        """By update, in the order in which they came. Of ``drain``, the last may take in more."""
        self.short: list[int] = []
        """Numbers of the updates whose batch was closed because nothing more could come."""
        self._reply = dict(zip(batch.senders, batch.replies, strict=True))
        self._new: list[Token] = []
        self._waiting: list[Token] = []
        self._open = False  # drain: the update asked for last has not started
        self._expired = -1  # timeout: the batch whose timer has run out
        self._timed = -1  # timeout: the last batch that was given a timer
        self._turn_due = False

    def enter(self, sender: int, iteration: int) -> bool:
        """Let a token come; return whether a turn is to be arranged in this instant."""
        self._new.append((sender, iteration))
        return self._ask()

    def expire(self, number: int) -> bool:
        """Let the timer of batch *number* run out; return what :meth:`enter` does."""
        self._expired = number
        return self._ask()

    def _ask(self) -> bool:
        asked, self._turn_due = self._turn_due, True
        return not asked

    def turn(self) -> Turn:
        """Take in what has come in this instant, in the order of (rank, iteration); then heed the timer."""
        self._turn_due = False
        found = Turn([], [], None)
        for token in sorted(self._new):
            if self.batch.mode == "drain":
                self._drain(token, found)
                continue
            self._waiting.append(token)
            if len(self._waiting) == self.batch.count:
                self._close(found)
            elif self.batch.at_once:
                found.answers += self._answer(token)
        self._new.clear()
        if self._waiting and self._expired == len(self.members):
            self._close(found)
        if self.batch.mode == "timeout" and self._waiting and self._timed < len(self.members):
            found.timer = self._timed = len(self.members)
        return found

    def _drain(self, token: Token, found: Turn) -> None:
        if self._open:
            self.members[-1].append(token)
        else:
            self._open = True
            self._waiting = [token]
            self._close(found)

    def _close(self, found: Turn) -> None:
        found.updates.append(len(self.members))
        self.members.append(self._waiting)
        self._waiting = []

    def start(self) -> None:
        """Note that the update asked for last has started: nobody joins it any more."""
        self._open = False

    def flush(self) -> list[int]:
        """Close what waits for more, as nothing can come; return the numbers of the updates now ready."""
        found = Turn([], [], None)
        if self._waiting and self.batch.mode == "count":
            self.short.append(len(self.members))
            self._close(found)
        return found.updates

    def replies(self, number: int) -> list[Token]:
        """Return whom update *number* releases: the (reply, iteration) of its members by rank."""
        members = self.members[number]
        if self.batch.at_once and number not in self.short:
            members = members[-1:]  # the one that filled it; the others have had their answers
        elif self.batch.at_once:
            members = []
        return [answer for token in sorted(members) for answer in self._answer(token)]

    def _answer(self, token: Token) -> list[Token]:
        reply = self._reply[token[0]]
        return [(reply, token[1])] if reply >= 0 else []

    @property
    def is_timed(self) -> bool:
        """Whether a timer is going to close what waits."""
        return self.batch.mode == "timeout" and bool(self._waiting)


class Dispatching:
    """One dispatch node in one run: the slices that wait, the lanes that are idle, who got what."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.sent: list[tuple[int, Token]] = []
        """By number of the slice: the lane that it went to, and whose token it was."""
        self._new: list[Token] = []
        self._waiting: deque[Token] = deque()
        self._freed = list(range(len(dispatch.lanes)))
        self._idle: deque[int] = deque()
        self._turn_due = False
        self._reply = dict(zip(dispatch.senders, dispatch.replies, strict=True))

    def enter(self, sender: int, iteration: int) -> bool:
        """Let a slice come; return whether a turn is to be arranged in this instant."""
        self._new.append((sender, iteration))
        return self._ask()

    def free(self, lane: int) -> bool:
        """Let a lane be idle from this instant on; return what :meth:`enter` does."""
        self._freed.append(lane)
        return self._ask()

    def _ask(self) -> bool:
        asked, self._turn_due = self._turn_due, True
        return not asked

    def turn(self) -> list[tuple[int, int]]:
        """Hand out what there is to who is idle; return the (lane, number) of each slice sent."""
        self._turn_due = False
        self._waiting.extend(sorted(self._new))
        self._idle.extend(sorted(self._freed))
        self._new.clear()
        self._freed.clear()
        found = []
        while self._waiting and self._idle:
            lane = self._idle.popleft()
            found.append((lane, len(self.sent)))
            self.sent.append((lane, self._waiting.popleft()))
        return found

    def reply(self, number: int) -> list[Token]:
        """Return who is answered when slice *number* is through: a (reply, iteration), or nobody."""
        _, (sender, iteration) = self.sent[number]
        reply = self._reply[sender]
        return [(reply, iteration)] if reply >= 0 else []


def log(
    program: Program,
    gatherings: Iterable[Gathering],
    arrived: dict[tuple[int, int], list[tuple[float, int]]],
    dispatchings: Iterable[Dispatching] = (),
    cancelled: Mapping[tuple[int, int], float] | None = None,
) -> NodeLog:
    """Return what the joins, batches and dispatch nodes of a run did.

    Args:
        arrived: by join and iteration, the (time, sender) of all its tokens; of senders that were cancelled
            the time is infinite.
        cancelled: by task and iteration, the share of its work that was done.
    """
    members, flushed, dropped = [], [], []
    for gathering in gatherings:
        update = gathering.batch.update
        for number, tokens in enumerate(gathering.members):
            members += [(update, number, sender, iteration) for sender, iteration in tokens]
        flushed += [(update, number) for number in gathering.short]
    for dispatching in dispatchings:
        for number, (lane, (sender, iteration)) in enumerate(dispatching.sent):
            members.append((dispatching.dispatch.lanes[lane][0], number, sender, iteration))
    for (join, iteration), came in sorted(arrived.items()):
        late = sorted(came)[program.joins[join] :]
        dropped += [(join, iteration, sender) for _, sender in late]
    members.sort(key=lambda member: member[:2])
    return NodeLog(
        members=np.array(members, dtype=np.int32).reshape(-1, 4),
        flushed=np.array(sorted(flushed), dtype=np.int32).reshape(-1, 2),
        dropped=np.array(dropped, dtype=np.int32).reshape(-1, 3),
        cancelled=np.array(sorted(cancelled or ()), dtype=np.int32).reshape(-1, 2),
        done_frac=np.array([done for _, done in sorted((cancelled or {}).items())], dtype=np.float64),
    )
