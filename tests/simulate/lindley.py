"""A second engine, written from the rules alone: one heap of arrivals, and ``start = max(ready, free)``.

An instance is looked at once, when it is ready, in the order (time, phase, rank, iteration): tasks that take
nothing first, then those on FIFO resources and what batches gather, then the grants of priority resources.
What a FIFO resource does with it follows at once from when its places become free. No channels here:
:mod:`fluid` has those.
"""

import heapq
import math
from collections import defaultdict

NOTHING, FIFO, GRANT = range(3)


def run(program):
    """Return (ready, start, end) of every (task, iteration) that ran."""
    return run_with_nodes(program)[0]


def run_with_nodes(program):
    """Return that, and the members of each (update, number), the updates flushed, the tokens dropped."""
    tasks, iterations = len(program), program.iterations
    leaving, awaited = [[] for _ in range(tasks)], [[] for _ in range(tasks)]
    for edge in range(len(program.source)):
        u, v = int(program.source[edge]), int(program.target[edge])
        leaving[u].append((v, int(program.distance[edge]), edge, bool(program.at_start[edge])))
        awaited[v].append(int(program.distance[edge]))
    node_of = {batch.update: node for node, batch in program.batches.items()}
    reply_of = {
        (node, sender): reply
        for node, batch in program.batches.items()
        for sender, reply in zip(batch.senders, batch.replies, strict=True)
        if reply >= 0
    }
    for reply in reply_of.values():
        awaited[reply].append(0)

    tokens = {}  # (task, iteration): (tokens still missing, time of the latest)
    arrivals = []
    rows = {}
    places = [[0.0] * resource.capacity for resource in program.resources]
    by_priority = [resource.discipline == "priority" for resource in program.resources]
    queues = defaultdict(list)
    at_join = defaultdict(list)  # (join, iteration): (time, sender) of its tokens in the order of time
    members = {}  # (update, number): tokens
    gathering = {node: [] for node in program.batches}
    made = dict.fromkeys(program.batches, 0)
    draining = dict.fromkeys(program.batches, -math.inf)  # start of the last update, inf while unknown
    short = []
    last = 0.0  # the last thing that happened

    def arrive(task, iteration, time):
        on = int(program.resource[task])
        heapq.heappush(arrivals, (time, NOTHING if on < 0 else FIFO, task, iteration, 0, "ready"))

    def missing(task, iteration):
        come = sum(distance <= iteration for distance in awaited[task])
        return min(come, program.joins.get(task, come))

    def token(task, iteration, time, sender):
        nonlocal last
        if iteration >= iterations:
            return
        last = max(last, time)
        if task in program.batches:
            heapq.heappush(arrivals, (time, FIFO, task, sender, iteration, "gather"))
        elif task in program.joins:
            heapq.heappush(arrivals, (time, NOTHING, task, iteration, sender, "join"))
        else:
            left, latest = tokens.get((task, iteration), (missing(task, iteration), 0.0))
            tokens[task, iteration] = left - 1, max(latest, time)
            if left == 1:
                arrive(task, iteration, tokens.pop((task, iteration))[1])

    def ran(task, iteration, ready, start):
        nonlocal last
        if task in program.durations:
            seconds = float(program.durations[task][iteration])
        else:
            seconds = float(program.seconds[task])
        end = start + seconds
        last = max(last, end)
        rows[task, iteration] = ready, start, end
        if task in node_of:
            draining[node_of[task]] = start
            heapq.heappush(arrivals, (end, NOTHING, task, iteration, 0, "release"))
        for after, distance, edge, at_start in leaving[task]:
            to = iteration + distance
            if to < iterations:
                lag = float(program.lags[edge][to] if edge in program.lags else program.lag[edge])
                token(after, to, (start if at_start else end) + lag, task)
        return end

    def close(node, time):
        update = program.batches[node].update
        members[update, made[node]] = gathering[node]
        gathering[node] = []
        arrive(update, made[node], time)
        made[node] += 1

    def gather(node, sender, iteration, time):
        batch = program.batches[node]
        if batch.mode == "drain" and draining[node] >= time:
            members[batch.update, made[node] - 1].append((sender, iteration))
            return
        gathering[node].append((sender, iteration))
        if batch.mode == "drain":
            draining[node] = math.inf
            close(node, time)
        elif len(gathering[node]) == batch.count:
            close(node, time)
        elif batch.at_once and (node, sender) in reply_of:
            token(reply_of[node, sender], iteration, time, node)
        if batch.mode == "timeout" and len(gathering[node]) == 1:
            heapq.heappush(arrivals, (time + batch.timeout_s, FIFO, node, tasks, made[node], "timer"))

    def release(update, number, time):
        node = node_of[update]
        served = members[update, number]
        if program.batches[node].at_once:
            served = [] if (update, number) in short else served[-1:]
        for sender, iteration in served:
            if (node, sender) in reply_of:
                token(reply_of[node, sender], iteration, time, update)

    for task in range(tasks):
        for iteration in range(iterations):
            if missing(task, iteration) == 0 and task not in node_of:
                arrive(task, iteration, 0.0)
    while True:
        if not arrivals:
            left = [
                node for node, batch in program.batches.items() if batch.mode == "count" and gathering[node]
            ]
            for node in left:
                short.append((program.batches[node].update, made[node]))
                close(node, last)
            if not left:
                break
        time, phase, task, iteration, other, what = heapq.heappop(arrivals)
        if what == "join":
            at_join[task, iteration].append((time, other))
            if len(at_join[task, iteration]) == missing(task, iteration):
                ran(task, iteration, time, time)
        elif what == "gather":
            gather(task, iteration, other, time)
        elif what == "timer":
            if made[task] == other and gathering[task]:
                close(task, time)
        elif what == "release":
            release(task, iteration, time)
        elif phase == NOTHING:
            ran(task, iteration, time, time)
        elif phase == GRANT:
            queue, on = queues[task], task
            while queue and min(places[on]) <= time:
                _, ready, first, number = heapq.heappop(queue)
                place = places[on].index(min(places[on]))
                places[on][place] = ran(first, number, ready, time)
                heapq.heappush(arrivals, (places[on][place], GRANT, on, -1, 0, "grant"))
        else:
            on = int(program.resource[task])
            if by_priority[on]:
                heapq.heappush(queues[on], (int(program.priority[task]), time, task, iteration))
                heapq.heappush(arrivals, (time, GRANT, on, -1, 0, "grant"))
            else:
                place = places[on].index(min(places[on]))
                places[on][place] = ran(task, iteration, time, max(time, places[on][place]))
    dropped = [
        (join, iteration, sender)
        for (join, iteration), come in at_join.items()
        for _, sender in sorted(come)[program.joins[join] :]
    ]
    return rows, members, sorted(short), sorted(dropped)
