"""F3: with a credit of c slices of s bytes, a link of B bytes per second carries min(B, c s / round trip).

A round trip is the time of one slice on the link, and the latency there and back; so two slices or more must
be under way to keep a link busy that is far away.
"""

import numpy as np
import pytest

import simpar

SIZE, RATE, COUNT = 500.0, 1000.0, 48


@pytest.mark.parametrize("credit", [1, 2, 3, 6])
@pytest.mark.parametrize("latency", [0.0, 0.2, 1.5])
def test_so_many_slices_arrive_in_a_round_trip_or_as_fast_as_the_link_is(scene, run_on_both, credit, latency):
    scenario = scene(
        {"ps-sync": {"overlap": True, "slice_bytes": f"{SIZE} B", "credit": f"{credit * SIZE} B"}},
        layers=[(1.0, 2.0, int(COUNT * SIZE / 4), 0.0)],
        workers=1,
        bandwidth=RATE,
        latency=latency,
        run={"steps": 2, "warmup": 0},
    )
    trace = run_on_both(simpar.compile(scenario, "ps-sync"))
    pushes = [task for task, op in enumerate(trace.program.ops) if op.kind == "push"]
    assert len(pushes) == COUNT
    arrived = np.sort(trace.end_s[[trace.row(task, 1) for task in pushes]])
    turns = arrived[credit:] - arrived[:-credit]
    round_trip = SIZE / RATE + 2 * latency
    rate = min(RATE, credit * SIZE / round_trip)
    assert credit * SIZE / turns == pytest.approx(np.full(COUNT - credit, rate), rel=1e-9)
