"""The 1F1B schedule: as long as GPipe's with equal stages, with fewer activations held."""

import pytest

from simpar.strategies.pipeline import in_flight, stage_order

FREE = {"bandwidth": 1e15, "latency": 0.0}


def step(scene, measure, schedule, stages, micro, layers=None, **network):
    scenario = scene(
        {"pipeline": {"schedule": schedule, "microbatches": micro}},
        layers=layers or [(1.0, 2.0, 10, 0.0)] * stages,
        workers=stages,
        batch=micro,  # stages x micro samples: every microbatch has as many as there are stages
        **(network or FREE),
    )
    return measure(scenario)


@pytest.mark.parametrize(("stages", "micro"), [(2, 2), (2, 8), (3, 5), (4, 4), (4, 12), (4, 2), (5, 1)])
@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_equal_stages_take_m_plus_p_minus_1_microbatches(scene, measure, schedule, stages, micro):
    """Oracle G1: (m + p - 1) (t_f + t_b). Three seconds a layer for a batch of `micro` samples."""
    per_microbatch = 3.0 * stages / micro
    found = step(scene, measure, schedule, stages, micro)
    assert found.step_s == pytest.approx((micro + stages - 1) * per_microbatch, rel=1e-9)
    assert found.breakdown["bubble_s"] == pytest.approx((stages - 1) * per_microbatch, rel=1e-6)


@pytest.mark.parametrize(("stages", "micro"), [(1, 4), (4, 8), (4, 2), (8, 8)])
def test_a_stage_holds_no_more_than_the_stages_behind_it(stages, micro):
    """Oracle G3: GPipe m, 1F1B min(m, p - r) at stage r."""
    for stage in range(stages):
        assert in_flight(stage_order("gpipe", stage, stages, micro)) == micro
        assert in_flight(stage_order("1f1b", stage, stages, micro)) == min(micro, stages - stage)


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
@pytest.mark.parametrize(("stages", "micro"), [(1, 3), (3, 1), (4, 6), (5, 12)])
def test_every_microbatch_goes_forward_once_and_then_back_once(schedule, stages, micro):
    for stage in range(stages):
        order = stage_order(schedule, stage, stages, micro)
        assert sorted(order) == sorted((what, 0, k) for what in ("forward", "backward") for k in range(micro))
        assert all(order.index(("forward", 0, k)) < order.index(("backward", 0, k)) for k in range(micro))


def test_memory_follows_the_microbatches_held(scene, measure):
    """Four stages of 1000 parameters and 64 bytes a sample, 16 microbatches of 4 samples.

    The second stage holds most: beside the activations of what is in flight its inputs, and a gradient.
    """
    layers = [(1.0, 2.0, 1000, 64.0 * 16)] * 4
    states = 3 * 4000
    for schedule, held in (("gpipe", 16), ("1f1b", 3)):
        found = step(scene, measure, schedule, 4, 16, layers=layers)
        assert found.program.meta["memory_bytes"] == states + (held + held + 1) * 4 * 64
        assert found.program.meta["memory"] == {
            "parameters_bytes": 4000,
            "gradients_bytes": 4000,
            "optimizer_bytes": 4000,
            "activations_bytes": held * 4 * 64,
            "buffers_bytes": (held + 1) * 4 * 64,
        }


def test_a_slow_link_does_not_change_what_is_sent(scene, measure):
    layers = [(1.0, 2.0, 10, 800.0)] * 3
    sent = {}
    for schedule in ("gpipe", "1f1b"):
        found = step(scene, measure, schedule, 3, 6, layers=layers, bandwidth=500.0, latency=0.1)
        sent[schedule] = found.program.link_bytes().tolist()
    # 18 samples of 800 / 6 bytes each over both cuts, and back
    assert sum(sent["gpipe"]) == sum(sent["1f1b"]) == pytest.approx(2 * 2 * 2 * 18 * 800 / 6)
