"""What a scenario trains on, really: its model with parameters, its data, its optimizer.

The same seed begins with the same parameters and shuffles the data the same way for every strategy; who only
predicts takes the data in its order.
Start with :func:`task_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from simpar.errors import EngineError, InputError, Problem
from simpar.execute.build import input_features, model_of
from simpar.execute.data_sets import DATA_SETS, DataSet
from simpar.execute.model import Model
from simpar.execute.optimizers import OPTIMIZERS, Optimizer
from simpar.execute.parties import Array, Source, Trained
from simpar.execute.sampling import Samples, Stream
from simpar.scenario.options import PREDICTING
from simpar.strategies.common import Setting
from simpar.workload.families import known

NUMPY_DTYPES = ("float64", "float32", "float16")
"""Types of elements that NumPy has."""

RANDOM_RECORDS = 4096
"""Most samples that are drawn where no data is named."""

SMALL_RATE = 0.001
"""Learning rate where none is given and what is learned does not matter."""


@dataclass(frozen=True)
class Task:
    """Everything that a replay needs besides a trace."""

    name: str
    """Of the data: ``digits``."""
    records: int
    """Samples to train on."""
    test: tuple[Any, Any]
    """Inputs and targets that are held back."""
    model: Trained
    parameters: Sequence[Array]
    """The initial ones."""
    source: Source
    optimizer: Callable[[], Optimizer]
    members: Callable[[int], Sequence[Array]]
    """Given a replica of an ensemble, the parameters that are its own."""


def task_of(setting: Setting) -> Task:
    """Return what the scenario of *setting* trains, or predicts if its strategy only does that.

    Raises:
        InputError: it does not say what to train on and how, or its model cannot be trained on that data;
            ``problems`` has everything that is wrong.
    """
    scenario, workload = setting.scenario, setting.workload
    problems = _unsaid(setting)
    data = _data(setting, problems)
    model = None
    try:
        model = model_of(workload, data.loss) if data is not None else model_of(workload)
    except EngineError as error:
        problems.append(scenario.problem("model", str(error)))
    if data is not None and model is not None:
        problems += _misfits(setting, model, data)
    rate = scenario.model.learning_rate
    if setting.strategy.kind in PREDICTING:
        rate = 0.0 if rate is None else rate  # nothing goes anywhere
    if problems or data is None or model is None or rate is None:
        raise InputError(problems)
    dtype, seed = workload.dtype, scenario.run.seed
    records = scenario.data.records or len(data.inputs)
    stream = Stream(records, None if setting.strategy.kind in PREDICTING else seed)
    inputs, targets = _typed(data.inputs, dtype), _typed(data.targets, dtype)

    return Task(
        name=data.name,
        records=records,
        test=(_typed(data.test_inputs, dtype), _typed(data.test_targets, dtype)),
        model=model,
        parameters=model.init(seed, dtype=dtype),
        source=Samples(inputs, targets, stream),
        optimizer=partial(OPTIMIZERS[scenario.model.optimizer], rate),
        members=partial(_member, model, seed, dtype),
    )


def task_or_stand_in(setting: Setting) -> Task:
    """Return what the scenario of *setting* trains; where it names no data, its model on random numbers.

    Times do not depend on what the numbers are. So much is drawn as an iteration of all workers takes.

    Raises:
        InputError: the model cannot be trained.
    """
    if setting.scenario.data.set is not None:
        return task_of(setting)
    scenario, workload, seed = setting.scenario, setting.workload, setting.scenario.run.seed
    problems = [one for one in _unsaid(setting) if one.path == "model.dtype"]
    model = None
    try:
        model = model_of(workload)
    except EngineError as error:
        problems.append(scenario.problem("model", str(error)))
    if problems or model is None:
        raise InputError(problems)
    rng = np.random.default_rng(seed)
    records = max(1, min(RANDOM_RECORDS, setting.cluster.workers * workload.batch))
    reads, makes = input_features(workload), model.layers[-1].tensors[0][1][0]
    if reads is None:
        preset = known(scenario.model)
        shape = records, scenario.model.seq or (preset.seq if preset is not None else None) or 1
        inputs: Array = rng.integers(0, model.layers[0].tensors[0][1][0], shape)
        targets = rng.integers(0, makes, shape)
    else:
        inputs = rng.standard_normal((records, reads))
        targets = rng.integers(0, makes, records)
    dtype = workload.dtype
    inputs = _typed(inputs, dtype)
    return Task(
        name="random numbers",
        records=records,
        test=(inputs[:1], targets[:1]),
        model=model,
        parameters=model.init(seed, dtype=dtype),
        source=Samples(inputs, targets, Stream(records, seed)),
        optimizer=partial(OPTIMIZERS[scenario.model.optimizer], scenario.model.learning_rate or SMALL_RATE),
        members=partial(_member, model, seed, dtype),
    )


def _member(model: Model, seed: int, dtype: str, replica: int) -> list[Array]:
    """Return the parameters that a replica of an ensemble begins with."""
    return model.init((seed, replica), dtype=dtype)


def _typed(values: Array, dtype: str) -> Array:
    """Return *values* as elements of the model's type; whole numbers, tokens and classes, stay."""
    return values if values.dtype.kind in "iu" else values.astype(dtype)


def _unsaid(setting: Setting) -> list[Problem]:
    """Return what a scenario must say before anything can be trained, and does not."""
    scenario, found = setting.scenario, []
    if scenario.data.set is None:
        said = "does not say what to train on"
        found.append(scenario.problem("data", said, f"write 'set: {next(iter(DATA_SETS))}'"))
    if scenario.model.learning_rate is None and setting.strategy.kind not in PREDICTING:
        said = "does not say how far a step of the optimizer goes"
        found.append(scenario.problem("model", said, "write 'learning_rate: 0.1'"))
    if setting.workload.dtype not in NUMPY_DTYPES:
        said = f"there is no {setting.workload.dtype} in NumPy, which trains"
        found.append(scenario.problem("model.dtype", said, f"write one of: {', '.join(NUMPY_DTYPES)}"))
    return found


def _data(setting: Setting, problems: list[Problem]) -> DataSet | None:
    """Return the data to train on; None, and a problem, where there is none."""
    scenario = setting.scenario
    if scenario.data.set is None:
        return None
    try:
        data = DATA_SETS[scenario.data.set]()
    except (EngineError, ImportError) as error:
        problems.append(scenario.problem("data.set", str(error)))
        return None
    asked = scenario.data.records
    if asked is not None and asked > len(data.inputs):
        said = f"{asked:,} records, and {data.name} has {len(data.inputs):,} to train on"
        problems.append(scenario.problem("data.records", said, f"write {len(data.inputs)} or fewer"))
    return data


def _misfits(setting: Setting, model: Model, data: DataSet) -> list[Problem]:
    """Return where the model reads or makes something else than the data has."""
    scenario, workload = setting.scenario, setting.workload
    first, last = model.layers[0], model.layers[-1]
    reads, makes = input_features(workload), last.tensors[0][1][0] if last.tensors else None
    found = []

    def wrong(path: str, said: str, fix: str) -> None:
        found.append(scenario.problem(path, said, fix))

    if data.features is not None and scenario.model.shape is None and reads not in (None, data.features):
        sizes = f"sizes: [{data.features}, ..., {data.outputs}]"
        said = f"{first.name} reads {reads:,} numbers of a sample, and {data.name} has {data.features}"
        wrong("model.preset", said, f"write mlp, with 'shape: {{{sizes}}}'")
        return found
    if data.features is None and reads is not None:
        wrong("model", f"{first.name} reads {reads} numbers, and {data.name} is tokens", "take a gpt")
    elif data.features is not None and reads != data.features:
        other = "tokens" if reads is None else f"{reads} numbers"
        said = f"{first.name} reads {other} of a sample, and {data.name} has {data.features} numbers"
        fix = f"sizes: [{data.features}, ..., {data.outputs}]"
        if scenario.model.preset == "cnn":
            fix = f"an image of {data.features} numbers in all"
        wrong("model.shape", said, f"write {fix}")
    if makes != data.outputs:
        what = "figures" if data.targets.dtype.kind == "f" else "classes"
        fix = "sizes that end with" if data.features is not None else "vocab:"
        said = f"{last.name} makes {makes} figures, and {data.name} has {data.outputs} {what}"
        wrong("model.shape", said, f"write {fix} {data.outputs}")
    preset = known(scenario.model)
    tokens = scenario.model.seq or (preset.seq if preset is not None else None)
    if data.features is None and tokens != data.inputs.shape[1]:
        said = f"sequences of {tokens} tokens, and those of {data.name} have {data.inputs.shape[1]}"
        wrong("model.seq", said, f"write seq: {data.inputs.shape[1]}")
    return found
