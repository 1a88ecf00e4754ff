"""A study that is killed, at any moment, keeps every finished run, and goes on where it stood."""

import os
import random
import signal
import subprocess
import time

import pytest
from whatif_process import POINTS, QUICKSTART, SET, VARY, command, rows, wait_for

import simpar
from simpar.study import runs


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
