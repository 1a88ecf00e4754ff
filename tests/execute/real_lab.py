"""The small model of the replay's tests, run by real processes."""

from functools import partial

import numpy as np
from plain_training import Sgd
from replay_lab import LAB, RATE

import simpar
from simpar.execute.numpy_backend import Crew, Job
from simpar.execute.replay import replay
from simpar.execute.sampling import Samples, Stream

SOURCE = Samples(*LAB.test, Stream(50, 3))


def job(program, **how):
    """Return what LAB would train, as something that reaches other processes."""
    given = {"model": LAB.model, "parameters": LAB.parameters, "source": SOURCE}
    return Job(program, optimizer=partial(Sgd, RATE), **given | how)


def run(program, **how):
    """Run a program once."""
    with Crew(job(program, **how)) as crew:
        return crew.run()


def replayed(executed, **how):
    """Replay a run in the order in which it was measured."""
    return replay(executed.trace, LAB.model, LAB.parameters, SOURCE, partial(Sgd, RATE), **how)


def instances(trace):
    """Return the instances of a trace but for updates of batches, whose number is open."""
    batches = trace.program.batch_of_update
    rows = zip(trace.task.tolist(), trace.iteration.tolist(), strict=True)
    return sorted(row for row in rows if row[0] not in batches)


def check_run(executed):
    """Check what holds for every run: all instances once, nothing before what it waited for."""
    trace = executed.trace
    assert instances(trace) == instances(simpar.simulate(trace.program))
    assert (trace.ready_s <= trace.start_s).all()
    assert (trace.start_s <= trace.end_s).all()
    dropped = {(join, m, sender) for join, m, sender in (trace.nodes.dropped.tolist() if trace.nodes else ())}
    program = trace.program
    for source, target, distance, _, at_start in program.edges():
        if at_start or target in program.batches or program.message[source] == program.message[target] >= 0:
            continue
        for m in range(distance, program.iterations):
            if (target, m, source) not in dropped:
                before = trace.end_s[trace.row(source, m - distance)]
                assert before <= trace.ready_s[trace.row(target, m)] + 1e-9, program.tasks[target]
    for name in {resource.name for resource in program.resources if resource.kind in ("device", "server")}:
        on = trace.resource == [one.name for one in program.resources].index(name)
        starts, ends = np.sort(trace.start_s[on]), np.sort(trace.end_s[on])
        assert (starts[1:] >= ends[:-1]).all(), f"{name} does two things at once"
