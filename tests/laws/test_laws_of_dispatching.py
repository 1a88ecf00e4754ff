"""What holds where slices go to whoever is free, and late workers are cancelled, in random scenarios."""

import json
import math
import random
from collections import Counter
from itertools import pairwise

import any_scenario
import numpy as np
import pytest

import simpar
from simpar.result import Measured

SEEDS = range(40)


def draw(seed):
    """Return the arguments of a scene with one strategy of each kind."""
    drawn, rng = any_scenario.draw(seed), random.Random(2000 + seed)
    whole = drawn["workers"] * drawn["batch"]
    parts = rng.choice([count for count in range(1, whole + 1) if whole % count == 0])
    drawn["strategies"] = [
        {"hosted": {"parts": parts, "dispatch": "free"}},
        {"ps-sync": {"backup_workers": rng.randrange(drawn["workers"]), "late": "cancel"}},
    ]
    if rng.random() < 0.5:
        drawn["data"] = (rng.uniform(1.0, 2000.0), 10 ** rng.uniform(2, 6), rng.choice([1, 2, 4]))
    if rng.random() < 0.6:
        varies = {"kind": "lognormal", "mean": 1, "cv": 0.6}
        drawn["variation"] = {"compute": varies, "link": varies, "server": varies, "replications": 1}
    return drawn


@pytest.fixture(scope="module", params=SEEDS)
def rows(request, scene):
    drawn = draw(request.param)
    return simpar.compare(scene(*drawn.pop("strategies"), **drawn), advise=False)


def test_every_part_of_every_iteration_goes_to_one_device_once(rows):
    trace = rows["hosted"].measured.trace
    program = trace.program
    ((_, dispatch),) = program.dispatches.items()
    members = trace.nodes.members
    assert sorted(map(tuple, members[:, 2:].tolist())) == sorted(
        (sender, m) for sender in dispatch.senders for m in range(program.iterations)
    )
    assert sorted(members[:, 1].tolist()) == list(range(len(members)))
    lanes = {lane[0]: lane for lane in dispatch.lanes}
    ran = Counter((task, m) for task, m in zip(trace.task.tolist(), trace.iteration.tolist(), strict=True))
    assert set(ran.values()) == {1}
    assert sum(task in program.lane_of for task, _ in ran) == sum(
        len(lanes[f]) for f in members[:, 0].tolist()
    )


def test_a_device_has_one_part_at_a_time(rows):
    trace = rows["hosted"].measured.trace
    ((_, dispatch),) = trace.program.dispatches.items()
    for lane in dispatch.lanes:
        numbers = sorted(trace.iteration[trace.rows_of([lane[0]])].tolist())
        times = [(trace.ready_s[trace.row(lane[0], n)], trace.end_s[trace.row(lane[-1], n)]) for n in numbers]
        assert all(end <= ready for (_, end), (ready, _) in pairwise(times))


def test_what_is_stopped_has_done_a_share_and_ends_where_it_is_stopped(rows):
    trace = rows["ps-sync"].measured.trace
    nodes = trace.nodes
    if nodes is None or not trace.program.joins:
        return
    ((join, k),) = trace.program.joins.items()
    late = trace.program.meta["workers"] - k
    assert len(nodes.dropped) == late * trace.program.iterations
    assert ((nodes.done_frac >= 0) & (nodes.done_frac <= 1 + 1e-9)).all()
    fired = trace.end_s[trace.rows_of([join])]
    stopped = trace.stopped_rows
    assert (trace.end_s[stopped] >= fired[trace.iteration[stopped]]).all()
    took = trace.end_s[stopped] - trace.start_s[stopped]
    assert (took[nodes.done_frac == 0] <= np.maximum(0.0, trace.program.overhead.max())).all()


def test_figures_hold_together(rows):
    json.dumps(rows.to_dict(), allow_nan=False)
    for row in rows.values():
        assert math.fsum(row.breakdown.values()) == pytest.approx(row.step_s, abs=1e-9), row.name
        assert min(row.breakdown.values()) >= -1e-12 * row.step_s
        assert all(0 <= use.busy_frac <= 1 + 1e-9 for use in row.resources)


def test_critical_paths_have_no_gaps_and_fill_their_windows(rows):
    for row in rows.values():
        for window in row.measured.windows:
            path = row.measured.path(window)
            assert path[0].start_s == pytest.approx(window.start_s, abs=1e-12)
            assert path[-1].end_s == row.measured.trace.end_s[window.row]
            assert all(a.end_s == b.start_s for a, b in pairwise(path))
            assert all(segment.seconds > 0 for segment in path)
            assert all(segment.cause != "idle" for segment in path)


@pytest.mark.parametrize("seed", SEEDS[::8])
def test_the_same_scenario_gives_the_same_bytes(scene, seed):
    runs = []
    for _ in range(2):
        drawn = draw(seed)
        scenario = scene(*drawn.pop("strategies"), **drawn)
        programs = [simpar.compile(scenario, strategy) for strategy in scenario.strategies]
        found = [Measured(simpar.simulate(program)) for program in programs]
        runs.append([(p.digest(), m.trace.digest(), m.step_s) for p, m in zip(programs, found, strict=True)])
    assert runs[0] == runs[1]
