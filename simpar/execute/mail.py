"""What processes send one another: notes with something attached, in the order in which they were sent.

Arrays travel as they are, beside what says of them what they are (pickle's protocol 5, PEP 574): written
once into shared memory, and read once out of it.

Start with :class:`Mailbox`.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simpar.execute.shared import ByteRing, Doorbell, aligned, ring_bell

LEAD = 16
"""Bytes before a letter: how long its head and its body are."""

FULL_S = 2e-4
"""Seconds to wait before looking again whether a reader has made room."""


class Note(NamedTuple):
    """What one process tells another."""

    what: str
    """``message``, ``token`` or, of what a network holds back, ``arrival``."""
    task: int
    iteration: int
    sent_s: float
    """When it was sent; of an arrival, when its first byte was on its way."""
    load: Any = None
    """What goes with it; of an arrival, when its last byte was there."""


def packed(note: Note) -> tuple[list[NDArray[np.uint8]], int]:
    """Return the bytes of a letter, as pieces to be written one after another, and how many are of arrays."""
    buffers: list[pickle.PickleBuffer] = []
    load = pickle.dumps(note.load, protocol=5, buffer_callback=buffers.append)
    views = [np.frombuffer(buffer.raw(), dtype=np.uint8) for buffer in buffers]
    sizes = [len(view) for view in views]
    head = pickle.dumps((*note[:4], load, sizes))
    body = sum(aligned(size) for size in sizes)
    lead = np.array([len(head), body], dtype=np.int64).view(np.uint8)
    found = [np.concatenate([lead, np.frombuffer(head, dtype=np.uint8)])]
    for size, view in zip(sizes, views, strict=True):
        found.append(view)
        if aligned(size) > size:
            found.append(np.zeros(aligned(size) - size, dtype=np.uint8))
    return found, sum(sizes)


def unpacked(head: bytes, body: NDArray[np.uint8]) -> Note:
    """Return the note of a letter; its arrays are parts of *body*."""
    what, task, iteration, sent_s, load, sizes = pickle.loads(head)
    buffers, place = [], 0
    for size in sizes:
        buffers.append(body[place : place + size])
        place += aligned(size)
    return Note(what, task, iteration, sent_s, pickle.loads(load, buffers=buffers))


class Reader:
    """Letters out of a stream of bytes, as they come."""

    def __init__(self, ring: ByteRing) -> None:
        self._ring = ring
        self._lead = np.empty(LEAD, dtype=np.uint8)
        self._head = self._body = np.empty(0, dtype=np.uint8)
        self._stage, self._place = 0, 0

    def letters(self) -> list[Note]:
        """Return those that are complete by now."""
        found = []
        while self._ring.has_more or (self._stage and not len(self._part())):
            part = self._part()
            self._place += self._ring.read(part[self._place :])
            if self._place < len(part):
                break
            self._stage, self._place = self._stage + 1, 0
            if self._stage == 1:
                head, body = self._lead.view(np.int64).tolist()
                self._head, self._body = np.empty(head, dtype=np.uint8), np.empty(body, dtype=np.uint8)
            elif self._stage == 3:
                found.append(unpacked(self._head.tobytes(), self._body))
                self._stage = 0
        return found

    def _part(self) -> NDArray[np.uint8]:
        return (self._lead, self._head, self._body)[self._stage]


class Mailbox:
    """Where one process sends and receives."""

    def __init__(
        self,
        out: dict[int, ByteRing],
        into: dict[int, ByteRing],
        bells: Sequence[int],
        doorbell: Doorbell,
    ) -> None:
        """Take the rings out to, and in from, each other process, and all their bells."""
        self._out, self._bells, self._doorbell = out, bells, doorbell
        self._readers = [Reader(ring) for _, ring in sorted(into.items())]
        self._early: list[Note] = []

    def post(self, to: int, note: Note) -> int:
        """Send *note*, and return how many bytes its arrays have.

        While the reader makes room, what others send is taken in: so that none waits for ever.
        """
        ring = self._out[to]
        pieces, size = packed(note)
        for piece in pieces:
            place = 0
            while place < len(piece):
                written = ring.write(piece[place:])
                place += written
                if not written:
                    ring_bell(self._bells[to])
                    self._early += self._read()
                    self._doorbell.wait(FULL_S)
        ring_bell(self._bells[to])
        return size

    def receive(self, seconds: float | None) -> list[Note]:
        """Return what has come; if nothing has, wait for it, at most so many seconds.

        Raises:
            OrphanedError: whoever started this process is gone.
        """
        found = self._take()
        if not found:
            self._doorbell.wait(seconds)
            found = self._take()
        return found

    def _take(self) -> list[Note]:
        found, self._early = self._early, []
        return found + self._read()

    def _read(self) -> list[Note]:
        return [note for reader in self._readers for note in reader.letters()]
