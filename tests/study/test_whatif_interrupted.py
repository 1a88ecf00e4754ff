"""A study that is killed, at any moment, keeps every finished run, and goes on where it stood."""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

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
        process.kill()  # which does nothing where the study was quicker
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
def test_the_workers_of_a_killed_study_end_by_themselves(tmp_path):
    process = start(tmp_path / "runs.sqlite", "--jobs", "2")
    wait_for(tmp_path / "runs.sqlite", 1, process)
    process.kill()
    process.wait()
    process.stderr.close()

    assert left_of(process.pid) == []


def left_of(group):
    """Return the processes of a group that do not end within a minute; workers would wait for five."""
    until = time.monotonic() + 60
    while running(group) and time.monotonic() < until:
        time.sleep(0.1)
    return running(group)


def running(group):
    """Return the processes of a group that have not ended, whether or not anybody asked how."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended since
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
            found += [stat.parent.name] if of == str(group) and state != "Z" else []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_at_any_moment_ends_all_processes_without_a_traceback(tmp_path, jobs):
    draw = random.Random(int(jobs))
    for number in range(4):
        process = start(tmp_path / f"{number}.sqlite", "--jobs", jobs)
        time.sleep(0.4 + 1.2 * draw.random())
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate()[1].decode()

        # Python ends itself by the signal where that came while it ran the text of a generated function.
        assert process.returncode in (0, 130, -signal.SIGINT), said
        assert len(said.split()) < 40, said
        assert "Traceback" not in said, said
        assert "Warning" not in said, said
        assert left_of(process.pid) == []


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
