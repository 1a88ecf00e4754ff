"""What models are really trained on: small, and the same everywhere.

============== ==============================================================================================
``digits``     1,797 handwritten digits of 8 x 8 pixels, from scikit-learn; 397 of them are held back
``characters`` sentences of a little grammar, letter by letter; their entropy is known
``regression`` a linear rule with noise; the best linear model is known
============== ==============================================================================================

Nothing is downloaded. What is not in a file is drawn from a seed.

Start with :func:`load`; :data:`OBJECTIVES` says beforehand what a model must be built for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simpar.errors import InputError
from simpar.execute.model import Model, Objective

OBJECTIVES: dict[str, Objective] = {"digits": "classes", "characters": "classes", "regression": "values"}
"""What is learned from each data set."""

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class DataSet:
    """Samples to train on, and samples that are held back for a test."""

    name: str
    objective: Objective
    inputs: Values
    """[records, ...]: numbers, or tokens."""
    targets: Values
    """Integers [records] or [records, tokens], the right classes; or values [records, outputs]."""
    test_inputs: Values
    test_targets: Values
    optimum: tuple[Values, Values] | None = None
    """Of a regression, the weight [outputs, inputs] and the bias of the linear model whose mean half squared
    error on the training samples is the smallest."""

    @property
    def records(self) -> int:
        """Samples to train on."""
        return len(self.inputs)


def load(
    name: str, model: Model, *, records: int | None = None, seed: int = 0, dtype: str = "float32"
) -> DataSet:
    """Return the data set called *name*, in the shapes that *model* takes.

    Args:
        records: samples to train on; by default all digits but the test's, or 1,400 of what is drawn.
        seed: says which digits are held back, and what is drawn.
        dtype: type of numbers; tokens and classes are int64.

    Raises:
        InputError: nobody knows the data set, the model takes or gives something else, there are not so
            many records, or scikit-learn is not installed.
    """
    if name not in MAKERS:
        raise InputError(f"unknown data set {name!r}; one of {', '.join(MAKERS)}")
    if model.objective != OBJECTIVES[name]:
        raise InputError(f"{name} has {OBJECTIVES[name]} for targets; the model learns {model.objective}")
    if records is not None and records < 1:
        raise InputError(f"{records} records are nothing to train on; give 1 or more")
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise InputError(
            f"NumPy has no {dtype}, so that nothing can be trained in it; write float32"
        ) from None
    return MAKERS[name](model, records, seed, kind)


# -- digits ------------------------------------------------------------------------------------------

DIGITS = 1797
HELD_BACK = 397
"""Digits of the test."""


def _digits(model: Model, records: int | None, seed: int, dtype: np.dtype[Any]) -> DataSet:
    """Return the digits, with pixels from 0 to 1.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998: its test set, as
    scikit-learn ships it.
    """
    _takes(model, "digits", "64 pixels", math.prod(model.input_shape) == 64 and not model.takes_tokens)
    _gives(model, "digits", "10 classes", model.output_shape == (10,))
    most = DIGITS - HELD_BACK
    if records is not None and records > most:
        raise InputError(f"there are {most:,} digits to train on, not {records:,}; write {most} or less")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        said = "the digits come with scikit-learn, which is not installed"
        raise InputError(f"{said}; from the checkout: pip install '.[data]'") from None
    pixels, classes = load_digits(return_X_y=True)
    order = np.random.default_rng([seed, 1]).permutation(DIGITS)
    test, train = order[:HELD_BACK], order[HELD_BACK:][:records]
    pixels, classes = (pixels / 16).astype(dtype), classes.astype(np.int64)
    return DataSet("digits", "classes", pixels[train], classes[train], pixels[test], classes[test])


# -- characters --------------------------------------------------------------------------------------

DRAWN = 1400
"""Samples to train on, where they are drawn and nobody says how many."""

DRAWN_TEST = 400
"""Samples of the test, where they are drawn."""

SENTENCE = (
    ("a", "the", "one", "every"),
    ("small", "old", "quick", "red", "quiet", "tall", "young", "blue"),
    ("dog", "bird", "farmer", "king", "river", "wolf", "child", "ship"),
    ("sees", "finds", "follows", "likes", "hears", "leaves", "wants", "knows"),
    ("a", "the", "one", "every"),
    ("house", "tree", "stone", "road", "garden", "letter", "song", "door"),
)
"""The words of a sentence, place by place; each of a place is as likely as the others."""

ALPHABET = "".join(sorted({letter for place in SENTENCE for word in place for letter in word} | {" ", "."}))
"""Letters by their token."""


def entropy() -> float:
    """Return the nats per letter that nobody can guess: those of a sentence over its mean length.

    No model has a smaller cross entropy, but for luck; one that sees only a part of a sentence has a larger
    one. At the beginning of a sample nobody knows where in a sentence it is.
    """
    choices = sum(math.log(len(place)) for place in SENTENCE)
    letters = sum(sum(map(len, place)) / len(place) + 1 for place in SENTENCE) + 1
    return choices / letters


def text(letters: int, rng: np.random.Generator) -> str:
    """Return so many *letters* of sentences: ``the old farmer sees every tree. a red ship ...``."""
    sentences, length = [], 0
    while length < letters:
        words = [place[int(rng.integers(len(place)))] for place in SENTENCE]
        sentences.append(" ".join(words) + ". ")
        length += len(sentences[-1])
    return "".join(sentences)[:letters]


def _characters(model: Model, records: int | None, seed: int, dtype: np.dtype[Any]) -> DataSet:
    """Return stretches of text, each letter with the next one for a target."""
    _takes(model, "characters", "letters as tokens", model.takes_tokens)
    classes = model.output_shape[-1]
    enough = len(model.output_shape) == 2 and classes >= len(ALPHABET)
    _gives(model, "characters", f"{len(ALPHABET)} letters (vocab)", enough)
    tokens = model.input_shape[0]
    number = {letter: token for token, letter in enumerate(ALPHABET)}

    def samples(count: int, part: int) -> tuple[Values, Values]:
        written = text(count * tokens + 1, np.random.default_rng([seed, 2, part]))
        row = np.array([number[letter] for letter in written], dtype=np.int64)
        return row[:-1].reshape(count, tokens), row[1:].reshape(count, tokens)

    return DataSet("characters", "classes", *samples(records or DRAWN, 0), *samples(DRAWN_TEST, 1))


# -- regression --------------------------------------------------------------------------------------

NOISE = 0.1
"""Standard deviation of what a regression's targets are off."""


def _regression(model: Model, records: int | None, seed: int, dtype: np.dtype[Any]) -> DataSet:
    """Return a linear rule with noise: inputs, weights and biases are standard normal."""
    _takes(model, "regression", "numbers", not model.takes_tokens)
    _gives(model, "regression", "numbers", len(model.output_shape) == 1)
    features, outputs = math.prod(model.input_shape), model.output_shape[0]
    rng = np.random.default_rng([seed, 3])
    weight, bias = rng.standard_normal((outputs, features)), rng.standard_normal(outputs)

    def samples(count: int) -> tuple[Values, Values]:
        inputs = rng.standard_normal((count, features))
        noise = NOISE * rng.standard_normal((count, outputs))
        return inputs.astype(dtype), (inputs @ weight.T + bias + noise).astype(dtype)

    train, test = samples(records or DRAWN), samples(DRAWN_TEST)
    return DataSet("regression", "values", *train, *test, optimum=least_squares(*train))


def least_squares(inputs: Values, targets: Values) -> tuple[Values, Values]:
    """Return the weight [outputs, features] and the bias [outputs] of the best linear model, in float64.

    Where there are fewer samples than numbers to choose it is the smallest of the best ones.
    """
    rows = np.column_stack([inputs.astype(np.float64), np.ones(len(inputs))])
    best = np.linalg.lstsq(rows, targets.astype(np.float64), rcond=None)[0].T
    return best[:, :-1], best[:, -1]


# -- what fits ---------------------------------------------------------------------------------------


def _takes(model: Model, name: str, what: str, fits: bool) -> None:
    if not fits:
        taken = "tokens" if model.takes_tokens else "numbers"
        shape = " x ".join(map(str, model.input_shape))
        raise InputError(f"a sample of {name} is {what}; the model takes {shape} {taken}")


def _gives(model: Model, name: str, what: str, fits: bool) -> None:
    if not fits:
        shape = " x ".join(map(str, model.output_shape))
        raise InputError(f"{name} has {what} for targets; the model gives {shape}")


MAKERS: dict[str, Callable[[Model, int | None, int, np.dtype[Any]], DataSet]] = {
    "digits": _digits,
    "characters": _characters,
    "regression": _regression,
}
"""What makes the data sets, by the name that ``data.set`` takes."""
