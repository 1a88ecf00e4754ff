"""Batches of the compiled engine: who waits, what closes them, whom an update answers.

The same rules as :mod:`simpar.simulate.nodes`, as plain functions on flat columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simpar.simulate.heap import push
from simpar.simulate.places import DRAIN, EVENTS, FAR, HORIZON, NOW, RANK, TIMEOUT, TIMER, TIMERS, TURN
from simpar.simulate.queues import ring_add

if TYPE_CHECKING:
    from simpar.simulate.columns import Columns, State


def close(c: Columns, s: State, batch: int) -> None:
    """Let the update of *batch* serve all that waits there."""
    number = s.updates[batch]
    row = c.first_update[batch] + number
    s.members[row] = s.waiting[batch]
    s.waiting[batch] = -1
    s.waiting_last[batch] = -1
    s.waiters[batch] = 0
    s.updates[batch] = number + 1
    task = c.update[batch]
    now = s.clocks[NOW]
    if c.is_direct[task]:
        ring_add(s, task, number, now)
    else:
        counts = s.counts
        counts[EVENTS] = push(s.heap_time, s.heap_key, counts[EVENTS], now, task * RANK + 2 * number)


def enter(c: Columns, s: State, node: int, token: int) -> None:
    """Let *token* come to the batch at *node*, behind what came in this instant from lower ranks."""
    batch = c.slot[node]
    before = -1
    here = s.new_last[batch]
    if here >= 0 and not (
        s.token_code[here] < s.token_code[token]
        or (s.token_code[here] == s.token_code[token] and s.token_iteration[here] < s.token_iteration[token])
    ):
        here = s.new[batch]
        while s.token_code[here] < s.token_code[token] or (
            s.token_code[here] == s.token_code[token] and s.token_iteration[here] < s.token_iteration[token]
        ):
            before = here
            here = s.token_next[here]
        s.token_next[token] = here
        if before < 0:
            s.new[batch] = token
        else:
            s.token_next[before] = token
    else:
        s.token_next[token] = -1
        if here >= 0:
            s.token_next[here] = token
        else:
            s.new[batch] = token
        s.new_last[batch] = token
    ask(c, s, node)


def ask(c: Columns, s: State, node: int) -> None:
    """Arrange a turn for the batch at *node* in this instant."""
    batch = c.slot[node]
    if not s.is_asked[batch]:
        s.is_asked[batch] = 1
        counts = s.counts
        counts[EVENTS] = push(s.heap_time, s.heap_key, counts[EVENTS], s.clocks[NOW], node * RANK + TURN)


def join_batch(s: State, batch: int, token: int) -> None:
    """Let *token* be the last of those that wait in *batch*."""
    s.token_next[token] = -1
    if s.waiting_last[batch] >= 0:
        s.token_next[s.waiting_last[batch]] = token
    else:
        s.waiting[batch] = token
    s.waiting_last[batch] = token
    s.waiters[batch] += 1


def turn(c: Columns, s: State, node: int) -> None:
    """Let the batch at *node* take in what has come in this instant; then heed its timer."""
    counts = s.counts
    now = s.clocks[NOW]
    batch = c.slot[node]
    s.is_asked[batch] = 0
    token = s.new[batch]
    s.new[batch] = -1
    s.new_last[batch] = -1
    mode = c.closes[batch]
    while token >= 0:
        following = s.token_next[token]
        number = s.updates[batch]
        if mode == DRAIN and number > 0 and now <= s.open_until[batch]:
            s.token_number[token] = number - 1
            s.token_next[token] = -1
            s.token_next[s.drain_last[batch]] = token
            s.drain_last[batch] = token
        elif mode == DRAIN:
            s.token_number[token] = number
            join_batch(s, batch, token)
            s.open_until[batch] = FAR
            s.drain_last[batch] = token
            close(c, s, batch)
        else:
            s.token_number[token] = number
            join_batch(s, batch, token)
            if s.waiters[batch] == c.fills[batch]:
                close(c, s, batch)
            elif c.answers_at_once[batch] and c.reply_of[s.token_code[token]] >= 0:
                ring_add(s, 3 * c.tasks + s.token_code[token], s.token_iteration[token], now)
        token = following
    if s.waiters[batch] > 0 and s.expired[batch] == s.updates[batch]:
        close(c, s, batch)
    if mode == TIMEOUT and s.waiters[batch] > 0 and s.timed[batch] < s.updates[batch]:
        s.timed[batch] = s.updates[batch]
        s.timer_due[batch] = now + c.timeout[batch]
        counts[TIMERS] += 1
        counts[EVENTS] = push(
            s.heap_time, s.heap_key, counts[EVENTS], s.timer_due[batch], node * RANK + TIMER
        )


def release(c: Columns, s: State, task: int, number: int) -> None:
    """Answer the members of an update that has ended."""
    batch = c.batch_of[task]
    now = s.clocks[NOW]
    row = c.first_update[batch] + number
    if c.answers_at_once[batch] and s.is_short[row]:
        return
    token = s.members[row]
    while token >= 0:
        following = s.token_next[token]
        # Where all are answered as they come, only the one that filled the batch is left.
        if (not c.answers_at_once[batch] or following < 0) and c.reply_of[s.token_code[token]] >= 0:
            ring_add(s, 3 * c.tasks + s.token_code[token], s.token_iteration[token], now)
        token = following


def flush(c: Columns, s: State) -> bool:
    """Close what waits for more where nothing can come any more; return whether anything did."""
    clocks = s.clocks
    flushed = False
    for batch in range(c.batches):
        if s.waiters[batch] > 0 and c.closes[batch] == TIMEOUT:
            return False  # its timer is going to
    for batch in range(c.batches):
        if s.waiters[batch] > 0:
            if clocks[HORIZON] > clocks[NOW]:
                clocks[NOW] = clocks[HORIZON]
            s.is_short[c.first_update[batch] + s.updates[batch]] = 1
            close(c, s, batch)
            flushed = True
    return flushed
