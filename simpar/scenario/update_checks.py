"""Updates of parameters that exclude one another, or other options of parameter servers."""

from __future__ import annotations

from typing import Any

from simpar.scenario.report import Report
from simpar.scenario.words import Path

Data = dict[str, Any]

_APART = {
    "window": (1, "a worker that goes on before its pull has no one distance to the centre"),
    "pull_every": (1, "a worker is drawn to the centre that it pulls"),
    "local_merge": (False, "devices that push together have no parameters of their own"),
    "backup_workers": (0, "the centre is the mean of all"),
    "trigger": (None, "each replica moves the centre when it comes"),
    "softsync": (None, "each replica moves the centre when it comes"),
}
"""What elastic averaging does not go with: what each option may be, and why no more."""

_CHAINED = ("overlap", "window", "push_every", "local_merge", "backup_workers", "credit", "slice_bytes")
"""Options that a chain of workers, of which one computes at a time, has no use for."""


def check_update(kind: Any, options: Data, model: Data, here: Path, report: Report) -> None:
    """Note updates that exclude each other or other options."""
    update, path = options.get("update"), (*here, "update")
    if not isinstance(update, dict) or not report.clean(path):
        return
    for key in ("payload", "placement"):
        if options.get(key) in ("model", "data", "replicated") and report.clean((*here, key)):
            said = "the servers' update is of gradients that are pushed to the one that holds them"
            report.add(path, said, f"remove it, or '{key}'", key=True)
    if update.get("elastic") is not None:
        for key, (usual, why) in _APART.items():
            if options.get(key, usual) != usual and report.clean((*here, key)):
                said = f"with update.elastic, {why}"
                fix = "remove it, or update.elastic"
                report.add((*here, key), said, fix, key=True)
        if update.get("chain"):
            said = "a chain has one set of parameters, and no centre to be drawn to"
            report.add((*path, "chain"), said, "remove it, or elastic", key=True)
    if update.get("momentum") is not None and "optimizer" in model:
        said = "model.optimizer says what the update is already"
        report.add((*path, "momentum"), said, "keep one of them", key=True)
    if not update.get("chain"):
        return
    if kind != "ps-sync":
        report.add(
            (*path, "chain"), f"workers of {kind} wait for nobody", "remove it, or take ps-sync", key=True
        )
    for key in _CHAINED:
        if key in options and report.clean((*here, key)):
            said = "with update.chain workers go one after another"
            report.add((*here, key), said, "remove it, or update.chain", key=True)
