"""How long the commands take on this machine, from cold, against a bare interpreter.

    python tests/benchmarks/startup.py [--write reports/benchmarks.md] [--runs N]

Each command is a process of its own. The runs of all commands take turns, so that a machine that gets slower
for a while is slower for all of them; medians and the difference to ``python -c pass`` are what to quote.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "simpar --help": ["-m", "simpar", "--help"],
    "simpar check quickstart": ["-m", "simpar", "check", "scenarios/quickstart.yaml"],
    "simpar compare quickstart": ["-m", "simpar", "compare", "scenarios/quickstart.yaml"],
    "simpar compare quickstart --no-advice": [
        "-m",
        "simpar",
        "compare",
        "scenarios/quickstart.yaml",
        "--no-advice",
    ],
    "simpar compare quickstart --plot --trace": [
        "-m",
        "simpar",
        "compare",
        "scenarios/quickstart.yaml",
        "--plot",
        "{out}/bars.svg",
        "--trace",
        "{out}/timeline.json.gz",
    ],
    "simpar explain quickstart ps-sync": [
        "-m",
        "simpar",
        "explain",
        "scenarios/quickstart.yaml",
        "ps-sync",
    ],
}


def once(words: list[str]) -> float:
    """Return the seconds of one run."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - begun


def engine() -> list[tuple[str, int, float]]:
    """Return (strategy, task instances, seconds) of simulating each quickstart program once warm."""
    import simpar

    scenario = simpar.load(ROOT / "scenarios" / "quickstart.yaml")
    rows = []
    for strategy in scenario.strategies:
        program = simpar.compile(scenario, strategy.name)
        simpar.simulate(program)
        begun = time.perf_counter()
        trace = simpar.simulate(program)
        rows.append((strategy.name, len(trace), time.perf_counter() - begun))
    return rows


def report(runs: int) -> str:
    """Measure everything and return the page."""
    import tempfile

    with tempfile.TemporaryDirectory() as out:
        commands = {name: [word.replace("{out}", out) for word in words] for name, words in COMMANDS.items()}
        for words in commands.values():
            once(words)  # compiled files and the disk's cache
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, words in commands.items():
                taken[name].append(once(words))
    bare = statistics.median(taken["python -c pass"])
    lines = [
        "# Speed",
        "",
        f"Written by `make reports` on {date.today()}: {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, numpy {version('numpy')}, simpy {version('simpy')}, "
        f"matplotlib {version('matplotlib')}. Shared machines are noisy: quote medians and ratios.",
        "",
        "## Commands, each a process of its own",
        "",
        f"Median of {runs} runs that take turns; *over bare* is the median minus that of `python -c pass`.",
        "",
        "| command | median | least | over bare |",
        "|---|---:|---:|---:|",
    ]
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        lines.append(
            f"| `{name}` | {median * 1e3:.0f} ms | {min(seconds) * 1e3:.0f} ms "
            f"| {(median - bare) * 1e3:.0f} ms |"
        )
    lines += [
        "",
        "Aims: `simpar --help` under 150 ms over bare; `compare quickstart` under 2 s.",
        "",
        "## The reference engine, inside one process",
        "",
        "| quickstart's | task instances | time | instances a second |",
        "|---|---:|---:|---:|",
    ]
    for name, instances, seconds in engine():
        lines.append(f"| {name} | {instances:,} | {seconds * 1e3:.0f} ms | {instances / seconds:,.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--runs", type=int, default=11)
    given = parser.parse_args()
    text = report(given.runs)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    print(text, end="")
