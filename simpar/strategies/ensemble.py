"""Ensemble prediction: every device has parameters of its own, predicts all records, and a host combines.

Every device sees every record of a step, workers x batch, computes its outputs forward only with its own
parameters, and sends them to the host. The host makes one prediction of them: the ``mean`` of the outputs,
their ``sum``, or the class that most devices put first (``vote``; of classes with as many votes the first).
A vote needs classes: a model of one output, and one that is trained on figures, has none.

Parameters are on their devices and stay there; only outputs travel. So more devices make no step faster, each
costs as much as the first: what they buy is a better prediction.

The host is ``ps0``: a machine with the bandwidth and the CPU of a parameter server. Nothing overlaps, but
reading records ahead (``data.prefetch``). Nothing is learned: a device holds its parameters and the outputs
that a later layer reads, no gradients and no optimizer.

Formula: max forward + gather + combine, where m records of o bytes of output each take
alpha + max(m o / B_w, W m o / B_host) to gather and W m o / R_add to combine.
Sources: Hansen and Salamon, Neural Network Ensembles, IEEE TPAMI 12(10), 1990; Lakshminarayanan et al., Deep
Ensembles, NeurIPS 2017, whose members begin with parameters drawn apart.
"""

from __future__ import annotations

from simpar.program import Program
from simpar.scenario.options import EnsembleOptions
from simpar.strategies import replicas
from simpar.strategies.common import Setting, Star
from simpar.workload import Workload

FIGURES = frozenset({"regression"})
"""Data sets whose targets are figures, not classes."""


def build(setting: Setting) -> Program:
    """Return the program of replicas that all predict all records."""
    options, workers = setting.strategy.options, setting.cluster.workers
    assert isinstance(options, EnsembleOptions)
    if options.combine == "vote":
        _check_classes(setting)
    return replicas.program(
        Star(setting),
        [setting.global_batch],
        [0] * workers,
        [[] for _ in range(workers)],
        [],
        options.combine,
        own_parameters=True,
    )


def _check_classes(setting: Setting) -> None:
    """Refuse a vote of a model that puts no class first."""
    data, fix = setting.scenario.data.set, "write mean or sum"
    if data in FIGURES:
        said = f"a vote needs classes to vote for, and {data} is trained on figures"
        raise setting.refuse("combine", said, fix)
    if _outputs(setting.workload) == 1:
        last = setting.workload.layers[-1].name
        raise setting.refuse("combine", f"a vote needs classes to vote for, and {last} makes one figure", fix)


def _outputs(workload: Workload) -> float:
    """Return how many figures the last layer makes of a sample, or of each token of it; 0 if unknown."""
    last = workload.layers[-1]
    return last.form.output[-1] if last.form else last.activation_bytes / workload.dtype_bytes
