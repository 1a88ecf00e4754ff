"""What each strategy's fullest device holds, summed by hand."""

import pytest

import simpar

PARAMETERS, OUTPUT = (1000, 500, 250), 64.0  # of three layers; bytes of each one's output for a sample


def held(scene, strategy, name=None, workers=4, batch=2, **model):
    layers = [
        {"name": f"l{i}", "flops": "1 GFLOP", "parameters": count, "activation": f"{OUTPUT * batch} B"}
        for i, count in enumerate(PARAMETERS)
    ]
    scenario = scene(
        strategy,
        model={"layers": layers} | model,
        device={"flops": "1 TFLOP/s"},
        workers=workers,
        batch=batch,
        server={"threads": 3, "update_rate": 1e9},
    )
    return simpar.compile(scenario, scenario.strategies[0].name).meta


def parts(*n_bytes):
    names = ("parameters", "gradients", "optimizer", "activations", "buffers")
    return {f"{name}_bytes": size for name, size in zip(names, n_bytes, strict=True)}


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 0), ("momentum", 1), ("adam", 2)])
def test_one_device_holds_the_optimizers_copies_in_float32(scene, optimizer, copies):
    meta = held(scene, "single", optimizer=optimizer)
    assert meta["memory"] == parts(7000, 7000, copies * 7000, 3 * 64 * 2, 0)
    assert meta["memory_bytes"] == (2 + copies) * 7000 + 384


@pytest.mark.parametrize(("optimizer", "each"), [("sgd", 4), ("momentum", 8), ("adam", 12)])
def test_half_precision_keeps_master_weights(scene, optimizer, each):
    meta = held(scene, "single", optimizer=optimizer, dtype="bfloat16")
    assert meta["memory"] == parts(3500, 3500, each * 1750, 384, 0)


def test_the_default_is_momentum(scene):
    assert held(scene, "single")["memory"] == held(scene, "single", optimizer="momentum")["memory"]


@pytest.mark.parametrize(
    ("options", "buffers"),
    [
        ({}, 7000),  # one bucket of everything
        ({"bucket": "1 kB"}, 4000),  # buckets of 1000, 2000 and 4000 bytes, one at a time
        ({"bucket": "1 kB", "overlap": True}, 8000),  # two of the largest
        ({"overlap": True}, 7000),  # 25 MiB: all in one
    ],
)
def test_an_all_reduce_has_buffers_of_its_largest_bucket(scene, options, buffers):
    assert held(scene, {"allreduce": options})["memory"] == parts(7000, 7000, 7000, 384, buffers)


def test_a_worker_alone_reduces_nothing(scene):
    assert held(scene, "allreduce", workers=1)["memory"]["buffers_bytes"] == 0


@pytest.mark.parametrize("kind", ["ps-sync", "ps-async"])
def test_servers_keep_the_optimizers_state_and_a_buffer_a_thread(scene, kind):
    """Two servers of half the model; without overlap a push is all of a shard, and three are worked on."""
    meta = held(scene, {kind: {"servers": 2}}, optimizer="adam")
    assert meta["memory"] == parts(7000, 7000, 0, 384, 0)
    assert meta["server_memory_bytes"] == [(1 + 1 + 2 + 3) * 3500] * 2


def test_servers_of_slices_have_smaller_buffers(scene):
    """The largest slice is 1000 bytes of a quarter of the first tensor."""
    meta = held(scene, {"ps-sync": {"slice_bytes": "1 kB", "overlap": True}})
    assert meta["server_memory_bytes"] == [3 * 7000 + 3 * 1000]


def test_a_stage_holds_its_own_layers_and_what_it_receives(scene):
    """Three stages of one layer, four microbatches of two samples: the first holds most."""
    meta = held(scene, {"pipeline": {"stages": 3, "microbatches": 4}}, optimizer="adam")
    assert meta["fullest_stage"] == 0
    assert meta["memory"] == parts(4000, 4000, 8000, 4 * 128, 128)


def test_gpt_2_of_1_5_billion_needs_24_gb_of_model_states(scene):
    """Rajbhandari et al., ZeRO, SC 2020, section 3.1: 'at least 24 GB', while 16-bit weights are 3 GB."""
    scenario = scene(
        "single",
        model={"preset": "gpt2-xl", "dtype": "float16", "optimizer": "adam"},
        device="v100-32",
        workers=1,
    )
    memory = simpar.compile(scenario, "single").meta["memory"]
    states = sum(memory[f"{part}_bytes"] for part in ("parameters", "gradients", "optimizer"))
    assert 24e9 <= states == 16 * 1_557_611_200
    assert memory["parameters_bytes"] == pytest.approx(3e9, rel=0.05)


def test_what_does_not_fit_says_what_it_needs_memory_for(scene):
    model = {"preset": "gpt2-xl", "dtype": "float16", "optimizer": "adam"}
    row = simpar.compare(scene("single", model=model, device="v100", workers=1))["single"]
    (note,) = row.notes
    assert "does not fit" in note
    assert all(f"{part} " in note for part in ("parameters", "gradients", "optimizer", "activations"))
    assert sum(row.memory.values()) == pytest.approx(row.memory_bytes)


def test_an_optimizer_that_only_servers_run_changes_no_figure(scene):
    layers = [{"name": "a", "flops": "1 GFLOP", "parameters": 1000}]
    notes = {}
    for strategies in (["ps-sync"], ["ps-sync", "allreduce"]):
        scenario = scene(
            *strategies, model={"layers": layers, "optimizer": "adam"}, device={"flops": "1 TFLOP/s"}
        )
        notes[len(strategies)] = " ".join(simpar.compare(scenario).notes)
    assert "model.optimizer had no effect" in notes[1]
    assert "model.optimizer" not in notes[2]
