"""A second engine, written from the rules alone: one heap of arrivals, and ``start = max(ready, free)``.

An instance is looked at once, when it is ready, in the order (time, phase, rank, iteration): tasks that take
nothing first, then those on FIFO resources, then the grants of priority resources. What a FIFO resource
does with it follows at once from when its places become free. No channels here: :mod:`fluid` has those.
"""

import heapq
from collections import defaultdict

NOTHING, FIFO, GRANT = range(3)


def run(program):
    """Return (ready, start, end) of every (task, iteration) that ran."""
    tasks, iterations = len(program), program.iterations
    leaving, awaited = [[] for _ in range(tasks)], [[] for _ in range(tasks)]
    for edge in range(len(program.source)):
        u, v = int(program.source[edge]), int(program.target[edge])
        leaving[u].append((v, int(program.distance[edge]), edge, bool(program.at_start[edge])))
        awaited[v].append(int(program.distance[edge]))

    tokens = {}  # (task, iteration): (tokens still missing, time of the latest)
    arrivals = []
    rows = {}
    places = [[0.0] * resource.capacity for resource in program.resources]
    by_priority = [resource.discipline == "priority" for resource in program.resources]
    queues = defaultdict(list)

    def arrive(task, iteration, time):
        on = int(program.resource[task])
        heapq.heappush(arrivals, (time, NOTHING if on < 0 else FIFO, task, iteration))

    def missing(task, iteration):
        return sum(distance <= iteration for distance in awaited[task])

    def ran(task, iteration, ready, start):
        if task in program.durations:
            seconds = float(program.durations[task][iteration])
        else:
            seconds = float(program.seconds[task])
        end = start + seconds
        rows[task, iteration] = ready, start, end
        for after, distance, edge, at_start in leaving[task]:
            to = iteration + distance
            if to < iterations:
                lag = float(program.lags[edge][to] if edge in program.lags else program.lag[edge])
                arrived = (start if at_start else end) + lag
                left, latest = tokens.get((after, to), (missing(after, to), 0.0))
                tokens[after, to] = left - 1, max(latest, arrived)
                if left == 1:
                    arrive(after, to, tokens.pop((after, to))[1])
        return end

    for task in range(tasks):
        for iteration in range(iterations):
            if missing(task, iteration) == 0:
                arrive(task, iteration, 0.0)
    while arrivals:
        time, phase, task, iteration = heapq.heappop(arrivals)
        if phase == NOTHING:
            ran(task, iteration, time, time)
            continue
        on = task if phase == GRANT else int(program.resource[task])
        if phase == GRANT:
            queue = queues[on]
            while queue and min(places[on]) <= time:
                _, ready, first, number = heapq.heappop(queue)
                place = places[on].index(min(places[on]))
                places[on][place] = ran(first, number, ready, time)
                heapq.heappush(arrivals, (places[on][place], GRANT, on, -1))
        elif by_priority[on]:
            heapq.heappush(queues[on], (int(program.priority[task]), time, task, iteration))
            heapq.heappush(arrivals, (time, GRANT, on, -1))
        else:
            place = places[on].index(min(places[on]))
            places[on][place] = ran(task, iteration, time, max(time, places[on][place]))
    return rows
