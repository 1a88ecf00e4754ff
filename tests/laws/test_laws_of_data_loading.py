"""What holds for scenarios at random still holds where the data comes from a store."""

import json
import math
import random

import any_scenario
import pytest

import simpar

SEEDS = range(40)


@pytest.fixture(params=SEEDS)
def drawn(request):
    """Arguments of a scene with a store, now slow and now fast."""
    rng = random.Random(1000 + request.param)
    store = (rng.uniform(1.0, 2000.0), 10 ** rng.uniform(2, 6), rng.choice([1, 2, 2, 4]))
    return any_scenario.draw(request.param) | {"data": store}


@pytest.fixture
def rows(scene, drawn):
    return compared(scene, drawn)


def compared(scene, drawn):
    arguments = {key: value for key, value in drawn.items() if key != "strategies"}
    return simpar.compare(scene(*drawn["strategies"], **arguments), advise=False)


def batches(program):
    """Return the batches of a worker in an iteration."""
    return program.meta.get("push_every", 1) * program.meta.get("pull_every", 1)


def test_every_batch_is_read_once_and_received_once(rows, drawn):
    """Of an ensemble once by every device, as each of them predicts all records."""
    for row in rows.values():
        program = row.measured.program
        crossed = dict(zip([link.name for link in program.links], program.link_bytes(), strict=True))
        wanted = batches(program) * drawn["workers"] * drawn["batch"] * drawn["data"][0]
        wanted *= drawn["workers"] if row.kind == "ensemble" else 1
        assert crossed["store.out"] == pytest.approx(wanted, rel=1e-12)
        sent, received = (
            math.fsum(n_bytes for name, n_bytes in crossed.items() if name.endswith(way))
            for way in (".out", ".in")
        )
        assert sent == pytest.approx(received, rel=1e-12), row.name


def test_figures_hold_together(rows):
    json.dumps(rows.to_dict(), allow_nan=False)
    for row in rows.values():
        assert math.fsum(row.breakdown.values()) == pytest.approx(row.step_s, abs=1e-9)
        assert all(seconds >= 0 for seconds in row.breakdown.values())
        assert all(0 <= use.busy_frac <= 1 + 1e-9 for use in row.resources)


def test_a_store_never_makes_a_step_shorter_where_nobody_competes(scene, rows, drawn):
    """One device, or one reader: elsewhere a late worker may leave a link to others, and all gain by it."""
    free = compared(scene, drawn | {"data": None})
    for name in ("single", "pipeline"):
        if name == "single" or drawn["sharing"] == "fair":
            assert rows[name].step_s >= free[name].step_s * (1 - 1e-9), name


def test_no_run_is_shorter_than_the_store_takes(rows, drawn):
    record, store, _ = drawn["data"]
    once = drawn["workers"] * drawn["batch"] * record / store
    for row in rows.values():
        trace = row.measured.trace
        read_s = trace.program.iterations * batches(trace.program) * once
        assert float(trace.end_s.max()) >= read_s * (1 - 1e-9), row.name
