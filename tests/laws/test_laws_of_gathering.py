"""What holds for servers that wait for some pushes, or serve some layers first, in scenarios at random."""

import math
import random
from itertools import pairwise

import any_scenario
import pytest

import simpar
from simpar.result import Measured


def draw(seed):
    """Return the arguments of a scene whose strategies gather in every way."""
    drawn, rng = any_scenario.draw(seed), random.Random(seed)
    workers = drawn["workers"]
    base = dict(drawn["strategies"][1]["ps-sync"])
    base.pop("window", None)  # counts must fill, and bounded staleness takes none
    count = rng.randint(1, workers)
    ways = [
        ("ps-sync", {"backup_workers": rng.randrange(workers)}),
        ("ps-async", {"trigger": {"count": count}}),
        ("ps-async", {"trigger": "drain"}),
        ("ps-async", {"trigger": {"timeout": f"{rng.uniform(0.01, 1)!r} s", "count": count}}),
        ("ps-async", {"trigger": {"timeout": f"{rng.uniform(0.01, 1)!r} s"}}),
        ("ps-async", {"softsync": rng.randint(1, workers)}),
        ("ps-ssp", {"staleness": 1}),
    ]
    drawn["strategies"] = [
        {kind: base | options | {"overlap": rng.random() < 0.5, "priority": rng.random() < 0.6}}
        for kind, options in ways
    ]
    return drawn


@pytest.fixture(scope="module", params=range(40))
def rows(request, scene):
    drawn = draw(request.param)
    scenario = scene(*drawn.pop("strategies"), **drawn)
    return simpar.compare(scenario, advise=False)


def test_every_push_is_served_once_or_dropped(rows):
    """By a join or a batch of its server and slice, in every iteration."""
    for row in rows.values():
        trace = row.measured.trace
        program, nodes = trace.program, trace.nodes
        assert program.check() == []
        if nodes is None:
            continue
        for batch in program.batches.values():
            served = sorted(
                key for key, by in nodes.update_of.items() for one in by if one[0] == batch.update
            )
            assert served == [(s, m) for s in batch.senders for m in range(program.iterations)]
        late = sum(int((program.target == join).sum()) - k for join, k in program.joins.items())
        assert len(nodes.dropped) == late * program.iterations
        assert len(trace) == sum(
            len(trace.rows_of([task])) for task in range(len(program)) if task not in program.batches
        )


def test_the_parts_of_a_step_add_up_to_it(rows):
    for row in rows.values():
        assert min(row.breakdown.values()) >= 0
        assert math.fsum(row.breakdown.values()) == pytest.approx(row.step_s, rel=1e-9, abs=1e-9), row.label


def test_critical_paths_have_no_gaps_and_fill_their_windows(rows):
    for row in rows.values():
        for window in row.measured.windows:
            path = row.measured.path(window)
            assert path[0].start_s == pytest.approx(window.start_s, abs=1e-12)
            assert path[-1].end_s == row.measured.trace.end_s[window.row]
            assert all(a.end_s == b.start_s for a, b in pairwise(path))
            assert all(segment.seconds > 0 for segment in path)


def test_no_resource_is_used_more_than_it_can_be(rows):
    for row in rows.values():
        assert all(0 <= use.busy_frac <= 1 + 1e-9 for use in row.resources)


def test_priority_serves_one_at_a_time_and_the_earliest_layer_of_those_that_wait(rows):
    """Of all that waited when a channel or a link began something, nothing had a smaller number."""
    for row in rows.values():
        trace = row.measured.trace
        program = trace.program
        for resource, found in enumerate(program.resources):
            if found.discipline != "priority" or found.capacity > 1:
                continue
            mine = [r for r in range(len(trace)) if trace.resource[r] == resource]
            mine.sort(key=lambda r: trace.start_s[r])
            for here, after in pairwise(mine):
                assert trace.free_s[here] <= trace.start_s[after] * (1 + 1e-12)
            for here in mine:
                waiting = [
                    int(program.priority[trace.task[r]])
                    for r in mine
                    if trace.ready_s[r] < trace.start_s[here] < trace.start_s[r]
                ]
                assert all(program.priority[trace.task[here]] <= other for other in waiting)


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_the_same_scenario_gives_the_same_bytes(scene, seed):
    runs = []
    for _ in range(2):
        drawn = draw(seed)
        scenario = scene(*drawn.pop("strategies"), **drawn)
        programs = [simpar.compile(scenario, strategy) for strategy in scenario.strategies]
        found = [Measured(simpar.simulate(program)) for program in programs]
        runs.append([(p.digest(), m.trace.digest(), m.step_s) for p, m in zip(programs, found, strict=True)])
    assert runs[0] == runs[1]
