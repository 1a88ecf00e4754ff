"""Every option of every strategy changes some figure somewhere, or is refused where it means nothing.

A new option without a row here fails: say where it matters.
"""

import json

import pytest

import simpar
from simpar.errors import InputError
from simpar.execute.replay import replay
from simpar.scenario.options import KINDS, UpdateSpec
from simpar.strategies import prepare
from simpar.study.training import task_or_stand_in

SCENE = {
    "name": "options",
    "model": {
        "preset": "mlp",
        "shape": {"sizes": [64, 48, 40, 32, 10]},
        "batch": 8,
        "optimizer": "adam",
        "learning_rate": 0.1,
    },
    "data": {"set": "digits", "record_bytes": "1 kB", "store_bandwidth": "10 MB/s"},
    "cluster": {
        "workers": 4,
        "device": {"flops": "100 MFLOP/s"},
        "server": {"add_rate": "50 MB/s", "update_rate": "20 MB/s"},
        "speed": [1.0, 0.9, 0.8, 0.7],
    },
    "network": {"bandwidth": "1 MB/s", "latency": "100 us"},
    "run": {"steps": 6, "warmup": 1},
}
"""Machines that differ, and a network that is slow: whatever an option does, it is seen."""

PAIRS = {"cluster": SCENE["cluster"] | {"devices_per_node": 2, "nodes": 2}, "network": SCENE["network"]}
PAIRS["cluster"].pop("workers")
PAIRS["network"] = PAIRS["network"] | {"intra": {"bandwidth": "100 MB/s", "latency": "1 us"}}
EVEN = {"cluster": {key: value for key, value in SCENE["cluster"].items() if key != "speed"}}
SQUARE = {"model": SCENE["model"] | {"shape": {"sizes": [64, 64, 64]}, "optimizer": "sgd"}}
SQUARE["data"] = SCENE["data"]
DIVISIBLE = {"model": SCENE["model"] | {"shape": {"sizes": [64, 48, 40, 32]}}}
SGD = {key: value for key, value in SCENE["model"].items() if key != "optimizer"}

SERVED = {
    "servers": (2, {}, {}),
    "placement": ("round_robin", {"servers": 2}, {}),
    "slice_bytes": ("1 kB", {"overlap": True}, {}),
    "overlap": (True, {}, {}),
    "priority": (True, {"overlap": True}, {}),
    "colocate": (True, {"servers": 2}, {}),
    "local_merge": (True, {}, PAIRS),
    "push_every": (2, {}, {}),
    "window": (2, {}, {}),
    "credit": ("2 kB", {"overlap": True}, {}),
    "update": ({"elastic": 0.5}, {}, {}),
}
"""By option: a value, what else the strategy has (with and without it), and what the scene has."""

MATTERS = {
    "single": {},
    "hosted": {
        "parts": (7, {}, {}),
        "dispatch": ("free", {"parts": 8}, {}),
        "load_barrier": (False, {"read": "serial"}, {}),
        "read": ("serial", {}, {}),
    },
    "ps-sync": SERVED
    | {
        "backup_workers": (1, {}, {}),
        "late": ("cancel", {"backup_workers": 1}, {}),
        "payload": ("data", {}, {}),
        "pull_from": ("all", {"servers": 2, "placement": "replicated"}, {}),
    },
    "ps-async": SERVED
    | {
        "pull_every": (2, {}, {}),
        "trigger": ({"count": 2}, {}, {}),
        "softsync": (2, {}, {}),
    },
    "ps-ssp": {option: row for option, row in SERVED.items() if option != "window"}
    | {"staleness": (0, {}, {})},
    "allreduce": {
        "algorithm": ("tree", {}, {}),
        "bucket": ("4 kB", {"overlap": True}, {}),
        "overlap": (True, {"bucket": "4 kB"}, {}),
        "add_rate": ("10 MB/s", {}, {}),
        "copy_rate": ("10 MB/s", {}, {}),
    },
    "pipeline": {
        "schedule": ("1f1b", {"stages": 2}, {}),
        "chunks": (2, {"stages": 2, "schedule": "interleaved", "microbatches": 4}, {}),
        "stages": (2, {}, {}),
        "microbatches": (2, {}, {}),
        "recompute": (True, {}, {}),
    },
    "replicated": {},
    "ensemble": {"combine": ("sum", {}, {})},
    "tensor": {"devices": (2, {}, EVEN | DIVISIBLE)},
}

MEANINGLESS = {
    ("ps-sync", "pull_every"): (2, "pull_every"),
    ("ps-ssp", "pull_every"): (2, "pull_every"),
    ("ps-ssp", "window"): (2, "write 1, or staleness: 4"),
    ("replicated", "combine"): ("mean", "take an ensemble"),
}
"""By kind and option that it cannot have: a value, and a part of what is said."""


def figures(kind, options, more):
    """Return everything that is predicted of one strategy."""
    found = simpar.compare(SCENE | more | {"strategies": [{kind: options}]}).to_dict()
    for row in found["strategies"]:
        row.pop("label")
    return json.dumps(found["strategies"], sort_keys=True)


def test_every_option_has_a_row():
    for kind, model in KINDS.items():
        known = set(MATTERS[kind]) | {option for of, option in MEANINGLESS if of == kind}
        assert known == set(model.model_fields) - {"name"}, kind


@pytest.mark.parametrize(
    ("kind", "option"), [(kind, option) for kind, options in MATTERS.items() for option in options]
)
def test_an_option_changes_some_figure(kind, option):
    value, base, more = MATTERS[kind][option]
    if option == "chunks":
        base = base | {"chunks": 2}
        more, value = {"model": SCENE["model"] | {"shape": {"sizes": [64] * 7 + [10]}}}, 3
    if (kind, option) == ("ensemble", "combine"):  # it changes what is predicted, and no time
        scene = SCENE | {"strategies": [{kind: {"combine": "sum"}}, {kind: {"combine": "mean"}}]}
        first, second = (simpar.predict(scene, name).values for name in ("ensemble", "ensemble-2"))
        assert (first != second).any()
        return
    without, with_it = figures(kind, base, more), figures(kind, base | {option: value}, more)
    assert without != with_it


@pytest.mark.parametrize(("kind", "option"), MEANINGLESS)
def test_an_option_without_a_meaning_is_refused(kind, option):
    value, said = MEANINGLESS[kind, option]
    with pytest.raises(InputError) as caught:
        figures(kind, {option: value}, {})
    assert said in str(caught.value)


UPDATES = {
    "elastic": (0.5, {}),
    "noise_std": (0.1, {}),
    "momentum": (0.5, SGD),
    "symmetric": (True, SQUARE["model"]),
    "weight_decay": (0.1, {}),
    "chain": (True, {}),
}


def learned(update, model):
    """Return the parameters after a few steps, as a text of their bytes."""
    scene = SCENE | {"model": model or SCENE["model"]}
    scene = scene | {"strategies": [{"ps-sync": {"update": update} if update else {}}]}
    if "sizes" in str(model) and model["shape"]["sizes"][-1] != 10:
        scene = {key: value for key, value in scene.items() if key != "data"}
    scenario = simpar.load(scene)
    program = simpar.compile(scenario, "ps-sync")
    task = task_or_stand_in(prepare(scenario, "ps-sync"))
    found = replay(simpar.simulate(program), task.model, task.parameters, task.source, task.optimizer)
    return b"".join(one.tobytes() for one in found.parameters)


def test_every_update_has_a_row():
    assert set(UPDATES) == set(UpdateSpec.model_fields)


@pytest.mark.parametrize("update", UPDATES)
def test_an_update_changes_what_is_learned(update):
    value, model = UPDATES[update]
    assert learned({update: value}, model) != learned({}, model)
