"""What people read a strategy as: ``ps-sync, 2 servers``; ``allreduce ring, overlapped``.

A label says what the program does, so that defaults are seen too; the name stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simpar.strategies.allreduce import DEFAULT_BUCKET_BYTES
from simpar.units import spell


def label(meta: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the label of a strategy.

    Args:
        meta: facts of its program.
        options: the options that the scenario writes out.
    """
    words = [_kind(meta)]
    if meta["kind"] == "hosted" and len(meta["parts"]) != meta["workers"]:
        words.append(_count(len(meta["parts"]), "part"))
    if "dispatch" in meta:
        words.append("sent when free")
    if meta["kind"] == "ensemble":
        words.append(str(meta["combine"]))
    if "staleness" in meta:
        words.append(f"staleness {meta['staleness']}")
    words += _gathering(meta, options)
    if "servers" in meta:
        words.append(_count(meta["servers"], "colocated server" if meta.get("colocate") else "server"))
        if meta["placement"] != "sliced" or "placement" in options:
            words.append(str(meta["placement"]).replace("_", " "))
        if meta.get("pull_from") == "all":
            words.append("pull from all")
        if "payload" in meta:
            words.append(f"payload {meta['payload']}")
        if options.get("slice_bytes") is not None:
            words.append(f"slices of {size(options['slice_bytes'])}")
        if meta.get("pushers", meta["workers"]) < meta["workers"]:
            words.append("local merge")
    if "devices" in meta:
        words.append(_count(meta["devices"], "device"))
    if "stages" in meta:
        words.append(
            f"{_count(meta['stages'], 'stage')} x {_count(meta['microbatches'], 'microbatch', 'es')}"
        )
    if meta.get("recompute"):
        words.append("recompute")
    if meta.get("overlap"):
        words.append("overlapped")
    if meta.get("priority"):
        words.append("priority")
    bucket = options.get("bucket")
    if bucket is not None and not (meta.get("overlap") and bucket == DEFAULT_BUCKET_BYTES):
        words.append(f"buckets of {size(bucket)}")
    if meta.get("collectives") == "closed_form":
        words.append("closed form")
    return ", ".join(words)


def size(n_bytes: float) -> str:
    """Return a size as people choose them: in whole MiB or KiB where it is one."""
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= factor and n_bytes % factor == 0:
            return f"{n_bytes // factor:.0f} {unit}"
    return spell(n_bytes, "size")


def memory_parts(memory: Mapping[str, float]) -> str:
    """Return what memory is for, the parts that there are.

    >>> memory_parts({"parameters_bytes": 2e6, "optimizer_bytes": 0.0, "activations_bytes": 5e6})
    'parameters 2 MB + activations 5 MB'
    """
    return " + ".join(
        f"{name.removesuffix('_bytes')} {spell(n_bytes, 'size')}"
        for name, n_bytes in memory.items()
        if n_bytes
    )


def _count(number: int, thing: str, plural: str = "s") -> str:
    return f"{number} {thing}" + ("" if number == 1 else plural)


def _gathering(meta: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """Return which pushes a server waits for, where that is not the rule of the kind."""
    if "backup_workers" in meta:
        return [f"backup {meta['backup_workers']}"]
    trigger = meta.get("trigger")
    if trigger is None:
        return []
    if trigger["at_once"]:
        return [f"softsync {options['softsync']}"]
    if trigger["mode"] == "timeout":
        return [f"timeout {spell(trigger['timeout_s'], 'duration')} or count {trigger['count']}"]
    return ["drain" if trigger["mode"] == "drain" else f"count {trigger['count']}"]


def _kind(meta: Mapping[str, Any]) -> str:
    if "algorithm" in meta:
        return f"{meta['kind']} {meta['algorithm']}"
    if "schedule" in meta:
        return f"{meta['kind']} {meta['schedule']}"
    return str(meta["kind"])
