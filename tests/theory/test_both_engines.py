"""Pages on theory speak of both engines: whatever they simulate, by hand or by comparing, runs on either."""

import pytest

import simpar
from simpar import simulate as room
from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate


@pytest.fixture
def ran(monkeypatch):
    """Return the engines that run, in order."""
    found = []
    for name in ("ReferenceEngine", "CompiledEngine"):
        engine = getattr(room, name)

        def made(*args, engine=engine, name=name, **kwargs):
            found.append(name)
            return engine(*args, **kwargs)

        monkeypatch.setattr(room, name, made)
    return found


def test_what_is_simulated_by_hand_runs_on_both(ran):
    builder = ProgramBuilder("one", 1)
    builder.task("t", Op("forward"), builder.resource("device", "device"), 1.0)
    assert simulate(builder.build()).end_s.tolist() == [1.0]
    assert sorted(ran) == ["CompiledEngine", "ReferenceEngine"]


def test_what_is_compared_runs_on_both(scene, ran):
    simpar.compare(scene("allreduce", "ps-async"), advise=False)
    assert sorted(ran) == ["CompiledEngine"] * 2 + ["ReferenceEngine"] * 2
