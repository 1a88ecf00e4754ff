"""The events of a run as a heap by (time, key): of pairs in lists, or in two columns of arrays.

Each function has a twin that does the same on arrays; an engine takes one kind or the other.
"""

from __future__ import annotations

import heapq
from typing import Any


def push(times: Any, keys: Any, n: int, time: float, key: int) -> int:
    """Put an event into the heap of *n* events and return how many it has now."""
    heapq.heappush(times, (time, key))
    return n + 1


def drop(times: Any, keys: Any, n: int) -> int:
    """Take the first event out of the heap of *n* events and return how many are left."""
    heapq.heappop(times)
    return n - 1


def swap(times: Any, keys: Any, n: int, time: float, key: int) -> None:
    """Put an event in the place of the first one."""
    heapq.heapreplace(times, (time, key))


def first_time(times: Any) -> float:
    """Return the time of the first event."""
    time: float = times[0][0]
    return time


def first_key(times: Any, keys: Any) -> int:
    """Return the key of the first event."""
    key: int = times[0][1]
    return key


def push_array(times: Any, keys: Any, n: int, time: float, key: int) -> int:
    """Do what :func:`push` does, on arrays."""
    place = n
    while place > 0:
        above = (place - 1) >> 2
        if times[above] < time or (times[above] == time and keys[above] <= key):
            break
        times[place] = times[above]
        keys[place] = keys[above]
        place = above
    times[place] = time
    keys[place] = key
    return n + 1


def swap_array(times: Any, keys: Any, n: int, time: float, key: int) -> None:
    """Do what :func:`swap` does, on arrays."""
    place = 0
    while True:
        child = 4 * place + 1
        if child >= n:
            break
        least = child
        least_time = times[child]
        for other in range(child + 1, min(child + 4, n)):
            other_time = times[other]
            if other_time < least_time or (other_time == least_time and keys[other] < keys[least]):
                least = other
                least_time = other_time
        if time < least_time or (time == least_time and key < keys[least]):
            break
        times[place] = least_time
        keys[place] = keys[least]
        place = least
    times[place] = time
    keys[place] = key


def drop_array(times: Any, keys: Any, n: int) -> int:
    """Do what :func:`drop` does, on arrays."""
    n -= 1
    if n > 0:
        swap_array(times, keys, n, times[n], keys[n])
    return n


def first_time_array(times: Any) -> float:
    """Do what :func:`first_time` does, on arrays."""
    time: float = times[0]
    return time


def first_key_array(times: Any, keys: Any) -> int:
    """Do what :func:`first_key` does, on arrays."""
    key: int = keys[0]
    return key
