"""How many tasks a second the engines take, beside a loop over ``std::priority_queue`` in C++.

    python tests/benchmarks/engine.py [--write reports/benchmarks.md] [--most TASKS]

Prints one JSON object a line: ``case, engine, tasks, wall_s, tasks_per_s, peak_mb``. Each engine runs each
case in a process of its own, warm; wall_s is the median of up to five runs: all that an engine does with a
program that has been checked, and all that the C++ loop does with its input. All must end at the same time.

``W(workers, servers, iterations)`` is a raw graph: asynchronous parameter servers, 25 MB of parameters,
compute log-normal (mean 0.1 s, cv 0.1), one part to each server over the worker's link and the server's, 1 ms
to apply it, and back the same way; *shared fairly*, with parts that share links. The other cases are compiled
from scenarios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
from pages import write_section

import simpar
from simpar.program import Op, ProgramBuilder
from simpar.simulate import ENGINES, CompiledEngine, ReferenceEngine
from simpar.simulate.compiled import compiled_loop

HERE = Path(__file__).parent

HEAD = "## The engines"

LINK_S, APPLY_S = 50e-6, 1e-3
RATE, MODEL = 1.25e9, 25e6

RAW = {"W(8,2,100)": (8, 2, 100), "W(64,8,100)": (64, 8, 100)}
RAW |= {"W(512,16,20)": (512, 16, 20), "W(1024,16,1000)": (1024, 16, 1000)}

FAIR = {"W(64,8,100), shared fairly": (64, 8, 100), "W(512,16,20), shared fairly": (512, 16, 20)}
"""The same, with parts that are on their way at once and share the links that they cross."""

COMPILED = {
    "ps-async, 512 workers, 16 servers": (512, {"ps-async": {"servers": 16}}, "fair"),
    "ps-async, 512 workers, 16 servers, fifo": (512, {"ps-async": {"servers": 16}}, "fifo"),
    "ps-sync, 64 workers, 8 servers": (64, {"ps-sync": {"servers": 8}}, "fair"),
    "ps-ssp, 64 workers, 8 servers": (64, {"ps-ssp": {"servers": 8, "staleness": 2}}, "fair"),
    "pipeline, 16 stages, 64 microbatches": (
        16,
        {"pipeline": {"schedule": "1f1b", "stages": 16, "microbatches": 64}},
        "fair",
    ),
    "allreduce ring, overlapped, 64 workers": (64, {"allreduce": {"overlap": True}}, "fair"),
}

SLOWEST = 1_000_000
"""Tasks from which the reference engine is left out."""


def message_s(servers: int) -> float:
    """Return the seconds of one part on one link."""
    return LINK_S + MODEL / servers / RATE


def draws(workers: int, iterations: int) -> np.ndarray:
    """Return seconds of compute: float64[workers, iterations]."""
    spread = np.log1p(0.1**2)
    return np.random.default_rng(1).lognormal(
        np.log(0.1) - spread / 2, np.sqrt(spread), (workers, iterations)
    )


def raw_graph(workers: int, servers: int, iterations: int) -> simpar.Program:
    """Return W."""
    builder, takes, seconds = ProgramBuilder("W", iterations), draws(workers, iterations), message_s(servers)
    for w in range(workers):
        compute = builder.task(
            f"w{w}", Op("forward", worker=w), builder.resource(f"w{w}", "device"), takes[w]
        )
        for s in range(servers):
            before = compute
            for name, kind, takes_s in (
                (f"w{w}.out", "link", seconds),
                (f"ps{s}.in", "link", seconds),
                (f"ps{s}.cpu", "server", APPLY_S),
                (f"ps{s}.out", "link", seconds),
                (f"w{w}.in", "link", seconds),
            ):
                on = builder.resource(name, kind)
                before = builder.task(f"w{w}.s{s}.{name}", Op("push", worker=w), on, takes_s, [before])
            builder.edge(before, compute, distance=1)
    return builder.build()


def fair_graph(workers: int, servers: int, iterations: int) -> simpar.Program:
    """Return W with links that are shared fairly: a closed loop of flows."""
    builder, takes = ProgramBuilder("W", iterations, "fair"), draws(workers, iterations)
    part = MODEL / servers
    for w in range(workers):
        compute = builder.task(
            f"w{w}", Op("forward", worker=w), builder.resource(f"w{w}", "device"), takes[w]
        )
        for s in range(servers):
            up, down = [(f"w{w}.out", RATE), (f"ps{s}.in", RATE)], [(f"ps{s}.out", RATE), (f"w{w}.in", RATE)]
            ends = f"w{w}", f"ps{s}"
            way = {"latency": LINK_S}
            push = builder.message(
                f"w{w}.push{s}", Op("push", worker=w), *ends, up, part, **way, after=[compute]
            )
            cpu = builder.resource(f"ps{s}.cpu", "server")
            apply = builder.task(f"w{w}.apply{s}", Op("apply", server=s), cpu, APPLY_S, [push[1]])
            pull = builder.message(
                f"w{w}.pull{s}", Op("pull", worker=w), *ends[::-1], down, part, **way, after=[apply]
            )
            builder.edge(pull[1], compute, distance=1)
    return builder.build()


def from_scenario(name: str) -> simpar.Program:
    """Return the program of one of COMPILED."""
    workers, strategy, sharing = COMPILED[name]
    written = {
        "name": "benchmark",
        "model": {"preset": "resnet-50", "batch": 32},
        "cluster": {"workers": workers, "device": "v100"},
        "network": {"bandwidth": "10 Gbit/s", "latency": "20 us", "sharing": sharing},
        "variation": {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.1}, "replications": 1},
        "strategies": [strategy],
        "run": {"steps": 18},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "benchmark.yaml"
        file.write_text(json.dumps(written))
        scenario = simpar.load(file)
        return simpar.compile(scenario, scenario.strategies[0].name)


def program_of(case: str) -> simpar.Program:
    """Return the program of a case."""
    if case in FAIR:
        return fair_graph(*FAIR[case])
    return raw_graph(*RAW[case]) if case in RAW else from_scenario(case)


def run_one(case: str, engine: str) -> None:
    """Run a case warm in this process and print its line."""
    program = program_of(case)
    if engine == "compiled":
        compiled_loop()
        CompiledEngine(raw_graph(2, 2, 2)).run()
    tasks = len(program) * program.iterations
    took, end = [], 0.0
    for _ in range(1 if tasks > 5_000_000 or engine == "reference" else 5):
        begun = time.perf_counter()
        if engine == "reference":
            end = ReferenceEngine(program).run().totals.end_s
        else:
            end = CompiledEngine(program, keep=0).run().totals.end_s
        took.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(case, engine, tasks, statistics.median(took), peak, end)


def run_cpp(case: str, loop: Path) -> None:
    """Run a raw graph in C++ and print its line."""
    workers, servers, iterations = RAW[case]
    words = [str(loop), *map(str, RAW[case]), repr(message_s(servers)), repr(APPLY_S)]
    took, end, tasks = [], 0.0, 0
    for _ in range(1 if workers * iterations > 100_000 else 5):
        given = draws(workers, iterations).tobytes()
        out = subprocess.run(words, input=given, capture_output=True, check=True).stdout.split()
        end, tasks = float(out[0]), int(out[1])
        took.append(float(out[2]))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    say(case, "C++ std::priority_queue", tasks, statistics.median(took), peak, end)


def say(case: str, engine: str, tasks: int, wall_s: float, peak_mb: float, end_s: float) -> None:
    """Print a line."""
    line = {"case": case, "engine": engine, "tasks": tasks, "wall_s": round(wall_s, 5)}
    print(
        json.dumps(line | {"tasks_per_s": round(tasks / wall_s), "peak_mb": round(peak_mb), "end_s": end_s})
    )


def measure(most: int) -> list[dict[str, object]]:
    """Run everything, each in a process of its own, and return the lines."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        loop, compiler = Path(folder) / "queue_loop", shutil.which("g++")
        if compiler:
            source = str(HERE / "queue_loop.cpp")
            subprocess.run([compiler, "-O3", "-march=native", "-o", str(loop), source], check=True)
        for case in (*RAW, *FAIR, *COMPILED):
            program = program_of(case)
            tasks = len(program) * program.iterations
            if tasks > most:
                continue
            engines = [e for e in ("reference", "compiled") if e == "compiled" or tasks <= SLOWEST]
            if compiler and case in RAW:
                engines.append(str(loop))
            ends = set()
            for engine in engines:
                words = [sys.executable, __file__, "--case", case, "--engine", engine]
                out = subprocess.run(words, capture_output=True, check=True, text=True).stdout
                print(out, end="", flush=True)
                lines.append(json.loads(out))
                ends.add(lines[-1].pop("end_s"))
            assert len(ends) == 1, (case, ends)
    return lines


def report(lines: list[dict[str, object]]) -> str:
    """Return the section."""
    rows = []
    for line in lines:
        same = [other for other in lines if other["case"] == line["case"]]
        compiled = next(other for other in same if other["engine"] == "compiled")
        ratio = line["wall_s"] / compiled["wall_s"]
        rows.append(
            f"| {line['case']} | {line['engine']} | {line['tasks']:,} | {line['wall_s']:.4f} s "
            f"| {line['tasks_per_s'] / 1e6:.2f} | {line['peak_mb']} MB | {ratio:.2f} |"
        )
    return "\n".join(
        [
            HEAD,
            "",
            f"Written by `tests/benchmarks/engine.py` on {date.today()}: {platform.machine()}, "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end. Totals only; each engine "
            "in a process of its own, warm; all of a case end at the same time to the last bit. What "
            "*W(workers, servers, iterations)* is stands in the benchmark's head.",
            "",
            "| case | engine | tasks | time | million tasks/s | peak | over the compiled engine's time |",
            "|---|---|---:|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--most", type=int, default=10**9)
    parser.add_argument("--case")
    parser.add_argument("--engine")
    given = parser.parse_args()
    if given.case and given.engine in ENGINES:
        run_one(given.case, given.engine)
    elif given.case:
        run_cpp(given.case, Path(given.engine))
    else:
        section = report(measure(given.most))
        if given.write:
            write_section(given.write, section)
