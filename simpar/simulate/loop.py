"""The loop of the compiled engine, as plain functions on flat columns.

The same source runs as it stands on lists, and compiled by :mod:`simpar.simulate.jit` on NumPy arrays, with
the same bits. :mod:`simpar.simulate.layout` makes the columns.

An instance is looked at once, when it is ready: on a FIFO resource ``start = max(ready, free)`` and the end
follow at once, and the tokens travel on with times of their own. So nothing has to wait in the heap but what
must be put in order:

* instances on resources where several streams merge, by (ready, rank, iteration). All others are *direct*:
  they are looked at as soon as their last token is known, and a watch on their order stops the run where
  that was not in the order of time after all;
* tokens of joins and batches, which count in the order of time;
* ends on resources that serve by priority or share links, as who is served next depends on who is there.

Where the tokens of a merge come from one FIFO resource, they come in order, and only the first of such a
*stream* is in the heap.

:mod:`simpar.simulate.places` says how keys order an instant. Times are seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simpar.simulate.flows import complete, start
from simpar.simulate.gathers import ask, enter, flush, release, turn
from simpar.simulate.heap import drop, first_key, first_time, push, swap
from simpar.simulate.network import settle
from simpar.simulate.places import (
    ARRIVALS,
    CHANNEL,
    DIRECT,
    DIRTY,
    DONE,
    DUE,
    EDGE,
    END,
    EVENTS,
    FAR,
    FIFO,
    GATHERING,
    GRANTS,
    GROW,
    HEAD,
    HORIZON,
    ITERATION,
    JOIN,
    KEEP,
    LAST,
    LAST_EDGE,
    LONE,
    LOW,
    MASK,
    MOST_EVENTS,
    NEXT_FREE,
    NODES,
    NOW,
    OVERTAKEN,
    PAUSED,
    PLAIN,
    PRIORITY,
    PRIORITY_CHANNEL,
    QUEUED,
    RANK,
    RING,
    RING_ITERATION,
    RING_TASK,
    ROUNDS,
    ROWS,
    START,
    TAIL,
    TASK,
    TIMER,
    TIMERS,
    TOKENS,
    TURN,
    WIDEN,
    WIDTH,
)
from simpar.simulate.queues import dequeue, enqueue, first_queue, free_channel, offer, ring_add

if TYPE_CHECKING:
    from simpar.simulate.columns import Columns, State


def run(c: Columns, s: State, net: Any, budget: int) -> int:
    """Go on until all is done, *budget* more instances are, or something has to be mended; return why.

    Whoever mends what it came back for may call it again: it goes on where it was.
    """
    counts, clocks, limits = s.counts, s.clocks, s.limits
    tasks, iterations, streams, has_batches = c.tasks, c.iterations, c.streams, c.batches > 0
    first_edge, last_edge, targets, distances = c.first_edge, c.last_edge, c.target, c.distance
    lags, lag_rows, all_lags, at_start, is_only = c.lag, c.lag_row, c.all_lags, c.at_start, c.is_only
    slots, needs, is_direct, is_loose = c.slot, c.needs, c.is_direct, c.is_loose
    resources, serves, seconds, rows, all_seconds = c.resource, c.serves, c.seconds, c.row_of, c.all_seconds
    kinds, stream_of, batch_of = c.kind, c.stream_of, c.batch_of
    heap_time, heap_key, free, busy = s.heap_time, s.heap_key, s.free, s.busy
    ring_code, ring_iteration, ring_time = s.ring_code, s.ring_iteration, s.ring_time
    missing, latest, fired = s.missing, s.latest, s.fired
    last_ready, last_key = s.last_ready, s.last_key
    stream_key, stream_first, stream_last = s.stream_key, s.stream_first, s.stream_last
    stream_end, stream_end_key = s.stream_end, s.stream_end_key
    node_time, node_key, node_next = s.node_time, s.node_key, s.node_next
    keep, width, mask, most_events = limits[KEEP], limits[WIDTH], limits[MASK], limits[MOST_EVENTS]
    margin, burst, ring_size = c.margin, c.burst, mask + 1
    out_row, out_step, out_ready, out_start, out_end = c.row, c.row_step, s.ready, s.start, s.end

    now = clocks[NOW]
    task, iteration = counts[TASK], counts[ITERATION]
    edge, after_edge = counts[EDGE], counts[LAST_EDGE]
    begun, ended = clocks[START], clocks[END]
    last = clocks[LAST]
    head, tail = counts[HEAD], counts[TAIL]
    stop_at = counts[ROWS] + budget
    n = counts[EVENTS]
    done = counts[ROWS]
    status = PAUSED

    while True:
        # -- the tokens of what has just been looked at
        while edge < after_edge:
            target = targets[edge]
            there = iteration + distances[edge]
            if there < iterations:
                time = begun if at_start[edge] else ended
                only = is_only[edge]
                if only == DIRECT:
                    ring_code[tail & mask] = target
                    ring_iteration[tail & mask] = there
                    ring_time[tail & mask] = time + lags[edge]
                    tail += 1
                    edge += 1
                    continue
                if only:
                    time += lags[edge]
                else:
                    row = lag_rows[edge]
                    time += lags[edge] if row < 0 else all_lags[row + there]
                    slot = slots[target]
                    kind = kinds[target]
                    if kind == RING:
                        if there - fired[slot] >= width:
                            status = WIDEN
                            break
                        inside = there & (width - 1)
                        s.entered[(c.first_lane[slot] + c.reply_code[edge]) * width + inside] = time
                        place = slot * width + inside
                        missing[place] -= 1
                        edge += 1
                        if missing[place] == 0:
                            counts[RING_TASK] = target
                            counts[RING_ITERATION] = there
                            status = ROUNDS
                            break
                        continue
                    if kind != PLAIN:
                        if has_batches and time > clocks[HORIZON]:
                            clocks[HORIZON] = time
                        if kind == JOIN:
                            arrival = counts[ARRIVALS]
                            s.arrival_join[arrival] = target
                            s.arrival_iteration[arrival] = there
                            s.arrival_sender[arrival] = c.source[edge]
                            s.arrival_time[arrival] = time
                            counts[ARRIVALS] = arrival + 1
                            n = push(heap_time, heap_key, n, time, target * RANK + 2 * there - GRANTS)
                        else:
                            token = counts[TOKENS]
                            s.token_code[token] = c.reply_code[edge]
                            s.token_iteration[token] = there
                            counts[TOKENS] = token + 1
                            n = push(heap_time, heap_key, n, time, target * RANK + 2 * token)
                        edge += 1
                        continue
                    if slot >= 0:
                        if there - fired[slot] >= width:
                            status = WIDEN
                            break
                        place = slot * width + (there & (width - 1))
                        if latest[place] > time:
                            time = latest[place]
                        if has_batches and time > clocks[HORIZON]:
                            clocks[HORIZON] = time
                        left = missing[place]
                        if left > 1:
                            missing[place] = left - 1
                            latest[place] = time
                            edge += 1
                            continue
                        missing[place] = needs[slot]
                        latest[place] = 0.0
                        if is_loose[slot]:
                            s.is_fired[place] = 1
                            lowest = fired[slot]
                            while s.is_fired[slot * width + (lowest & (width - 1))]:
                                s.is_fired[slot * width + (lowest & (width - 1))] = 0
                                lowest += 1
                            fired[slot] = lowest
                        else:
                            fired[slot] += 1
                if not only and is_direct[target]:
                    ring_code[tail & mask] = target
                    ring_iteration[tail & mask] = there
                    ring_time[tail & mask] = time
                    tail += 1
                else:
                    key = target * RANK + 2 * there
                    stream = stream_of[target] if streams else -1
                    if stream < 0:
                        n = push(heap_time, heap_key, n, time, key)
                    elif stream_key[stream] < 0:
                        stream_key[stream] = key
                        stream_end[stream] = time
                        stream_end_key[stream] = key
                        n = push(heap_time, heap_key, n, time, key)
                    elif time > stream_end[stream] or (
                        time == stream_end[stream] and key > stream_end_key[stream]
                    ):
                        node = counts[NEXT_FREE]
                        counts[NEXT_FREE] = node_next[node]
                        counts[NODES] -= 1
                        node_time[node] = time
                        node_key[node] = key
                        node_next[node] = -1
                        if stream_first[stream] < 0:
                            stream_first[stream] = node
                        else:
                            node_next[stream_last[stream]] = node
                        stream_last[stream] = node
                        stream_end[stream] = time
                        stream_end_key[stream] = key
                    else:
                        n = push(heap_time, heap_key, n, time, key)
            edge += 1
        if status != PAUSED:
            break

        # -- what is next
        if n + margin > most_events or counts[NODES] < margin or tail - head + burst > ring_size:
            status = GROW
            break
        if done >= stop_at:
            break
        grant = -1  # the resource that is granted to (task, iteration)
        code = -1
        if head != tail:
            code = ring_code[head & mask]
            iteration = ring_iteration[head & mask]
            time = ring_time[head & mask]
            head += 1
        else:
            # Here the clock stands where the heap says. What the functions below see is in the state.
            first = first_time(heap_time) if n > 0 else FAR
            if counts[DIRTY] and first > now:
                wait = settle(net, now)
                clocks[DUE] = now + wait
                counts[DIRTY] = 0
                continue
            if clocks[DUE] <= first and clocks[DUE] < FAR:
                now = clocks[DUE]
                clocks[NOW] = now
                clocks[DUE] = FAR
                counts[DIRTY] = 1
                counts[EVENTS], counts[HEAD], counts[TAIL], counts[ROWS] = n, head, tail, done
                for index in range(complete(net)):
                    free_channel(c, s, net.done[index])
                n, tail, done = counts[EVENTS], counts[TAIL], counts[ROWS]
                if clocks[LAST] > last:
                    last = clocks[LAST]
                continue
            if has_batches and n == counts[TIMERS] and not counts[DIRTY] and clocks[DUE] == FAR:
                counts[EVENTS], counts[HEAD], counts[TAIL], counts[ROWS] = n, head, tail, done
                clocks[NOW] = now
                if flush(c, s):
                    n, tail, now = counts[EVENTS], counts[TAIL], clocks[NOW]
                    continue
            if n == 0:
                status = DONE
                break
            key = first_key(heap_time, heap_key)
            now = first
            stream = -1
            if 0 <= key < GRANTS:
                task = key >> 32
                stream = stream_of[task] if streams else -1
            if stream >= 0 and stream_key[stream] == key:
                node = stream_first[stream]
                if node >= 0:
                    stream_first[stream] = node_next[node]
                    stream_key[stream] = node_key[node]
                    node_next[node] = counts[NEXT_FREE]
                    counts[NEXT_FREE] = node
                    counts[NODES] += 1
                    swap(heap_time, heap_key, n, node_time[node], node_key[node])
                else:
                    stream_key[stream] = -1
                    n = drop(heap_time, heap_key, n)
            else:
                n = drop(heap_time, heap_key, n)
            if 0 <= key < GRANTS and not key & 1 and kinds[task] == PLAIN:
                code = task
                iteration = (key & LOW) >> 1
                time = now
            else:
                clocks[NOW] = now
                if now > clocks[HORIZON] and (key & LOW) != TIMER:
                    clocks[HORIZON] = now
                counts[EVENTS], counts[HEAD], counts[TAIL], counts[ROWS] = n, head, tail, done
                if key >= GRANTS:
                    grant = key - GRANTS
                    s.is_offered[grant] = 0
                    if s.places[grant] == 0 or first_queue(c, s, grant) < 0:
                        continue
                elif key < 0:
                    key += GRANTS
                    task = key >> 32
                    iteration = (key & LOW) >> 1
                    if kinds[task] == JOIN:
                        slot = slots[task]
                        if iteration - fired[slot] >= width:
                            n = push(heap_time, heap_key, n, now, key - GRANTS)
                            status = WIDEN
                            break
                        place = slot * width + (iteration & (width - 1))
                        missing[place] -= 1
                        s.coming[place] -= 1
                        if missing[place] == 0:
                            ring_add(s, task, iteration, now)
                            tail = counts[TAIL]
                        if s.coming[place] == 0:
                            missing[place] = needs[slot]
                            s.coming[place] = c.come[slot]
                            s.is_fired[place] = 1
                            lowest = fired[slot]
                            while s.is_fired[slot * width + (lowest & (width - 1))]:
                                s.is_fired[slot * width + (lowest & (width - 1))] = 0
                                lowest += 1
                            fired[slot] = lowest
                        continue
                    resource = resources[task]
                    serve = serves[resource] if resource >= 0 else FIFO
                    if serve >= CHANNEL:
                        stretch = c.stretch_row[task]
                        if c.size[task] > 0:
                            times = 1.0 if stretch < 0 else c.all_stretches[stretch + iteration]
                            start(net, resource, c.size[task] * times)
                            counts[DIRTY] = 1
                        else:
                            free_channel(c, s, resource)
                            n, tail, done = counts[EVENTS], counts[TAIL], counts[ROWS]
                            if clocks[LAST] > last:
                                last = clocks[LAST]
                        continue
                    if serve >= QUEUED:
                        s.places[resource] += 1
                        offer(c, s, resource)
                    if batch_of[task] >= 0:
                        release(c, s, task, iteration)
                    n, tail = counts[EVENTS], counts[TAIL]
                    continue
                elif kinds[task] == GATHERING:
                    low = key & LOW
                    if low == TURN:
                        turn(c, s, task)
                    elif low == TIMER:
                        counts[TIMERS] -= 1
                        batch = slots[task]
                        if s.waiters[batch] > 0 and s.timer_due[batch] == now:
                            s.expired[batch] = s.timed[batch]
                            ask(c, s, task)
                    else:
                        enter(c, s, task, low >> 1)
                    n, tail = counts[EVENTS], counts[TAIL]
                    continue
                else:  # the offer of a place to the head of a queue, which may be another by now
                    resource = resources[task]
                    queue = c.first_queue[resource]
                    waits = s.queue_head[queue]
                    if s.places[resource] == 0 or waits < 0 or node_key[waits] != key - 1:
                        continue
                    grant = resource

        # -- an instance that is ready
        if code >= tasks:
            begun = time
            ended = time
            task = code
            edge = first_edge[code]
            after_edge = last_edge[code]
            continue
        if code >= 0:
            task = code
            resource = resources[task]
            if resource < 0:
                begun = time
                ended = time
            elif serves[resource] < QUEUED:
                row = rows[task]
                takes = seconds[task] if row < 0 else all_seconds[row + iteration]
                if is_direct[task]:  # others come from the heap, in their order
                    key = task * RANK + 2 * iteration
                    if time < last_ready[resource] or (
                        time == last_ready[resource] and key < last_key[resource]
                    ):
                        status = OVERTAKEN
                        break
                    last_ready[resource] = time
                    last_key[resource] = key
                if serves[resource] == FIFO:
                    begun = free[resource]
                    if time > begun:
                        begun = time
                    ended = begun + takes
                    free[resource] = ended
                elif serves[resource] == LONE:
                    begun = free[resource]
                    if time > begun:
                        begun = time
                    ended = begun + takes
                    free[resource] = ended
                    ended += c.tail[task]
                else:
                    place = c.first_place[resource]
                    for other in range(place + 1, c.first_place[resource + 1]):
                        if s.place_free[other] < s.place_free[place]:
                            place = other
                    begun = s.place_free[place]
                    if time > begun:
                        begun = time
                    ended = begun + takes
                    s.place_free[place] = ended
                busy[resource] += takes
                if has_batches:
                    if ended > clocks[HORIZON]:
                        clocks[HORIZON] = ended
                    if batch_of[task] >= 0:
                        s.open_until[batch_of[task]] = begun
            else:
                counts[EVENTS], counts[HEAD], counts[TAIL], counts[ROWS] = n, head, tail, done
                clocks[NOW] = now
                key = task * RANK + 2 * iteration
                serve = serves[resource]
                is_first = enqueue(s, c.queue_of[task], time, key)
                if s.places[resource] == 0:
                    continue
                if serve in (PRIORITY, PRIORITY_CHANNEL):
                    offer(c, s, resource)
                    n = counts[EVENTS]
                    continue
                if not is_first:
                    continue
                if s.queue_head[c.queue_of[task]] != s.queue_tail[c.queue_of[task]]:
                    offer(c, s, resource)
                    n = counts[EVENTS]
                    continue
                grant = resource

        if grant >= 0:
            node = dequeue(s, first_queue(c, s, grant))
            key = node_key[node]
            task = key >> 32
            iteration = (key & LOW) >> 1
            time = node_time[node]
            begun = now
            s.places[grant] -= 1
            if batch_of[task] >= 0:
                s.open_until[batch_of[task]] = now
            if serves[grant] >= CHANNEL:
                s.on_task[grant] = task
                s.on_iteration[grant] = iteration
                s.on_ready[grant] = time
                s.on_start[grant] = now
                if c.overhead[task] > 0:
                    then = task * RANK + 2 * iteration - GRANTS
                    n = push(heap_time, heap_key, n, now + c.overhead[task], then)
                else:
                    stretch = c.stretch_row[task]
                    times = 1.0 if stretch < 0 else c.all_stretches[stretch + iteration]
                    start(net, grant, c.size[task] * times)
                    counts[DIRTY] = 1
                ended = now
                edge = first_edge[2 * tasks + task]
                after_edge = last_edge[2 * tasks + task]
                continue
            row = rows[task]
            takes = seconds[task] if row < 0 else all_seconds[row + iteration]
            ended = begun + takes
            busy[grant] += takes
            n = push(heap_time, heap_key, n, ended, task * RANK + 2 * iteration - GRANTS)
            ended += c.tail[task]
            if has_batches and ended > clocks[HORIZON]:
                clocks[HORIZON] = ended
            if s.places[grant] > 0:
                counts[EVENTS] = n
                offer(c, s, grant)
                n = counts[EVENTS]
        elif has_batches and batch_of[task] >= 0:
            n = push(heap_time, heap_key, n, ended, task * RANK + 2 * iteration - GRANTS)

        done += 1
        if ended > last:
            last = ended
        if iteration >= keep:
            row = out_row[task] + iteration * out_step[task]
            out_ready[row] = time
            out_start[row] = begun
            out_end[row] = ended
        edge = first_edge[task]
        after_edge = last_edge[task]

    clocks[NOW] = now
    clocks[LAST] = last
    clocks[START] = begun
    clocks[END] = ended
    counts[EVENTS] = n
    counts[HEAD] = head
    counts[TAIL] = tail
    counts[TASK] = task
    counts[ITERATION] = iteration
    counts[EDGE] = edge
    counts[LAST_EDGE] = after_edge
    counts[ROWS] = done
    return status
