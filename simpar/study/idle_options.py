"""Options of strategies that are written out and change nothing, each with the reason."""

from __future__ import annotations

from simpar.program import Program
from simpar.strategies import Setting


def idle_options(setting: Setting, program: Program) -> list[tuple[str, str]]:
    """Return the options of a strategy that are written out and change nothing, each with the reason."""
    given, meta, cluster = setting.strategy.options.model_fields_set, program.meta, setting.cluster
    found = []
    if "servers" in meta:
        found += _idle_server_options(setting, program)
        for word in sorted(set(meta.get("update", {})) - {"elastic", "chain", "seed"}):
            found.append((f"update.{word}", "it takes no time (simpar replay carries it out)"))
        if "placement" in given and meta["servers"] == 1:
            found.append(("placement", "one server holds everything"))
        if "pull_from" in given and "pull_from" not in meta:
            found.append(
                ("pull_from", "a server holds a part of its own, not a copy (placement: replicated)")
            )
        elif "pull_from" in given and meta["servers"] == 1:
            found.append(("pull_from", "one server is home and all"))
        if "payload" in given and "payload" not in meta:
            found.append(("payload", "gradient is the default"))
        whole = meta["placement"] == "sliced" or meta["servers"] == 1
        if meta.get("local_merge") and meta["pushers"] == meta["workers"]:
            found.append(("local_merge", "machines have one device each"))
        if "slice_bytes" in given and not meta["overlap"] and whole:
            found.append(("slice_bytes", "without overlap a worker sends one message a server"))
    if "bucket_bytes" in meta:
        if meta["workers"] == 1:
            found += [
                (option, "one worker reduces nothing")
                for option in ("overlap", "bucket", "add_rate", "copy_rate")
                if option in given
            ]
        elif "bucket" in given and not meta["overlap"] and len(meta["bucket_bytes"]) == 1:
            found.append(("bucket", "everything fits into one"))
    if meta.get("algorithm") == "hierarchical" and 1 in (cluster.nodes, cluster.devices_per_node):
        why = "machines have one device each" if cluster.devices_per_node == 1 else "there is one machine"
        found.append(("algorithm", f"{why}, and it is the ring"))
    if meta["kind"] == "hosted":
        read = setting.scenario.data.store_bandwidth is not None
        for option in ("load_barrier", "read"):
            if option in given and not read:
                found.append((option, "data is there at once without data.store_bandwidth"))
        if "dispatch" in given and "dispatch" not in meta:
            found.append(("dispatch", "fixed is the default"))
        if "parts" in given and len(meta["parts"]) == meta["workers"]:
            found.append(("parts", "one a worker is the default"))
    if "combine" in given:
        why = "there is no other way" if meta["kind"] == "replicated" else "all ways take equally long"
        found.append(("combine", why))
    if meta["kind"] == "pipeline" and meta["stages"] == 1 and "microbatches" in given:
        found.append(("microbatches", "there is one stage"))
    return found


def _idle_server_options(setting: Setting, program: Program) -> list[tuple[str, str]]:
    """Return the same for the options that say which pushes a server waits for, and in which order."""
    options, meta = setting.strategy.options, program.meta
    given, found = options.model_fields_set, []
    if "backup_workers" in given and "backup_workers" not in meta:
        found.append(("backup_workers", "none is the default"))
    if "credit" in given and "credit_bytes" not in meta:
        found.append(("credit", "no worker ever has more to send at once"))
    if "late" in given and "backup_workers" not in meta:
        found.append(("late", "nobody is late without backup_workers"))
    if "priority" in given and not meta.get("priority"):
        off = "false is the default" if meta["overlap"] else "without overlap all layers go together"
        found.append(("priority", off))
    for option in ("trigger", "softsync"):
        if option in given and getattr(options, option) is not None and "trigger" not in meta:
            drain = option == "trigger" and options.model_dump()["trigger"]["drain"]
            why = "servers take no time without update_rate" if drain else "one push an update is the default"
            found.append((option, why))
    return found
