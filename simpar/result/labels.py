"""What people read a strategy as: ``ps-sync, 2 servers``; ``allreduce ring, overlapped``.

A label says what the program does, so that defaults are seen too; a name given by hand comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simpar.strategies.allreduce import DEFAULT_BUCKET_BYTES
from simpar.units import spell


def label(meta: Mapping[str, Any], given: str | None, options: Mapping[str, Any]) -> str:
    """Return the label of a strategy.

    Args:
        meta: facts of its program.
        given: the name that the scenario gives it, None where it goes by its kind.
        options: the options that the scenario writes out.
    """
    words = [_kind(meta)]
    if "servers" in meta:
        words.append(f"{meta['servers']} server" + ("" if meta["servers"] == 1 else "s"))
        if meta["placement"] != "sliced" or "placement" in options:
            words.append(str(meta["placement"]).replace("_", " "))
        if options.get("slice_bytes") is not None:
            words.append(f"slices of {_size(options['slice_bytes'])}")
    if "stages" in meta:
        words.append(f"{meta['stages']} stages x {meta['microbatches']} microbatches")
    if meta.get("overlap"):
        words.append("overlapped")
    bucket = options.get("bucket")
    if bucket is not None and not (meta.get("overlap") and bucket == DEFAULT_BUCKET_BYTES):
        words.append(f"buckets of {_size(bucket)}")
    if meta.get("collectives") == "closed_form":
        words.append("closed form")
    said = ", ".join(words)
    return f"{given}: {said}" if given else said


def _size(n_bytes: float) -> str:
    """Return a size as people choose them: in whole MiB or KiB where it is one."""
    for factor, unit in ((2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= factor and n_bytes % factor == 0:
            return f"{n_bytes // factor:.0f} {unit}"
    return spell(n_bytes, "size")


def _kind(meta: Mapping[str, Any]) -> str:
    if "algorithm" in meta:
        return f"{meta['kind']} {meta['algorithm']}"
    if "schedule" in meta:
        return f"{meta['kind']} {meta['schedule']}"
    return str(meta["kind"])
