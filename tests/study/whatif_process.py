"""What tests of interrupted studies share: one study, as a process, and a look into its store."""

import sqlite3
import sys
import time

QUICKSTART = "scenarios/quickstart.yaml"
VARY = {"cluster.workers": "2..9", "network.latency": "1 us,2 us,4 us"}
SET = {"run.steps": 2, "strategies": "[ps-sync, allreduce]"}
POINTS = 24


def command(store, *more):
    words = [sys.executable, "-m", "simpar", "whatif", QUICKSTART, "--store", str(store), "--json", *more]
    for path, values in VARY.items():
        words += ["--vary", f"{path}={values}"]
    for path, value in SET.items():
        words += ["--set", f"{path}={value}"]
    return words


def rows(store):
    """Return the keys that a store holds; none where there is no store, or no table in it, yet."""
    try:
        # Read and write: a kill in the middle of a commit leaves a journal, which a reader has to roll back.
        connection = sqlite3.connect(f"file:{store}?mode=rw", uri=True, timeout=60)
    except sqlite3.OperationalError:
        return set()
    try:
        return {key for (key,) in connection.execute("SELECT key FROM runs")}
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return set()
    finally:
        connection.close()


def wait_for(store, count, process):
    """Wait until *count* runs are kept, or the process has ended."""
    until = time.monotonic() + 120
    while len(rows(store)) < count and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
