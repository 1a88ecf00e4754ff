"""How long collectives of very many messages take to compile and simulate, and how large they get.

    python tests/benchmarks/collectives.py [--write reports/benchmarks.md]

Prints one JSON object a line: ``case, engine, tasks, wall_s, tasks_per_s, peak_mb``. Each case runs in a
process of its own, warm (a small one of its kind ran before); wall_s is the median of three, from the loaded
scenario to the end of the run. The workloads are those that ASTRA-sim's analytical back end is measured with:

* W1: one ring all-reduce of 64 MiB over N ranks on a ring of 53.6870912 bytes/ns, 500 ns a hop, 10 ns at an
  endpoint, 50 bytes/ns of local memory; *slow*: one of its links at a 40th of the rate;
* W2: 50 layers of 100 us, each followed by one of 4 MiB that overlaps what comes;
* W3: the same 64 MiB all to all at once (``direct``), twice, over the ring's links, which they share.

Beside each ring: NumPy doing nothing but its recurrence, one round after another, which must end at the same
time to 1e-9.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from pages import write_section

import simpar

HEAD = "## Collectives of very many messages"

RATE, HOP_NS, ENDPOINT_NS, MEMORY = 53.6870912, 500, 10, 50

MIB = 2**20

RINGS = {"W1, N=1024": (1024, 1), "W1, N=1024, slow": (1024, 1), "W1, N=16384": (16384, 1)}
RINGS |= {"W1, N=16384, slow": (16384, 1), "W2, N=64": (64, 50), "W2, N=256": (256, 50)}
DIRECT = {"W3, N=64": 64}


def scenario(ranks: int, layers: int, n_bytes: int, slow: bool, **options: object) -> simpar.Scenario:
    """Return a scenario of *layers*, each with gradients of *n_bytes*."""
    network: dict[str, object] = {"latency": f"{HOP_NS} ns", "overhead": f"{ENDPOINT_NS} ns"}
    network |= {"bandwidth": f"{RATE!r} GB/s", "topology": {"kind": "ring"}}
    if slow:
        links = [
            {
                "between": [f"w{rank}", f"w{(rank + 1) % ranks}"],
                "bandwidth": f"{RATE / 40 if rank == ranks // 3 else RATE!r} GB/s",
            }
            for rank in range(ranks)
        ]
        network["topology"] = {"kind": "links", "links": links}
    backward_ns = 100_000 if layers > 1 else ENDPOINT_NS / 2
    written = [
        {
            "name": f"l{index}",
            "forward": f"{ENDPOINT_NS / 2 if index == 0 else 0} ns",
            "backward": f"{backward_ns} ns",
            "parameters": n_bytes // 4,
            "activation": "1 B",
        }
        for index in range(layers)
    ]
    return simpar.load(
        {
            "name": "ring",
            "model": {"layers": written, "batch": 1, "dtype": "float32"},
            "cluster": {"workers": ranks},
            "network": network,
            "strategies": [{"allreduce": options}],
            "run": {"steps": 1, "warmup": 0},
        }
    )


def of_case(case: str, small: bool = False) -> simpar.Scenario:
    """Return the scenario of a case, or one of the same kind on four ranks."""
    if case in DIRECT:
        return scenario(4 if small else DIRECT[case], 1, 64 * MIB, False, algorithm="direct")
    ranks, layers = RINGS[case]
    rates: dict[str, object] = {"add_rate": "25 GB/s", "copy_rate": "50 GB/s"}
    if layers > 1:
        rates |= {"overlap": True, "bucket": "4 MiB"}
    n_bytes = (4 if layers > 1 else 64) * MIB
    return scenario(4 if small else ranks, layers, n_bytes, case.endswith("slow"), **rates)


def run_one(case: str) -> None:
    """Run a case in this process and print its line."""
    once(of_case(case, small=True))
    loaded = of_case(case)
    took, totals = [], None
    for _ in range(3):
        begun = time.perf_counter()
        totals = once(loaded)
        took.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(case, "compiled", totals.instances, statistics.median(took), peak, totals.end_s * 1e9)


def once(loaded: simpar.Scenario) -> simpar.trace.Totals:
    """Compile and simulate, and return what the run comes to."""
    return simpar.simulate(simpar.compile(loaded, "allreduce"), "compiled", keep=0).totals


def recur(case: str) -> None:
    """Do a case's recurrence with NumPy and print its line."""
    ranks, layers = RINGS[case]
    chunk = (4 if layers > 1 else 64) * MIB / ranks
    rates = np.full(ranks, RATE)
    if case.endswith("slow"):
        rates[ranks // 3] /= 40
    took, ready = [], np.zeros(ranks)
    for _ in range(3):
        begun = time.perf_counter()
        first = 5 + 100_000 if layers > 1 else ENDPOINT_NS
        ready, free, sends = np.full(ranks, float(first)), np.zeros(ranks), ENDPOINT_NS + chunk / rates
        came = np.zeros(ranks)
        for _ in range(layers):
            for step in range(2 * (ranks - 1)):
                np.maximum(ready, free, out=free)
                free += sends
                np.add(free, HOP_NS + (2 if step < ranks - 1 else 1) * chunk / MEMORY, out=came)
                ready[1:], ready[0] = came[:-1], came[-1]
        took.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(
        case,
        "NumPy, round by round",
        layers * 2 * (ranks - 1) * ranks,
        statistics.median(took),
        peak,
        max(ready),
    )


def say(case: str, engine: str, tasks: int, wall_s: float, peak_mb: float, end_ns: float) -> None:
    """Print a line."""
    line = {"case": case, "engine": engine, "tasks": tasks, "wall_s": round(wall_s, 5)}
    line |= {"tasks_per_s": round(tasks / wall_s), "peak_mb": round(peak_mb), "end_ns": end_ns}
    print(json.dumps(line))


def measure() -> list[dict[str, object]]:
    """Run everything, each in a process of its own, and return the lines."""
    lines = []
    for case in (*RINGS, *DIRECT):
        ends = []
        for engine in ("compiled", "numpy") if case in RINGS else ("compiled",):
            words = [sys.executable, __file__, "--case", case, "--engine", engine]
            out = subprocess.run(words, capture_output=True, check=True, text=True).stdout
            print(out, end="", flush=True)
            lines.append(json.loads(out))
            ends.append(lines[-1]["end_ns"])
        assert max(ends) <= min(ends) * (1 + 1e-9), (case, ends)
    return lines


def bound_ns(ranks: int) -> float:
    """Return the least time of W3: its bytes times their hops, over all links at once."""
    hops = sum(min(near, ranks - near) for near in range(1, ranks))
    return 2 * ranks * hops * (64 * MIB / ranks) / (2 * ranks * RATE)


def report(lines: list[dict[str, object]]) -> str:
    """Return the section."""
    rows = []
    for line in lines:
        compiled = next(other for other in lines if other["case"] == line["case"])
        rows.append(
            f"| {line['case']} | {line['engine']} | {line['tasks']:,} | {line['wall_s']:.4f} s "
            f"| {line['peak_mb']} MB | {line['wall_s'] / compiled['wall_s']:.2f} | {line['end_ns']:,.0f} ns |"
        )
    (shared,) = DIRECT.values()
    return "\n".join(
        [
            HEAD,
            "",
            f"Written by `tests/benchmarks/collectives.py` on {date.today()}: {platform.machine()}, "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end. From the loaded scenario to "
            "the end of the run, every message simulated. What the cases are stands in the benchmark's head.",
            "",
            "| case | by | messages and tasks | time | peak | over the engine's time | ends at |",
            "|---|---|---:|---:|---:|---:|---:|",
            *rows,
            "",
            f"W3 cannot end before {bound_ns(shared):,.0f} ns: all bytes, over every link they cross.",
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--case")
    parser.add_argument("--engine")
    given = parser.parse_args()
    if given.case and given.engine == "numpy":
        recur(given.case)
    elif given.case:
        run_one(given.case)
    else:
        section = report(measure())
        if given.write:
            write_section(given.write, section)
