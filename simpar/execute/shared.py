"""Memory that several processes share, and streams of bytes through it from one to another.

The memory is a file without a name: it goes when the last process that has it goes, however that ends. Each
ordered pair of processes has a ring of bytes that only one writes and only one reads, as a socket would, and
each process a *doorbell*, a pipe that others write a byte to when there is something to read.

Start with :class:`Memory` and :class:`ByteRing`.
"""

from __future__ import annotations

import mmap
import os
import select
import tempfile
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNED = 64
"""Bytes of a cache line, to multiples of which places are rounded up."""

ZEROS = bytes(1 << 20)


class Memory:
    """Shared memory without a name."""

    def __init__(self, handle: int, size: int) -> None:
        """Map *size* bytes of the open file *handle*."""
        self.handle, self.size = handle, size
        self._map = mmap.mmap(handle, size)

    @classmethod
    def make(cls, size: int) -> Memory:
        """Reserve *size* bytes: all of them, now, so that nobody dies of a full memory later.

        Raises:
            OSError: there is not enough room.
        """
        where = "/dev/shm" if os.path.isdir("/dev/shm") else None
        with tempfile.TemporaryFile(dir=where, buffering=0) as file:
            left = size
            while left > 0:
                left -= file.write(ZEROS[:left])
            return cls(os.dup(file.fileno()), size)

    def array(self, start: int, count: int, dtype: str) -> NDArray[Any]:
        """Return *count* elements from byte *start* on, without a copy."""
        return np.frombuffer(self._map, dtype=dtype, count=count, offset=start)

    def close(self) -> None:
        """Give the memory back; whoever still looks at a part of it keeps that."""
        os.close(self.handle)
        with suppress(BufferError):  # an array may still look at it: it goes with that
            self._map.close()


def aligned(size: int) -> int:
    """Return *size* rounded up to whole cache lines.

    >>> aligned(65)
    128
    """
    return -(-size // ALIGNED) * ALIGNED


class ByteRing:
    """A stream of bytes from one process to another."""

    def __init__(self, data: NDArray[np.uint8], counters: NDArray[np.int64]) -> None:
        """Use *data* for bytes that are on their way; *counters* are those written, and those read, so far.

        The two counters should be on cache lines of their own.
        """
        self._data, self._written, self._read = data, counters[:1], counters[-1:]
        self._size = len(data)

    def write(self, values: NDArray[np.uint8]) -> int:
        """Write as much of *values* as there is room for, and return how much that was."""
        place = int(self._written[0])
        count = min(len(values), self._size - (place - int(self._read[0])))
        begin = place % self._size
        first = min(count, self._size - begin)
        self._data[begin : begin + first] = values[:first]
        if count > first:
            self._data[: count - first] = values[first:count]
        self._written[0] = place + count
        return count

    def read(self, into: NDArray[np.uint8]) -> int:
        """Read as much as has come and as *into* holds, and return how much that was."""
        place = int(self._read[0])
        count = min(len(into), int(self._written[0]) - place)
        begin = place % self._size
        first = min(count, self._size - begin)
        into[:first] = self._data[begin : begin + first]
        if count > first:
            into[first:count] = self._data[: count - first]
        self._read[0] = place + count
        return count

    @property
    def has_more(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._written[0] != self._read[0])


class Doorbell:
    """What a process sleeps on until others have something for it, or whoever started it is gone."""

    def __init__(self, bell: int, life: int | None = None) -> None:
        """Listen to the pipe *bell*; *life* is one that nobody writes to and that ends with the starter."""
        self._bell, self._life = bell, life
        os.set_blocking(bell, False)
        self._heard = [bell] if life is None else [bell, life]

    def wait(self, seconds: float | None) -> None:
        """Sleep until somebody rings, at most so many seconds.

        Raises:
            OrphanedError: whoever started this process is gone.
        """
        if seconds is not None and seconds <= 0:
            return
        heard, _, _ = select.select(self._heard, [], [], seconds)
        if self._life in heard:
            raise OrphanedError
        try:
            while len(os.read(self._bell, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass


class OrphanedError(Exception):
    """Whoever started this process is gone."""


def ring_bell(handle: int) -> None:
    """Wake the process whose doorbell *handle* writes to."""
    with suppress(BlockingIOError):  # when so many have rung, it is awake anyway
        os.write(handle, b"\0")
