"""How long 1,000 variants of the quickstart take on all cores of this machine, and the same command again.

    python tests/benchmarks/whatif.py [--write reports/benchmarks.md] [--jobs N]

The section that it writes takes the place of the one that it wrote before; the rest of the file stays.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from pages import write_section

ROOT = Path(__file__).parents[2]

AXES = (
    "network.bandwidth=1 Gbit/s:10 Gbit/s:1 Gbit/s",
    "network.latency=1 us:10 us:1 us",
    "strategies[ps-sync].servers=1..10",
)
"""Ten values each: a thousand points of four strategies. The servers concern one of them."""

ALL_CONCERNED = (*AXES[:2], "network.overhead=1 us:10 us:1 us")
"""The same, of settings that each strategy depends on."""

HEAD = "## A thousand variants of the quickstart"


def once(store: Path, jobs: int | None, axes: tuple[str, ...] = AXES, engine: str = "auto") -> float:
    """Return the seconds of one run of the command."""
    words = [sys.executable, "-m", "simpar", "whatif", "scenarios/quickstart.yaml", "--store", str(store)]
    words += [word for axis in axes for word in ("--vary", axis)] + ["--set", f"run.engine={engine}"]
    words += ["--jobs", str(jobs)] if jobs else []
    begun = time.perf_counter()
    subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def report(jobs: int | None) -> str:
    """Return the section."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "runs.sqlite"
        fresh, again = once(store, jobs), once(store, jobs)
        size = store.stat().st_size
        simpy = once(Path(folder) / "simpy.sqlite", jobs, engine="reference")
        every = once(Path(folder) / "every.sqlite", jobs, ALL_CONCERNED)
        every_simpy = once(Path(folder) / "every-simpy.sqlite", jobs, ALL_CONCERNED, "reference")
    lines = [
        HEAD,
        "",
        f"Written by `tests/benchmarks/whatif.py` on {date.today()}: {platform.machine()}, "
        f"{jobs or os.cpu_count()} processes, load {os.getloadavg()[0]:.1f} at the end. "
        "`simpar whatif scenarios/quickstart.yaml` with bandwidth x latency x servers, 10 x 10 x 10 points "
        "of four strategies, 20 steps each.",
        "",
        "| | wall time | points a second |",
        "|---|---:|---:|",
        f"| a fresh store | {fresh:.1f} s | {1000 / fresh:.1f} |",
        f"| the same command again | {again:.1f} s | {1000 / again:.0f} |",
        f"| fresh, by the reference engine (SimPy) | {simpy:.1f} s | {1000 / simpy:.1f} |",
        f"| overhead of a message instead of servers | {every:.1f} s | {1000 / every:.1f} |",
        f"| the same, by the reference engine | {every_simpy:.1f} s | {1000 / every_simpy:.1f} |",
        "",
        f"The store then has {size / 1e6:.1f} MB. Aims on 2 cores: 60 s by the reference engine, 20 s by "
        "the compiled one. The servers of one strategy do not concern the others, which are simulated once "
        "for all of them; the overhead of a message concerns all. Before the compiled engine: 137.9 s.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--jobs", type=int)
    given = parser.parse_args()
    section = report(given.jobs)
    if given.write:
        write_section(given.write, section)
    print(section, end="")
