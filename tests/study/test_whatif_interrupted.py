"""A study that is killed, at any moment, keeps every finished run, and goes on where it stood."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

import simpar
from simpar.study import runs

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
    """Return the keys that a store holds; none where there is no store yet."""
    try:
        connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)
    except sqlite3.OperationalError:
        return set()
    try:
        return {key for (key,) in connection.execute("SELECT key FROM runs")}
    except sqlite3.OperationalError:
        return set()
    finally:
        connection.close()


def wait_for(store, count, process):
    """Wait until *count* runs are kept, or the process has ended."""
    until = time.monotonic() + 120
    while len(rows(store)) < count and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole():
    """The study as it is without a store."""
    return simpar.whatif(QUICKSTART, VARY, set=SET)


def start(store, *more):
    return subprocess.Popen(
        command(store, *more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_killed_study_keeps_every_finished_run_and_computes_none_twice(tmp_path, monkeypatch, whole, jobs):
    store, draw = tmp_path / "runs.sqlite", random.Random(int(jobs))
    kept = set()
    for _ in range(3):
        process = start(store, "--jobs", jobs)
        wait_for(store, len(kept) + draw.randint(1, 5), process)
        time.sleep(draw.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        now = rows(store)
        assert kept <= now
        kept = now
    assert 0 < len(kept) <= POINTS

    simulated, real = [], runs.simulate_point
    monkeypatch.setattr(
        runs, "simulate_point", lambda packed, changes: simulated.append(changes) or real(packed, changes)
    )
    study = simpar.whatif(QUICKSTART, VARY, set=SET, store=store, jobs=1)
    assert len(simulated) == POINTS - len(kept)
    assert kept <= rows(store)
    assert len(rows(store)) == POINTS
    assert study.to_dict() == whole.to_dict()


@pytest.mark.slow
def test_two_studies_at_once_leave_each_run_once(tmp_path, whole):
    store = tmp_path / "runs.sqlite"
    processes = [start(store, "--jobs", "1") for _ in range(2)]
    said = [process.communicate()[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], said
    assert said == [b"", b""]
    assert len(rows(store)) == POINTS


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupted_study_says_how_many_runs_are_done_and_where_they_are(tmp_path, jobs):
    store = tmp_path / "runs.sqlite"
    process = start(store, "--jobs", jobs)
    wait_for(store, 2, process)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does for Ctrl-C: to all of them
    said = process.communicate()[1].decode()

    assert process.returncode == 130
    (line,) = said.splitlines()
    assert line.startswith("interrupted with ")
    assert line.endswith(
        f"of {POINTS} runs done; they are kept in {store}: the same command goes on from there"
    )
    assert int(line.split()[2]) == len(rows(store))
