"""Runs simpar as people do: as a command in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUICKSTART = "scenarios/quickstart.yaml"


def simpar(*words, **how):
    """Return what became of ``simpar`` with these words; *how* is for :func:`subprocess.run`."""
    return subprocess.run(
        [sys.executable, "-m", "simpar", *map(str, words)],
        check=False,
        capture_output=True,
        **({"cwd": ROOT, "text": True, "timeout": 120} | how),
    )
