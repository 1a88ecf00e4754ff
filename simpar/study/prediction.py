"""What a reader is told of strategies that predict and train nothing, before believing the figures.

Start with :func:`of_prediction`; :mod:`simpar.study.notes` has all the other notes.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.program import Program
from simpar.scenario import Scenario
from simpar.workload import Workload


def of_prediction(scenario: Scenario, workload: Workload, programs: Sequence[Program]) -> list[str]:
    """Return what forward passes alone mean for a comparison, what they lack, and what they leave unused."""
    ways = {program.name: program.meta["combine"] for program in programs if "combine" in program.meta}
    if not ways:
        return []
    said, names, last = [], ", ".join(ways), workload.layers[-1]
    if last.activation_bytes == 0:
        said.append(f"{names}: outputs of {last.name} have no bytes, as its activation is not given")
    if len(ways) < len(programs):
        return [*said, f"not to be compared: {names} only predict, and the others train"]
    given = scenario.cluster.server.model_fields_set
    if "update_rate" in given:
        said.append("cluster.server.update_rate had no effect: nothing is updated")
    if "add_rate" in given and set(ways.values()) == {"concat"}:
        said.append("cluster.server.add_rate had no effect: outputs are put one after another, not added up")
    return said
