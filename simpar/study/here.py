"""What this machine is: processor, cores, free memory, and the libraries that compute."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info


def free_bytes() -> float | None:
    """Return the memory of this machine that is free; None where nobody says."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = dict(line.split(":", 1) for line in file)
        return float(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None


def environment() -> dict[str, Any]:
    """Return what this machine is, as far as it matters to what was measured."""
    blas = [one for one in threadpool_info() if one.get("user_api") == "blas"]
    first = blas[0] if blas else {}
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": cpu(),
        "cores": cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{first.get('internal_api', 'unknown')} {first.get('version') or ''}".strip(),
    }


def cpu() -> str:
    """Return the name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
