"""The account of traffic: what all messages of a step carry, parameters, activations or data.

Cutting the data into slices saves data that would go between devices, and no parameters: those grow with the
number of steps. So both are counted, each message once however many links it crosses.

Formula: with parameter servers that hold n bytes on W workers of batch B, parameters are 2 W n bytes a step
and 2 n m / B an epoch of m records; records of r bytes weigh as much as the gradients at B = n / r.

Start with :func:`account`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simpar.program import Program

DATA = frozenset({"load", "records"})
ACTIVATIONS = frozenset({"activation", "gradient", "output"})
"""Kinds of ops whose messages carry no parameters and no gradients of parameters."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that all messages of one step carry together."""

    parameters_bytes: float | None
    """Parameters and their gradients; None where a collective is one closed form and sends no messages."""
    activations_bytes: float
    """Activations and their gradients."""
    data_bytes: float
    """Records, from the store or to servers that compute on them."""
    samples: int
    """Samples of a step."""

    def to_dict(self) -> dict[str, float | None]:
        """Return it with units in the names."""
        return {
            "parameters_bytes": self.parameters_bytes,
            "activations_bytes": self.activations_bytes,
            "data_bytes": self.data_bytes,
        }

    def per_epoch(self, records: int) -> Traffic:
        """Return the traffic of going once through so many records."""
        steps = records / self.samples
        return Traffic(
            None if self.parameters_bytes is None else self.parameters_bytes * steps,
            self.activations_bytes * steps,
            self.data_bytes * steps,
            records,
        )


def account(program: Program) -> Traffic:
    """Return what the messages of one iteration of *program* carry."""
    sent: dict[str, float] = {"parameters": 0.0, "activations": 0.0, "data": 0.0}
    exchanges = program.meta.get("exchanges")  # of tensor parallelism: outputs and their gradients
    kept = "parameters" if exchanges is None else "activations"
    numbers, first = np.unique(program.message, return_index=True)
    for task in first[numbers >= 0].tolist():
        kind = program.ops[task].kind
        what = "data" if kind in DATA else "activations" if kind in ACTIVATIONS else kept
        sent[what] += float(program.sent_bytes[task] * program.turns[task])
    closed = program.meta.get("collectives") == "closed_form"
    if closed and exchanges is not None:
        turns = [(1 if what == "output" else 2) * elements for _, what, elements in exchanges]
        sent["activations"] = float((program.meta["devices"] - 1) * sum(turns) * program.meta["dtype_bytes"])
        closed = False
    return Traffic(
        None if closed and program.meta["workers"] > 1 else sent["parameters"],
        sent["activations"],
        sent["data"],
        int(program.meta["samples"]),
    )


def as_heavy(parameter_bytes: float, record_bytes: float) -> float:
    """Return how many records weigh as much as the gradients of *parameter_bytes*.

    >>> as_heavy(100e6, 100e3)
    1000.0
    """
    return parameter_bytes / record_bytes
