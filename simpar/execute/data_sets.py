"""Data to train on: handwritten digits, characters of a text, and a regression whose optimum is known.

All are small, need no network, and are the same numbers on every machine. Start with :data:`DATA_SETS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simpar.errors import EngineError
from simpar.execute import kernels
from simpar.execute.build import Loss

CONTEXT = 32
"""Tokens in a sample of characters."""

TEXT = """\
A worker takes its slice of the batch and walks through the layers, first to last. It keeps what \
each of them made. Then it walks back, last to first, and at each layer it learns how the loss would \
change. What it learns it sends to the servers. A server waits for all the workers, or for some of \
them, or for none. It adds up what came, and moves its part of the model a small step. Then it sends \
the part back, and the worker takes the next slice of the next batch.

A ring needs no server. Each worker cuts what it learned into as many chunks as there are workers. \
It sends a chunk to the one on its right, and adds the chunk that comes from its left. When every \
chunk has gone round once, each worker holds one chunk that is the sum of all. When every chunk has \
gone round twice, all of them hold all of the sums. No link ever carries more than it must, and the \
slowest link is what the others wait for.

A pipeline cuts the model instead of the batch. The first worker has the first layers, the last one \
has the last. Small batches flow through, one behind the other. At the beginning the last workers \
wait, at the end the first ones do: that is the bubble. The more small batches there are, the \
smaller it is.

What is old is wrong by a little. A worker that reads the model, and sends what it learned when \
others have moved it on, points to where the model was. When the steps are small, that does no harm. \
When they are large, or the others are many, the model runs in circles, and in the end it runs away.
"""
"""Written for this purpose."""


@dataclass(frozen=True)
class DataSet:
    """Samples to train on, and some that are held back for the test."""

    name: str
    inputs: NDArray[Any]
    """float64[samples, features], or int64[samples, tokens]."""
    targets: NDArray[Any]
    """Classes int64[samples] or int64[samples, tokens], or figures float64[samples, outputs]."""
    test_inputs: NDArray[Any]
    test_targets: NDArray[Any]
    outputs: int
    """Classes, or figures to predict."""
    loss: Loss
    """How far a model is off."""

    @property
    def features(self) -> int | None:
        """Numbers of a sample; None where it is tokens."""
        return None if self.inputs.dtype.kind == "i" else self.inputs.shape[1]


def digits() -> DataSet:
    """Return 1400 images of handwritten digits, 8 x 8 pixels from 0 to 1, and 397 for the test.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998, as scikit-learn has it.

    Raises:
        EngineError: scikit-learn is not installed.
    """
    if find_spec("sklearn") is None:
        raise EngineError("the digits come with scikit-learn, which is not installed; pip install '.[data]'")
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.data))
    images, labels = found.data[order] / 16.0, found.target[order].astype(np.int64)
    return DataSet(
        "digits", images[:1400], labels[:1400], images[1400:], labels[1400:], 10, kernels.cross_entropy
    )


def characters() -> DataSet:
    """Return windows of :data:`TEXT`, each with the characters that follow; every eighth is for the test.

    Windows of the test begin where those for training end, so that no target of theirs is trained on.
    """
    vocabulary = sorted(set(TEXT))
    tokens = np.array([vocabulary.index(character) for character in TEXT], dtype=np.int64)
    block = 8 * CONTEXT
    starts = np.arange(len(tokens) - CONTEXT - 1)
    place = starts % block
    train = starts[place + CONTEXT < block - CONTEXT]
    test = starts[place == block - CONTEXT]

    def read(begin: NDArray[np.int64], ahead: int) -> NDArray[np.int64]:
        read: NDArray[np.int64] = tokens[begin[:, None] + np.arange(CONTEXT) + ahead]
        return read

    return DataSet(
        "characters",
        read(train, 0),
        read(train, 1),
        read(test, 0),
        read(test, 1),
        len(vocabulary),
        kernels.cross_entropy,
    )


def regression() -> DataSet:
    """Return 960 points of 10 features whose figure is linear in them but for noise, and 240 for the test."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((1200, 10))
    figures = inputs @ rng.standard_normal((10, 1)) + 0.5 + 0.1 * rng.standard_normal((1200, 1))
    return DataSet(
        "regression", inputs[:960], figures[:960], inputs[960:], figures[960:], 1, kernels.squared_error
    )


def least_squares(data: DataSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight (outputs, features) and bias (outputs,) of the best linear model of *data*."""
    ones = np.ones((len(data.inputs), 1))
    best, *_ = np.linalg.lstsq(np.hstack([data.inputs, ones]), data.targets, rcond=None)
    return best[:-1].T, best[-1]


DATA_SETS: dict[str, Callable[[], DataSet]] = {
    "digits": digits,
    "characters": characters,
    "regression": regression,
}
"""By the name that a scenario gives them in ``data.set``."""
