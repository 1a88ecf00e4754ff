"""Programs run by real processes: they learn what they should, whoever comes first, and leave nothing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_training import one_device
from real_lab import check_run, job, replayed, run
from replay_lab import LAB, RATE

import simpar
from simpar.errors import ExecutionError, ProgramError
from simpar.execute.numpy_backend import Crew, Job
from simpar.execute.shared import Memory
from simpar.strategies import prepare
from simpar.study.training import task_of

SYNCHRONOUS = [
    ({"single": {}}, 1),
    ({"hosted": {"parts": 3}}, 2),
    ({"ps-sync": {"servers": 2}}, 3),
    ({"ps-sync": {"servers": 2, "overlap": True, "slice_bytes": "128 B", "credit": "256 B"}}, 2),
    ({"ps-sync": {"servers": 2, "placement": "replicated"}}, 3),
    ({"ps-sync": {"payload": "model", "servers": 2}}, 3),
    ({"ps-sync": {"payload": "data"}}, 2),
    ({"allreduce": {}}, 3),
    ({"allreduce": {"algorithm": "tree", "overlap": True, "bucket": "300 B"}}, 3),
    ({"allreduce": {"algorithm": "halving-doubling"}}, 3),
    ({"pipeline": {"microbatches": 3}}, 3),
    ({"pipeline": {"schedule": "1f1b", "microbatches": 3, "recompute": True}}, 3),
]
ASYNCHRONOUS = [
    {"ps-async": {}},
    {"ps-async": {"servers": 2, "window": 2}},
    {"ps-ssp": {"staleness": 1}},
    {"ps-async": {"trigger": {"count": 2}}},
    {"ps-async": {"trigger": {"timeout": "1 ms"}}},
    {"ps-async": {"softsync": 1}},
    {"ps-async": {"update": {"elastic": 0.3, "noise_std": 0.01}}},
    {"ps-async": {"pull_every": 2}},
    {"ps-sync": {"backup_workers": 1}},
]
SERVER = {"server": {"add_rate": "1 MB/s", "update_rate": "1 MB/s"}}


def program_of(strategy, workers, **more):
    return simpar.compile(LAB.scenario(strategy, workers=workers, **more), next(iter(strategy)))


def called(value):
    return str(value).replace("'", "") if isinstance(value, dict) else None


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "workers"), SYNCHRONOUS, ids=called)
def test_processes_learn_what_one_device_learns(strategy, workers):
    records = {"data": {"record_bytes": "56 B"}} if "'data'" in str(strategy) else {}
    found = run(program_of(strategy, workers, **records))
    wanted, losses = one_device(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, workers * LAB.BATCH, RATE)
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * np.abs(other).max())
    for iteration, loss in enumerate(losses):
        mine = [one for one in found.losses if one.iteration == iteration]
        mean = sum(one.value for one in mine) / sum(one.samples for one in mine)
        assert mean == pytest.approx(loss, rel=1e-12)
    check_run(found)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ASYNCHRONOUS, ids=called)
def test_a_run_whose_order_decides_is_what_its_own_trace_says(strategy):
    """The measured trace, replayed in one process, comes to the same parameters to the last bit (S7g)."""
    found = run(program_of(strategy, 3, cluster=SERVER))
    check_run(found)
    again = replayed(found)
    for one, other in zip(found.parameters, again.parameters, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [(one.worker, one.iteration, one.read, one.applied) for one in found.gradients] == [
        (one.worker, one.iteration, one.read, one.applied) for one in again.gradients
    ]


@pytest.mark.slow
def test_networks_and_devices_that_are_stood_for_take_their_time():
    """No task is shorter than the program says, and no message quicker than its bytes and its latency."""
    program = program_of({"ps-async": {"servers": 2}}, 3, cluster={"device": {"flops": "1 MFLOP/s"}})
    found = run(program, paced=True, throttled=True)
    check_run(found)
    trace = found.trace
    lengths = trace.end_s - trace.start_s
    on = trace.resource >= 0
    computes = on & (program.message[trace.task] < 0)
    assert (lengths[computes] >= program.seconds[trace.task[computes]] - 1e-9).all()
    slowest = np.array(
        [
            min((program.links[link].bytes_per_s for link in program.route(task)), default=np.inf)
            for task in range(len(program))
        ]
    )
    sent = on & (program.message[trace.task] >= 0)
    least = program.bytes / slowest + program.latency
    assert (lengths[sent] >= least[trace.task[sent]] - 1e-9).all()
    for one, other in zip(found.parameters, replayed(found).parameters, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_staleness_is_what_the_others_apply_between_two_of_a_worker():
    """The sum over all gradients is exactly the others' applies between each worker's first and last."""
    found = run(program_of({"ps-async": {}}, 3, steps=20))
    order = [one.worker for one in sorted(found.gradients, key=lambda one: one.applied)]
    assert Counter(order) == {0: 20, 1: 20, 2: 20} or len(set(Counter(order).values())) == 1
    wanted = 0
    for worker in range(3):
        places = [place for place, one in enumerate(order) if one == worker]
        wanted += places[-1] - places[0] + 1 - len(places)
    seen: set[int] = set()
    total = 0
    for one in sorted(found.gradients, key=lambda one: one.applied):
        total += one.staleness if one.worker in seen else 0
        seen.add(one.worker)
    assert total == wanted


@pytest.mark.slow
def test_messages_weigh_what_the_program_says():
    program = program_of({"ps-sync": {"servers": 2}}, 3)
    found = run(program)
    for task, size in found.sent_bytes.items():
        assert size == program.bytes[task] * program.iterations
    parameters = 8 * sum(one.size for one in LAB.parameters)
    pushed = sum(size for task, size in found.sent_bytes.items() if program.ops[task].kind == "push")
    assert pushed == 3 * parameters * program.iterations


@pytest.mark.slow
def test_runs_of_one_crew_are_apart_and_each_device_is_a_process():
    program = program_of({"allreduce": {}}, 2)
    with Crew(job(program)) as crew:
        first, second = crew.run(), crew.run()
    for one, other in zip(first.parameters, second.parameters, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sorted(first.pids) == ["w0", "w1"]
    assert len({*first.pids.values(), os.getpid()}) == 3


def test_a_collective_without_messages_is_refused():
    program = program_of({"allreduce": {}}, 2, run={"collectives": "closed_form"})
    with pytest.raises(ProgramError, match=r"run\.collectives: messages"):
        run(program)


# -- faults ------------------------------------------------------------------------------------------


def left_over():
    """Return the processes that this one started and that still are, and what lies in shared memory."""
    here = Path("/dev/shm")
    return multiprocessing.active_children(), sorted(here.iterdir()) if here.is_dir() else []


@dataclass(frozen=True)
class Failing:
    """Samples that end at some point."""

    source: Any
    last: int

    def __call__(self, first, count):
        if first >= self.last:
            raise RuntimeError("the samples are used up")
        return self.source(first, count)


@dataclass(frozen=True)
class Slow:
    """Samples that take their time."""

    source: Any

    def __call__(self, first, count):
        time.sleep(0.05)
        return self.source(first, count)


@pytest.mark.slow
def test_an_error_in_one_process_is_told_with_its_traceback():
    before = left_over()
    program = program_of({"ps-sync": {}}, 2)
    given = job(program)
    with pytest.raises(ExecutionError) as caught:
        run(program, source=Failing(given.source, 4 * LAB.BATCH))
    said = str(caught.value)
    assert "forward of iteration 2: RuntimeError: the samples are used up" in said
    assert caught.value.story.startswith("Traceback")
    assert left_over() == before


@pytest.mark.slow
def test_a_process_that_is_killed_stops_the_others():
    before = left_over()
    program = program_of({"ps-sync": {}}, 2, steps=1000)

    def killed():
        with Crew(job(program, source=Slow(job(program).source))) as crew:
            os.kill(crew.pids["w1"], signal.SIGKILL)
            crew.run()

    with pytest.raises(ExecutionError) as caught:
        killed()
    assert "w1 (process" in str(caught.value)
    assert "killed by SIGKILL" in str(caught.value)
    assert left_over() == before


def test_memory_that_cannot_be_had_is_said_before_anything_starts(monkeypatch):
    def full(size):
        raise OSError(28, "No space left on device")

    before = left_over()
    monkeypatch.setattr(Memory, "make", full)
    with pytest.raises(ExecutionError, match=r"[\d,]+ bytes of shared memory cannot be had: No space left"):
        run(program_of({"ps-sync": {}}, 2))
    assert left_over() == before


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
from real_lab import job
from test_numpy_backend import Slow, program_of
from simpar.execute.numpy_backend import Crew, Job
if __name__ == "__main__":
    program = program_of({{"ps-sync": {{}}}}, 2, steps=2000)
    with Crew(job(program, source=Slow(job(program).source))) as crew:
        print(*crew.pids.values(), flush=True)
        crew.run()
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_whoever_starts_it_may_go_and_nothing_stays(how, tmp_path):
    _, before = left_over()
    script = tmp_path / "starter.py"
    script.write_text(SCRIPT.format(paths=[path for path in sys.path if path]))
    starter = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pids = [int(pid) for pid in starter.stdout.readline().split()]
    assert len(pids) == 3
    time.sleep(0.3)
    starter.send_signal(how)
    starter.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if is_alive(pid)]
    while set(left_over()[1]) - set(before) and time.monotonic() < deadline:
        time.sleep(0.05)  # whoever else uses this machine
    assert not set(left_over()[1]) - set(before)


def is_alive(pid):
    """Say whether a process is, and is not one that only waits to be counted out."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ps-sync", "allreduce"])
def test_two_processes_learn_to_read_digits(strategy):
    """Real data, real processes: after 12 epochs 95 % of 397 digits that nobody has seen are read rightly."""
    pytest.importorskip("sklearn")
    scenario = simpar.load(
        {
            "name": "digits",
            "model": {
                "preset": "mlp",
                "shape": {"sizes": [64, 64, 10]},
                "batch": 32,
                "optimizer": "sgd",
                "learning_rate": 0.3,
            },
            "data": {"set": "digits"},
            "cluster": {"workers": 2, "device": {"flops": "1 GFLOP/s"}},
            "network": {"bandwidth": "1 Gbit/s", "latency": "20 us"},
            "strategies": [strategy],
            "run": {"steps": 12 * 1400 // 64, "warmup": 0},
        }
    )
    task = task_of(prepare(scenario, strategy))
    given = Job(simpar.compile(scenario, strategy), task.model, task.parameters, task.source, task.optimizer)
    with Crew(given) as crew:
        found = crew.run()
    images, labels = task.test
    said, _ = task.model.forward(found.parameters, images)
    assert (said.argmax(axis=-1) == labels).mean() >= 0.95
    assert len(labels) == 397
