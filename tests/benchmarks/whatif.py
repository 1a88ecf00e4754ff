"""How long 1,000 variants of the quickstart take on all cores of this machine, and the same command again.

With either engine; CPU time is that of all processes together, which others on the machine lengthen less.

    python tests/benchmarks/whatif.py [--write reports/benchmarks.md] [--jobs N]

The section that it writes takes the place of the one that it wrote before; the rest of the file stays.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[2]

AXES = (
    "network.bandwidth=1 Gbit/s:10 Gbit/s:1 Gbit/s",
    "network.latency=1 us:10 us:1 us",
    "strategies[ps-sync].servers=1..10",
)
"""Ten values each: a thousand points of four strategies."""

ENGINES = {"compiled": 20.0, "reference": 60.0}
"""Engines, and the seconds that each is to take at most, fresh, on 2 cores."""

FIRST_S = 137.9
"""What it took on 2 cores with SimPy alone, when every strategy was simulated at every point."""

HEAD = "## A thousand variants of the quickstart"


def once(store: Path, engine: str, jobs: int | None) -> tuple[float, float]:
    """Return the seconds of one run of the command, and those of the processors."""
    words = [sys.executable, "-m", "simpar", "whatif", "scenarios/quickstart.yaml", "--store", str(store)]
    words += [word for axis in AXES for word in ("--vary", axis)]
    words += ["--set", f"run.engine={engine}"]
    words += ["--jobs", str(jobs)] if jobs else []
    begun, used = time.perf_counter(), _cpu_s()
    subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun, _cpu_s() - used


def _cpu_s() -> float:
    """Return the CPU seconds of all processes that this one has waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(jobs: int | None) -> str:
    """Return the section."""
    rows = []
    for engine, aim_s in ENGINES.items():
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "runs.sqlite"
            for what, aim in (("a fresh store", f"{aim_s:.0f} s"), ("the same command again", "")):
                wall, cpu = once(store, engine, jobs)
                rows.append(f"| {engine} | {what} | {wall:.1f} s | {cpu:.1f} s | {1000 / wall:.0f} | {aim} |")
            size = store.stat().st_size
    lines = [
        HEAD,
        "",
        f"Written by `tests/benchmarks/whatif.py` on {date.today()}: {platform.machine()}, "
        f"{jobs or os.cpu_count()} processes, load {os.getloadavg()[0]:.1f} at the end. "
        "`simpar whatif scenarios/quickstart.yaml` with bandwidth x latency x servers, 10 x 10 x 10 points "
        "of four strategies, 20 steps each.",
        "",
        "| engine | | wall time | CPU time | points a second | aim on 2 cores |",
        "|---|---|---:|---:|---:|---:|",
        *rows,
        "",
        f"The store then has {size / 1e6:.1f} MB. The first version took {FIRST_S} s on 2 cores: it had "
        "SimPy alone, and simulated every strategy at every point. Now three of the four, which the number "
        "of servers does not concern, are simulated at one point in ten by each process.",
    ]
    return "\n".join(lines) + "\n"


def put(text: str, section: str) -> str:
    """Return *text* with *section* in the place of the one of the same head, else at the end."""
    old = re.compile(rf"{re.escape(HEAD)}\n.*?(?=\n## |\Z)", re.DOTALL)
    if old.search(text):
        return old.sub(lambda _: section.rstrip("\n") + "\n", text)
    return f"{text.rstrip()}\n\n{section}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--jobs", type=int)
    given = parser.parse_args()
    section = report(given.jobs)
    if given.write:
        old = given.write.read_text(encoding="utf-8") if given.write.exists() else ""
        given.write.write_text(put(old, section), encoding="utf-8")
    print(section, end="")
