"""What parameter servers with a copy of the whole model each, and other payloads than gradients, go with.

Like :mod:`simpar.scenario.checks`, it looks at what was written and keeps quiet about what is known to be
wrong. Start with :func:`check_payload`.
"""

from __future__ import annotations

from typing import Any

from simpar.scenario.report import Report
from simpar.scenario.words import Path

_OFF: dict[str, Any] = {
    "slice_bytes": None,
    "overlap": False,
    "colocate": False,
    "local_merge": False,
    "push_every": 1,
    "window": 1,
    "credit": None,
    "backup_workers": 0,
}
"""Options that say how a sum of gradients goes in pieces, each with the value that leaves it as a whole."""

_REASONS = {
    "slice_bytes": "a copy is summed up as a whole",
    "overlap": "a copy is summed up as a whole, after the backward pass",
    "colocate": "copies sum up over links of their own",
    "local_merge": "every worker sends to its home server itself",
    "push_every": "copies are summed up after every batch",
    "window": "copies are summed up before a worker goes on",
    "credit": "a worker sends one message",
    "backup_workers": "copies are summed up when all workers have sent",
}
"""Why a copy of everything on every server does not go with them."""

_OF_MODELS = {
    "window": "a mean of older parameters would undo the updates made meanwhile",
    "local_merge": "the devices of a machine add up gradients, not parameters",
}
"""Why parameters do not go with them."""


def check_payload(
    kind: Any, options: dict[str, Any], workers: int | None, data: dict[str, Any], here: Path, report: Report
) -> None:
    """Note in *report* what the raw *options* of ps-sync have that does not go with copies or the payload.

    Args:
        workers: of the cluster, None where that is unknown.
        data: the raw section ``data``.
    """
    if kind != "ps-sync" or not report.clean((*here, "placement"), (*here, "payload")):
        return
    payload, copies = options.get("payload", "gradient"), options.get("placement") == "replicated"
    servers: Any = options.get("servers", 1)
    known = isinstance(servers, int) and not isinstance(servers, bool)
    known = known and report.clean((*here, "servers"))
    if copies and known and workers is not None and servers > workers:
        said = f"{servers} servers with a copy each, and {workers} workers: some would serve nobody"
        report.add((*here, "servers"), said, f"write at most {workers}")
    if payload == "data":
        if known and servers > 1 and not copies:
            said = f"each of {servers} servers needs the whole model to compute on records"
            report.add((*here, "payload"), said, "write 'placement: replicated', or 'servers: 1'")
        if data.get("record_bytes") is None:
            fix = "add 'data: {record_bytes: 110 kB}'"
            report.add((*here, "payload"), "workers send records, and their size is not known", fix)
    if copies or payload == "data":
        what = "placement: replicated" if copies else "payload: data"
        _refuse(options, _REASONS, what, here, report)
    elif payload == "model":
        _refuse(options, _OF_MODELS, "payload: model", here, report)


def _refuse(options: dict[str, Any], reasons: dict[str, str], what: str, here: Path, report: Report) -> None:
    for option, why in reasons.items():
        if options.get(option, _OFF[option]) != _OFF[option] and report.clean((*here, option)):
            fix = f"remove it, or {what!r}"
            report.add((*here, option), f"with {what!r} {why}", fix, key=True)
