"""Small scenarios at random, with a strategy of every kind."""

import random


def draw(seed):
    """Return the arguments of a scene, as one mapping with its strategies."""
    rng = random.Random(seed)
    workers, layers = rng.randint(1, 6), rng.randint(1, 5)
    servers = rng.randint(1, 4)
    batch = rng.randint(1, 4)

    def ps():
        options = {
            "servers": servers,
            "placement": rng.choice(["sliced", "balanced", "round_robin"]),
            "overlap": rng.random() < 0.4,
        }
        if rng.random() < 0.4:
            options["slice_bytes"] = f"{rng.randint(400, 9000)} B"
        return options

    flow = random.Random(1_000_000 + seed)  # a stream of its own: whatever it has, all else stays

    def controlled(options, kind):
        """Return *options*, in half of the scenarios with one or several of flow control."""
        if flow.random() < 0.5:
            return options
        several = {
            "push_every": flow.choice([1, 1, 2, 3]),
            "window": flow.choice([1, 1, 1, 2]),
            "credit": flow.choice([None, f"{flow.randint(100, 9000)} B"]),
        }
        if kind == "ps-async" and several["window"] == 1:
            several["pull_every"] = flow.choice([1, 2])
        return options | {key: value for key, value in several.items() if value not in (1, None)}

    ring = {"overlap": rng.random() < 0.5}
    if rng.random() < 0.5:
        ring["bucket"] = f"{rng.randint(1, 9000)} B"
    pipeline = {
        "stages": rng.randint(1, min(workers, layers)),
        "microbatches": rng.randint(1, workers * batch),
    }
    return {
        "strategies": [
            "single",
            {"ps-sync": controlled(ps(), "ps-sync")},
            {"ps-async": controlled(ps(), "ps-async")},
            {"allreduce": ring},
            {"pipeline": pipeline},
            {"hosted": {"parts": 3}},
            "replicated",
            "ensemble",
            {
                "ps-sync": {
                    "name": "copies",
                    "servers": min(servers, workers),
                    "placement": "replicated",
                    "pull_from": ("home", "all")[seed % 2],
                    "payload": ("gradient", "model")[seed // 2 % 2],
                }
            },
        ],
        "layers": [
            (
                rng.random(),
                rng.random(),
                rng.choice([0, rng.randint(1, 3000), rng.randint(1, 3000)]),
                rng.choice([0.0, rng.uniform(1, 5000)]),
            )
            for _ in range(layers)
        ],
        "workers": workers,
        "batch": batch,
        "speed": rng.choice([None, [rng.choice([0.5, 0.8, 1.0, 1.5]) for _ in range(workers)]]),
        "bandwidth": 10 ** rng.uniform(3, 6),
        "server_bandwidth": rng.choice([None, 10 ** rng.uniform(3, 6)]),
        "latency": rng.choice([0.0, rng.uniform(0, 0.2)]),
        "overhead": rng.choice([0.0, rng.uniform(0, 0.05)]),
        "sharing": rng.choice(["fair", "fifo"]),
        "server": rng.choice([None, {"add_rate": 1e4, "update_rate": 2e4, "threads": rng.randint(1, 2)}]),
        "run": {
            "steps": rng.randint(2, 6),
            "warmup": rng.randint(0, 3),
            "stagger": rng.choice(["even", "none"]),
        },
    }
