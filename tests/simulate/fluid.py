"""A second engine for fairly shared links: instants one by one, and rates from levels that links agree on.

Not meant to be quick. Times agree with the first engine's to rounding, so it is for programs whose order
does not hang on the last digit.
"""

import heapq
import itertools
import math
from collections import defaultdict


def level(offers, capacity):
    """Return the water level at which ``sum(min(offer, level))`` is *capacity*; inf where all offers fit."""
    left = capacity
    for served, offer in enumerate(sorted(offers)):
        share = left / (len(offers) - served)
        if offer > share:
            return share
        left -= offer
    return math.inf


def max_min(routes, capacity):
    """Return max-min rates: every link sets a level for what other links let through, until no rate moves."""
    levels = [math.inf] * len(capacity)
    users = [[route for route in routes if link in route] for link in range(len(capacity))]
    rates = [math.inf] * len(routes)
    while True:
        for link, crossing in enumerate(users):
            offers = [min((levels[o] for o in route if o != link), default=math.inf) for route in crossing]
            levels[link] = level(offers, capacity[link])
        before, rates = rates, [min(levels[link] for link in route) for route in routes]
        if all(math.isclose(a, b, rel_tol=1e-13) for a, b in zip(rates, before, strict=True)):
            return rates


def run(program):
    """Return (ready, start, end) of every (task, iteration)."""
    capacity = [link.bytes_per_s for link in program.links]
    edges = defaultdict(list)
    distances = defaultdict(list)
    for u, v, distance, lag, at_start in zip(
        program.source.tolist(),
        program.target.tolist(),
        program.distance.tolist(),
        program.lag.tolist(),
        program.at_start.tolist(),
        strict=True,
    ):
        edges[u, at_start].append((v, distance, lag))
        distances[v].append(distance)
    missing = {
        (task, m): sum(d <= m for d in distances[task])
        for task in range(len(program))
        for m in range(program.iterations)
    }
    rows, ready_at = {}, {}
    waiting = defaultdict(list)  # by resource: (ready, rank, iteration)
    places = [resource.capacity for resource in program.resources]
    later, number = [], itertools.count()  # (time, number, what to do, with what)
    flows = {}  # by channel: [bytes left, instance, rate]
    now = 0.0

    def at(time, do, *args):
        heapq.heappush(later, (time, next(number), do, args))

    def token(instance):
        missing[instance] -= 1
        if missing[instance] == 0:
            become_ready(instance)

    def become_ready(instance):
        task, m = instance
        ready_at[instance] = now
        on = int(program.resource[task])
        if on < 0:
            rows[instance] = now, now, now
            send(instance, True)
            send(instance, False)
        else:
            heapq.heappush(waiting[on], (now, task, m))

    def send(instance, at_start):
        task, m = instance
        for v, distance, lag in edges[task, at_start]:
            if m + distance < program.iterations:
                at(now + lag, token, (v, m + distance))

    def begin(instance):
        task, _ = instance
        rows[instance] = ready_at[instance], now, math.nan
        send(instance, True)
        if not program.is_flow(task):
            at(now + float(program.seconds[task]), end, instance, True)
        elif program.bytes[task]:
            at(now + float(program.overhead[task]), transmit, instance)
        else:
            at(now + float(program.overhead[task]), last_byte, instance)

    def transmit(instance):
        task = instance[0]
        flows[int(program.resource[task])] = [float(program.bytes[task]), instance, 0.0]

    def last_byte(instance):
        task = instance[0]
        places[int(program.resource[task])] += 1
        at(now + float(program.latency[task]), end, instance, False)

    def end(instance, release):
        task = instance[0]
        places[int(program.resource[task])] += release
        rows[instance] = *rows[instance][:2], now
        send(instance, False)

    def settle():
        while later and later[0][0] <= now:
            _, _, do, args = heapq.heappop(later)
            do(*args)

    for instance in [i for i, tokens in missing.items() if tokens == 0]:
        become_ready(instance)
    while True:
        settle()
        heads = [(queue[0][1], on) for on, queue in waiting.items() if queue and places[on]]
        if heads:
            _, on = min(heads)
            _, task, m = heapq.heappop(waiting[on])
            places[on] -= 1
            begin((task, m))
            continue
        routes = [program.resources[channel].route for channel in flows]
        for flow, rate in zip(flows.values(), max_min(routes, capacity), strict=True):
            flow[2] = rate
        ends = {channel: now + left / rate for channel, (left, _, rate) in flows.items()}
        soonest = min(ends.values(), default=math.inf)
        then = min(soonest, later[0][0] if later else math.inf)
        if then == math.inf:
            return rows
        for flow in flows.values():
            flow[0] -= flow[2] * (then - now)
        now = then
        for channel, ended in ends.items():
            if soonest <= then and ended <= soonest * (1 + 1e-12):
                last_byte(flows.pop(channel)[1])
