"""Launches, small operations and memory: launch + max((f + f_half) / rate, bytes / bandwidth), by hand."""

import pytest

import simpar

MODEL = {
    "layers": [  # FLOPs of a sample; activations of a batch of 4
        {"name": "a", "flops": "100 FLOP", "parameters": 50, "activation": "80 B"},
        {"name": "b", "flops": 0, "activation": "160 B"},
        {"name": "c", "flops": "20 FLOP", "parameters": 500, "activation": "40 B", "inputs": ["a", "b"]},
    ]
}
# Forward, 4 samples: FLOPs 400, 0, 80; backward twice. Bytes: parameters, then inputs and outputs.
FLOPS = (400.0, 0.0, 80.0)
BYTES = (50 * 4 + 80.0, 80.0 + 160.0, 500 * 4 + 80.0 + 160.0 + 40.0)
RATE, BANDWIDTH = 40.0, 100.0


def device(**given):
    return {"flops": "80 FLOP/s", "efficiency": 0.5, "memory_bandwidth": "100 B/s"} | given


def step(scene, measure, strategy="single", workers=1, batch=4, **given):
    return measure(scene(strategy, model=MODEL, device=device(**given), workers=workers, batch=batch))


def test_without_figures_layers_take_their_flops(scene, measure):
    assert step(scene, measure).step_s == pytest.approx(3 * 480 / RATE, rel=1e-12)


def test_every_layer_is_launched_once_in_each_direction(scene, measure):
    wanted = 3 * 480 / RATE + 2 * 3 * 0.25
    assert step(scene, measure, launch="0.25 s").step_s == pytest.approx(wanted, rel=1e-12)


def test_every_operation_with_flops_starts_up(scene, measure):
    """f_half over the rate, for two layers in two directions."""
    wanted = 3 * 480 / RATE + 2 * 2 * 60 / RATE
    assert step(scene, measure, half_flops="60 FLOP").step_s == pytest.approx(wanted, rel=1e-12)


def test_layers_wait_for_computing_or_for_memory(scene, measure):
    once = sum(max(f / RATE, b / BANDWIDTH) for f, b in zip(FLOPS, BYTES, strict=True))
    # a computes for 10 s, b and c move bytes for 2.4 and 22.8 s
    assert once == pytest.approx(10 + 2.4 + 22.8)
    assert step(scene, measure, roofline=True).step_s == pytest.approx(3 * once, rel=1e-12)


def test_a_slow_worker_is_slow_in_everything(scene, measure):
    scenario = scene(
        "allreduce",
        model=MODEL,
        device=device(launch="0.25 s", half_flops="60 FLOP", roofline=True),
        workers=2,
        speed=[1, 0.5],
        bandwidth=1e15,
        batch=4,
    )
    each = max(460 / RATE, 2.8) + 2.4 + max(140 / RATE, 22.8)
    backward = max(860 / RATE, 5.6) + 4.8 + max(220 / RATE, 45.6)
    assert measure(scenario).step_s == pytest.approx(2 * (each + backward + 6 * 0.25), rel=1e-6)


@pytest.mark.parametrize("micro", [1, 2, 4, 8])
def test_every_microbatch_pays_the_launches_and_start_ups_again(scene, measure, micro):
    """One stage, eight samples: 6 launches and 4 start-ups a microbatch."""
    found = step(
        scene,
        measure,
        {"pipeline": {"stages": 1, "microbatches": micro}},
        workers=2,
        launch="0.25 s",
        half_flops="60 FLOP",
    )
    wanted = 2 * 3 * 480 / RATE + micro * (6 * 0.25 + 4 * 60 / RATE)
    assert found.step_s == pytest.approx(wanted, rel=1e-9)
    assert found.program.meta["stage_compute_s"] == [pytest.approx(wanted, rel=1e-9)]


def test_every_microbatch_moves_the_parameters_again(scene, measure):
    """Microbatches of one sample, where all but the bytes is next to nothing: 2200 + 140, three times."""
    found = step(
        scene,
        measure,
        {"pipeline": {"stages": 1, "microbatches": 8}},
        workers=2,
        roofline=True,
        flops="1 TFLOP/s",
    )
    one_sample = (550 * 4 + (80 + 80 + 160 + 80 + 160 + 40) / 4) / BANDWIDTH
    assert found.step_s == pytest.approx(8 * 3 * one_sample, rel=1e-9)


def test_uneven_microbatches_each_take_their_own_time(scene, measure):
    """Eight samples in three microbatches of 3, 3 and 2."""
    found = step(
        scene, measure, {"pipeline": {"stages": 1, "microbatches": 3}}, workers=2, half_flops="60 FLOP"
    )
    assert found.step_s == pytest.approx(2 * 3 * 480 / RATE + 3 * 4 * 60 / RATE, rel=1e-9)


@pytest.mark.parametrize("key", [{"launch": "1 s"}, {"half_flops": "1 GFLOP"}, {"roofline": True}])
def test_measured_times_stay_as_measured(scene, key):
    given = {"forward": "1 s", "backward": "2 s", "memory_bandwidth": "1 B/s"} | key
    result = simpar.compare(scene("single", model=MODEL, device=given, workers=1, batch=4))
    assert result["single"].step_s == pytest.approx(3.0, rel=1e-12)
    (name,) = key
    assert f"cluster.device.{name} had no effect: times were measured" in result.notes


def test_a_roofline_that_nothing_touches_is_said(scene):
    given = device(roofline=True, memory_bandwidth="1 TB/s")
    model = {"layers": MODEL["layers"][:1]}
    result = simpar.compare(scene("single", model=model, device=given, workers=1, batch=4))
    assert any(note.startswith("cluster.device.roofline had no effect") for note in result.notes)


def test_a_presets_efficiency_holds_memory_time_already(scene):
    model = {"preset": "resnet-50"}
    notes = {}
    for name, more in (("whole", {}), ("own", {"efficiency": 0.9})):
        given = {"preset": "v100", "roofline": True} | more
        notes[name] = simpar.compare(scene("single", model=model, device=given, workers=1, batch=32)).notes
    assert any("already" in note for note in notes["whole"])
    assert not any("already" in note for note in notes["own"])
