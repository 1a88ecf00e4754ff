"""Predict how fast training runs in parallel, before you buy or book anything.

>>> import simpar
>>> result = simpar.compare("scenarios/quickstart.yaml", set={"run.steps": 2})
>>> result.best.kind
'allreduce'
>>> round(result["ps-sync"].step_s, 4)
0.4417

Everything is imported when it is first used, so that ``import simpar`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simpar.errors import (
        EngineError,
        FitError,
        InputError,
        Problem,
        ProgramError,
        SimparError,
    )
    from simpar.program import Program
    from simpar.result import Comparison, Row
    from simpar.scenario import Scenario, load
    from simpar.simulate import simulate
    from simpar.strategies import compile
    from simpar.study.compare import compare, explain
    from simpar.study.machines import Machines, machines
    from simpar.study.predict import Predicted, predict
    from simpar.study.replay import Learning, replay
    from simpar.study.scale import Scaling, scale
    from simpar.study.whatif import Study, whatif
    from simpar.trace import Trace

_HOMES = {
    "Comparison": "simpar.result",
    "EngineError": "simpar.errors",
    "FitError": "simpar.errors",
    "InputError": "simpar.errors",
    "Learning": "simpar.study.replay",
    "Machines": "simpar.study.machines",
    "Predicted": "simpar.study.predict",
    "Problem": "simpar.errors",
    "Program": "simpar.program",
    "ProgramError": "simpar.errors",
    "Row": "simpar.result",
    "Scaling": "simpar.study.scale",
    "Scenario": "simpar.scenario",
    "SimparError": "simpar.errors",
    "Study": "simpar.study.whatif",
    "Trace": "simpar.trace",
    "Case": "simpar.study.validation",
    "ExecutionError": "simpar.errors",
    "Validation": "simpar.study.validation",
    "compare": "simpar.study.compare",
    "compile": "simpar.strategies",
    "explain": "simpar.study.compare",
    "load": "simpar.scenario",
    "machines": "simpar.study.machines",
    "predict": "simpar.study.predict",
    "replay": "simpar.study.replay",
    "scale": "simpar.study.scale",
    "simulate": "simpar.simulate",
    "validate": "simpar.study.validate",
    "whatif": "simpar.study.whatif",
}

__all__ = [
    "Case",
    "Comparison",
    "EngineError",
    "ExecutionError",
    "FitError",
    "InputError",
    "Learning",
    "Machines",
    "Predicted",
    "Problem",
    "Program",
    "ProgramError",
    "Row",
    "Scaling",
    "Scenario",
    "SimparError",
    "Study",
    "Trace",
    "Validation",
    "compare",
    "compile",
    "explain",
    "load",
    "machines",
    "predict",
    "replay",
    "scale",
    "simulate",
    "validate",
    "whatif",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its room when it is first asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("simpar")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'simpar' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*__all__, "__version__"])
