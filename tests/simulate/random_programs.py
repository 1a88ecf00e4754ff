"""Programs at random, by seed: lopsided on purpose, since symmetric ones hide mistakes of order."""

import random
from dataclasses import replace

import numpy as np

from simpar.program import NODE_JOIN, Op, ProgramBuilder


def _clock(rng, ties):
    """Return a function that draws a time: whole eighths with *ties*, at least *least* of them."""
    return lambda least: rng.randint(least, 8) / 8 if ties else max(1e-6 * least, rng.random())


def draw(seed, ties):
    """Return a program of FIFO and priority resources that keeps every rule.

    Its order in time is a random one, not that of the ranks: only edges without delay must rise.
    With *ties*, all times are eighths, so that much happens at once. Left out are starts that reach others
    without delay from a resource of several places, or through a task that takes nothing in a later
    iteration: there (ready, rank) and the order of an instant's grants can contradict each other.
    """
    rng = random.Random(seed)
    time = _clock(rng, ties)
    iterations = rng.randint(1, 6)
    builder = ProgramBuilder(f"random {seed}", iterations)
    resources = []
    for number in range(rng.randint(1, 4)):
        discipline = "priority" if rng.random() < 0.25 else "fifo"
        capacity = rng.choice([1, 1, 2, 3])
        made = builder.resource(f"r{number}", "device", capacity=capacity, discipline=discipline)
        resources.append((made, discipline == "priority" or capacity > 1))
    tasks = rng.randint(2, 14)
    places = [rng.choice(resources) if rng.random() < 0.8 else (-1, False) for _ in range(tasks)]
    for task, (resource, _) in enumerate(places):
        seconds = time(1) if resource >= 0 else 0.0
        builder.task(f"t{task}", Op("forward"), resource, seconds, priority=rng.randint(0, 3))

    order = rng.sample(range(tasks), tasks)
    lags = {}
    edges = 0
    for _ in range(rng.randint(tasks // 2, 3 * tasks)):
        distance = rng.choice([0, 0, 0, 1, 1, 2, 3])
        a, b = rng.randrange(tasks), rng.randrange(tasks)
        if distance == 0 and a == b:
            continue
        u, v = (order[min(a, b)], order[max(a, b)]) if distance == 0 else (order[a], order[b])
        resource, not_by_rank = places[u]
        at_start = rng.random() < 0.35
        at_once = at_start or resource < 0  # its token may leave at the instant in which u became ready
        must_lag = at_once and (u >= v or distance > 0 or not_by_rank)
        least = int(must_lag)
        lag = time(least) if must_lag or rng.random() < 0.4 else 0.0
        if rng.random() < 0.15:
            lags[edges] = np.array([time(least) for _ in range(iterations)])
        builder.edge(u, v, distance=distance, lag=lag, at_start=at_start)
        edges += 1
    durations = {
        task: np.array([time(1) for _ in range(iterations)])
        for task in range(tasks)
        if places[task][0] >= 0 and rng.random() < 0.3
    }
    return replace(builder.build(), durations=durations, lags=lags)


def draw_contradictions(seed, ties):
    """Return a program with what :func:`draw` leaves out: where (ready, rank) and the order of grants differ.

    Starts reach others at once from resources of several places, and later iterations through tasks that
    take nothing.
    """
    rng = random.Random(seed)
    time = _clock(rng, ties)
    builder = ProgramBuilder(f"contradictions {seed}", rng.randint(1, 6))
    resources = [builder.resource(f"r{n}", "device", capacity=rng.choice([1, 2, 3])) for n in range(3)]
    tasks = rng.randint(4, 14)
    places = [rng.choice(resources) if rng.random() < 0.7 else -1 for _ in range(tasks)]
    for task, resource in enumerate(places):
        builder.task(f"t{task}", Op("forward"), resource, time(1) if resource >= 0 else 0.0)
    for _ in range(rng.randint(tasks // 2, 2 * tasks)):
        u, v = sorted(rng.sample(range(tasks), 2))
        if rng.random() < 0.5 and places[u] >= 0:
            builder.edge(u, v, at_start=True)
        else:
            builder.edge(u, v, lag=rng.choice([0.0, time(1)]))
    for _ in range(rng.randint(0, 4)):
        u, v = rng.randrange(tasks), rng.randrange(tasks)
        lag = 0.0 if places[u] >= 0 or places[v] >= 0 else time(1)
        builder.edge(u, v, distance=rng.randint(1, 2), lag=lag)
    return builder.build()


def draw_joins(seed, ties):
    """Return a program of :func:`draw` in which some of the tasks without a resource wait for k of n only."""
    rng = random.Random(seed)
    program = draw(seed, ties)
    joins = {}
    for task in range(len(program)):
        come = int((program.target == task).sum())
        if program.resource[task] < 0 and come and rng.random() < 0.7:
            joins[task] = rng.randint(1, come)
    node = program.node.copy()
    node[list(joins)] = NODE_JOIN
    return replace(program, node=node, joins=joins)


def draw_servers(seed, ties):
    """Return a lopsided program of workers that push to servers with joins and batches of every kind.

    What it varies: who shares links and processors, in which order servers are pushed to, whether pushes are
    cut through, lags, capacities, priorities, a second batch fed by the same pushes, senders that never wait.
    """
    rng = random.Random(seed)
    time = _clock(rng, ties)
    iterations, workers, servers = rng.randint(1, 6), rng.randint(1, 5), rng.randint(1, 3)
    builder = ProgramBuilder(f"servers {seed}", iterations)
    lag = lambda: rng.choice([0.0, 0.0, time(1)])  # noqa: E731

    def resource(name):
        discipline = "priority" if rng.random() < 0.2 else "fifo"
        return builder.resource(name, "server", capacity=rng.choice([1, 1, 2, 3]), discipline=discipline)

    def task(name, on, after=(), behind=0.0):
        made = builder.task(name, Op("forward"), on, time(1), priority=rng.randint(0, 2))
        for before in after:
            builder.edge(before, made, lag=behind)
        return made

    devices = [builder.resource(f"w{rng.randrange(worker + 1)}", "device") for worker in range(workers)]
    up = [builder.resource(f"up{rng.randrange(worker + 1)}", "link") for worker in range(workers)]
    computes = [task(f"compute{worker}", devices[worker]) for worker in range(workers)]
    pushes = {}
    for place in range(servers):
        for worker in range(workers):
            server = (place + worker) % servers
            sent = task(f"push{worker}.{server}", up[worker], [computes[worker]], lag())
            if rng.random() < 0.6:
                down = builder.resource(f"down{server}", "link")
                seconds = time(1)
                there = builder.task(f"there{worker}.{server}", Op("push"), down, seconds)
                builder.edge(sent, there, at_start=True, lag=lag())
                sent = there
            if rng.random() < 0.25:  # what a server knows as soon as a message begins
                begun = builder.gather(f"begun{worker}.{server}", [])
                builder.edge(sent, begun, at_start=True)
                sent = begun
            pushes[worker, server] = sent
    pull_of = {}
    for server in range(servers):
        cpu = resource(f"cpu{rng.randrange(server + 1)}")
        tokens = [pushes[worker, server] for worker in range(workers)]
        if rng.random() < 0.4:
            tokens = [task(f"add{w}.{server}", cpu, [push]) for w, push in enumerate(tokens)]
        for layer in range(rng.choice([1, 1, 2])):
            name = f"{server}.{layer}"
            at_once = rng.random() < 0.3
            mode = "count" if at_once else rng.choice(["count", "drain", "timeout"])
            batch = builder.batch(
                f"batch{name}",
                tokens,
                mode,
                count=rng.randint(1, workers),
                timeout_s=time(1),
                at_once=at_once,
            )
            takes = mode == "drain" or rng.random() < 0.8
            update = builder.task(
                f"update{name}", Op("apply"), cpu if takes else -1, time(1) if takes else 0.0
            )
            replies = {}
            for worker, sender in enumerate(tokens):
                if rng.random() < 0.9:
                    replies[sender] = builder.gather(f"reply{worker}.{name}", [sender])
            builder.answer(batch, update, replies)
            for worker, sender in enumerate(tokens):
                if sender in replies:
                    pull_of.setdefault(worker, []).append(replies[sender])
        if workers > 1 and rng.random() < 0.5:
            join = builder.join(f"join{server}", tokens, rng.randint(1, workers))
            after = task(f"after{server}", cpu, [join], lag())
            for worker in range(workers):
                pull_of.setdefault(worker, []).append(after)
    for worker in range(workers):
        down = builder.resource(f"in{rng.randrange(worker + 1)}", "link")
        pulled = task(f"pull{worker}", down, pull_of.get(worker, [computes[worker]]), lag())
        builder.edge(pulled, computes[worker], distance=rng.choice([1, 1, 1, 2]), lag=lag())
    program = builder.build()
    durations = {
        task: np.array([time(1) for _ in range(program.most_runs(task))])
        for task in range(len(program))
        if program.resource[task] >= 0 and rng.random() < 0.5
    }
    return replace(program, durations=durations)


def draw_lone(seed, ties):
    """Return a program of :func:`draw_messages` in which most channels have their links to themselves.

    Devices may have several places, so that (ready, rank) and the order of grants can differ; some messages
    take longer in some iterations.
    """
    rng = random.Random(-1 - seed)
    time = _clock(rng, ties)
    program = draw_messages(seed, ties, "fair", links=24)
    stretch = {
        task: np.array([time(1) for _ in range(program.iterations)])
        for task in range(len(program))
        if program.is_flow(task) and rng.random() < 0.3
    }
    resources = tuple(
        replace(resource, capacity=rng.choice([1, 2])) if resource.kind == "device" else resource
        for resource in program.resources
    )
    return replace(program, stretch=stretch, resources=resources)


def draw_rings(seed, ties):
    """Return a program of rings that are not written out, with unlike lanes.

    Entries wait for compute, for rings before, or for nothing; iterations may overtake each other, so that
    the order on a channel is not always that of the rings.
    """
    rng = random.Random(seed)
    time = _clock(rng, ties)
    builder = ProgramBuilder(f"rings {seed}", rng.randint(1, 5))
    lanes = rng.randint(2, 6)
    equal = rng.random() < 0.3
    rate = (lambda: 2.0) if equal else (lambda: rng.choice([1.0, 2.0, 4.0]) if ties else 0.3 + rng.random())
    late = time(1)
    ways = [
        ([(f"l{lane}", rate())], late if equal else rng.choice([0.0, time(1)]), rng.choice([0.0, late]))
        for lane in range(lanes)
    ]
    in_order = rng.random() < 0.7
    devices = [builder.resource(f"d{lane}", "device") for lane in range(lanes)]
    done = [[] for _ in range(lanes)]
    computes, firsts = [], {}
    for part in range(rng.randint(1, 3)):
        entries = []
        for lane in range(lanes):
            before = done[lane][-1:] if in_order or rng.random() < 0.7 else []
            if rng.random() < 0.8:
                name = f"compute{lane}.{part}"
                computes.append(
                    builder.task(name, Op("forward"), devices[lane], late if equal else time(1), before)
                )
                before = [computes[-1]]
            entries.append(builder.gather(f"ready{lane}.{part}", before))
            firsts.setdefault(lane, entries[-1])
        size, longer = time(1), rng.choice([0, 0, rng.randint(1, lanes - 1)])
        chunks = [size * (2 if lane < longer else 1) for lane in range(lanes)]
        summed, copied = rng.choice([0.0, time(1)]), rng.choice([0.0, time(1)])
        exits = builder.ring(
            part, entries, ways, chunks, summed_s=[summed] * lanes, copied_s=[copied] * lanes
        )
        for lane in range(lanes):
            done[lane].append(exits[lane - 1])
    for lane in range(lanes):
        end = builder.gather(f"end{lane}", done[lane])
        if in_order:
            builder.edge(end, firsts[lane], distance=1)
        elif computes and rng.random() < 0.7:
            builder.edge(end, rng.choice(computes), distance=rng.randint(1, 2))
    program = builder.build()
    durations = {
        task: np.array([time(1) for _ in range(program.iterations)])
        for task in computes
        if rng.random() < 0.3
    }
    return replace(program, durations=durations)


def draw_messages(seed, ties, sharing, links=5):
    """Return a program of devices and messages over one to three links, some with latency and overhead."""
    rng = random.Random(seed)
    time = _clock(rng, ties)
    builder = ProgramBuilder(f"messages {seed}", rng.randint(1, 5), sharing)
    links = [(f"l{n}", rng.choice([1.0, 2.0, 4.0]) if ties else 0.3 + rng.random()) for n in range(links)]
    ways = {}
    tasks = []
    instant = set()  # takes nothing, so its end may be somebody's start
    for number in range(rng.randint(4, 16)):
        after = rng.sample(tasks, min(len(tasks), rng.choice([0, 0, 1, 1, 2])))
        ends = [end for _, end in after]
        if rng.random() < 0.35:
            device = builder.resource(f"d{rng.randrange(3)}", "device")
            task = builder.task(f"t{number}", Op("forward"), device, time(1), ends)
            tasks.append((task, task))
            continue
        a, b = rng.sample("abcd", 2)
        way = ways.setdefault((a, b), rng.sample(links, rng.randint(1, 3)))
        n_bytes = 0.0 if rng.random() < 0.1 else time(1)
        overhead = rng.choice([0.0, time(1)])
        latency = rng.choice([0.0, time(1)])
        made = builder.message(
            f"t{number}", Op("push"), a, b, way, n_bytes, latency=latency, overhead=overhead, after=ends
        )
        tasks.append(made)
        if not n_bytes and not overhead:
            instant.add(made[1])
    for _ in range(rng.randint(0, 6)):
        (_, u), (v, _) = rng.choice(tasks), rng.choice(tasks)
        lag = time(1) if u in instant else rng.choice([0.0, time(1)])
        builder.edge(u, v, distance=rng.randint(1, 2), lag=lag)
    for _ in range(rng.randint(0, 3)):
        (u, _), (v, _) = sorted(rng.sample(tasks, 2))
        builder.edge(u, v, at_start=True, lag=rng.choice([0.0, time(1)]))
    return builder.build()
