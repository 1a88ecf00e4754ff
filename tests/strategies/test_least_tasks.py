"""Programs that are too large are refused before they are written down."""

import pytest

import simpar
from simpar.errors import InputError
from simpar.strategies import KINDS, LEAST_TASKS, prepare

LAYERS = ((1.0, 2.0, 5, 8.0), (1.0, 2.0, 0, 8.0), (1.0, 2.0, 17, 8.0))
ALGORITHMS = ("ring", "tree", "recursive-doubling", "halving-doubling", "direct", "hierarchical")

OF_ANY_MODEL = sorted(set(LEAST_TASKS) - {"tensor"})
"""Kinds that take models without linear layers."""


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("around", [{}, {"sharing": "fifo"}, {"per_node": 2, "intra": (1e4, 0.0)}])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *(("allreduce", {"algorithm": one}) for one in ALGORITHMS),
        *(("allreduce", {"algorithm": one, "overlap": True, "bucket": "8 B"}) for one in ALGORITHMS),
        *((kind, {"servers": 3}) for kind in ("ps-sync", "ps-async", "ps-ssp")),
        *((kind, {"servers": 2, "overlap": True}) for kind in ("ps-sync", "ps-async", "ps-ssp")),
        ("ps-sync", {"servers": 8, "placement": "round_robin"}),
        ("ps-sync", {"servers": 2, "placement": "balanced", "slice_bytes": "8 B", "overlap": True}),
        ("ps-sync", {"placement": "replicated"}),
        ("ps-sync", {"payload": "model"}),
        ("ps-async", {"servers": 2, "local_merge": True}),
        ("ps-async", {"servers": 2, "colocate": True}),
        ("ps-async", {"trigger": {"timeout": "1 s"}}),
        ("ps-async", {"softsync": 1}),
    ],
)
def test_tasks_that_are_counted_beforehand_are_never_more_than_there_are(
    scene, kind, options, around, workers
):
    if workers % around.get("per_node", 1):
        workers += 1
    setting = prepare(scene({kind: options}, layers=LAYERS, workers=workers, **around), kind)
    least, there = LEAST_TASKS[kind](setting), len(KINDS[kind](setting))
    assert there / 3 < least <= there


@pytest.mark.parametrize("kind", OF_ANY_MODEL)
def test_a_model_without_parameters_is_counted_too(scene, kind):
    setting = prepare(scene(kind, layers=((1.0, 2.0, 0, 8.0),), workers=4), kind)
    assert LEAST_TASKS[kind](setting) <= len(KINDS[kind](setting))


@pytest.mark.parametrize("kind", OF_ANY_MODEL)
def test_a_program_that_is_too_large_is_never_begun(scene, monkeypatch, kind):
    def begun(setting):
        raise AssertionError("written down")

    monkeypatch.setitem(KINDS, kind, begun)
    for workers, steps in ((100_000, 200), (1500, 100_000)):
        with pytest.raises(InputError, match=r"at least [\d,]+ tasks x [\d,]+ iterations are too many"):
            simpar.compile(scene(kind, workers=workers, run={"steps": steps, "warmup": 0}), kind)
    once = {"steps": 1, "warmup": 0}
    large = scene({"allreduce": {"algorithm": "direct"}}, workers=1000, run=once)  # 2 W (W - 1) messages
    if kind != "allreduce":  # 2 S W
        large = scene({kind: {"servers": 40}}, workers=15_000, run=once)
    with pytest.raises(InputError, match="has more than 1,000,000 tasks in one iteration; try fewer workers"):
        simpar.compile(large, kind)
