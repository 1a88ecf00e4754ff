"""Where the loop of the compiled engine keeps what: the places in its counts and clocks, and its words.

Keys order an instant: what ends is below 0; then rank, iteration and whether it is an offer, packed; then
the grants by priority. Times are seconds.
"""

from __future__ import annotations

import math

DONE, PAUSED, WIDEN, OVERTAKEN, GROW, BROKEN, ROUNDS = range(7)
"""Why :func:`run` came back: all is done; its turn is over; a window of iterations is too narrow; something
direct came out of order; a list is full; a time is no finite number; all lanes of a ring are ready."""

EVENTS, NODES, NEXT_FREE, HEAD, TAIL, TOKENS, ARRIVALS, ROWS, TIMERS, DIRTY = range(10)
TASK, ITERATION, EDGE, LAST_EDGE, RING_TASK, RING_ITERATION = range(10, 16)
"""Places in ``State.counts``: what is in the heap; free nodes and the first of them; the ring's ends; tokens
of batches; arrivals at joins; instances done; timers in the heap; whether flows have changed; then where the
sending of tokens was left; the ring whose lanes are ready."""

KEEP, WIDTH, MASK, MOST_EVENTS = range(4)
"""Places in ``State.limits``: the first iteration whose rows are kept; iterations in a window, a power of 2;
size of the ring, a power of 2, less 1; size of the heap."""

NOW, DUE, HORIZON, START, END, LAST = range(6)
"""Places in ``State.clocks``: the time; the next end of a flow; the last time that anything happens, where
there are batches; the start and end of the instance whose tokens were being sent; the last end."""

FIFO, PLACES, LONE, QUEUED, PRIORITY, CHANNEL, PRIORITY_CHANNEL = range(7)
"""How a resource serves: what is ready first; the same, in several places; messages of a lone channel; from a
queue whose head is granted in its turn; by priority; then messages on a channel that shares its links."""

DIRECT, ORDERED = 1, 2
"""What an edge is whose target is plain, waits for nothing else, and has its lag always the same: its target
is looked at as soon as this is known, or when its turn comes. Others are 0."""

PLAIN, JOIN, GATHERING, RING = range(4)
"""What a task is."""

COUNT, DRAIN, TIMEOUT = range(3)
"""What closes a batch."""

RANK = 1 << 32
"""A rank in a key: what is left below is the iteration, twice, and whether it is an offer."""

LOW = RANK - 1
TURN = LOW
TIMER = LOW - 2
"""What is below the rank of a batch when it has its turn, and when a timer runs out."""

GRANTS = 1 << 62
"""Keys from here on are grants by priority; keys below 0 are ends, moved down by as much."""

FAR = math.inf
