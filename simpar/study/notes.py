"""What a reader should know before believing the figures: one sentence each.

A setting that changed no number is said here, and so is what makes a row different from its neighbours.
"""

from __future__ import annotations

from simpar.program import Program
from simpar.result import Measured
from simpar.result.labels import size
from simpar.scenario import Scenario
from simpar.strategies import Setting
from simpar.study.money import device_price
from simpar.units import spell
from simpar.workload.presets import MODELS

UNEVEN = 1.05
"""Greatest load of a server over the mean from which on it is worth a word."""


def of_strategy(setting: Setting, measured: Measured) -> list[str]:
    """Return what concerns one strategy."""
    meta, said = measured.program.meta, []
    name = setting.strategy.name
    if meta["clock"] == "async":
        speeds = setting.cluster.speeds
        as_long = ", so a step is as long as a synchronous one" if meta["sharing"] == "fair" else ""
        if meta["stagger"] == "none" and len(speeds) > 1 and len(set(speeds)) == 1:
            said.append(
                f"{name} moves in lockstep: equal workers that start together stay together and load the "
                f"network all at once{as_long} (run.stagger: even starts them apart)"
            )
        if measured.staleness and measured.staleness.mean > 0:
            said.append(
                f"{name} steps are not worth the same as the others: gradients are "
                f"{measured.staleness.mean:.1f} updates old on average"
            )
        uncertain = (meta["workers"] - 1) / measured.gradients
        uneven = len(set(speeds)) > 1 or (meta["stagger"] == "none" and meta["sharing"] == "fifo")
        if uneven and uncertain > 0.04:
            said.append(
                f"{name} was measured over {measured.gradients} gradients only, so its figures are uncertain "
                f"by up to {100 * uncertain:.0f} % (write more run.steps)"
            )
    said += _of_gathering(measured, name)
    loads = meta.get("server_loads_bytes")
    if loads and max(loads) * len(loads) > UNEVEN * sum(loads):
        fullest, total = meta["fullest_server"], sum(loads)
        said.append(
            f"{name}: ps{fullest} holds {100 * loads[fullest] / total:.0f} % of the parameters "
            f"({meta['largest_tensor']} alone is {spell(meta['largest_tensor_bytes'], 'size')}); "
            f"the step is set by its link, {max(loads) * len(loads) / total:.1f} times the mean load"
            + ("" if meta["placement"] == "sliced" else " (placement: sliced evens it out)")
        )
    if loads and 0 in loads:
        said.append(f"{name}: {loads.count(0)} of {len(loads)} servers hold nothing")
    if meta["kind"] == "pipeline":
        said += _of_pipeline(setting, measured)
    return said


def _of_gathering(measured: Measured, name: str) -> list[str]:
    """Return what joins and batches left out: pushes that came too late, batches that never filled."""
    trace, meta = measured.trace, measured.program.meta
    said: list[str] = []
    if trace.nodes is None:
        return said
    if "backup_workers" in meta:
        senders = [measured.program.ops[sender].worker for sender in trace.nodes.dropped[:, 2].tolist()]
        slowest = max(sorted(set(senders)), key=senders.count)
        share = senders.count(slowest) / len(senders)
        said.append(
            f"{name} trains on {meta['workers'] - meta['backup_workers']} gradients a step and drops "
            f"{meta['backup_workers']}, {100 * share:.0f} % of them w{slowest}'s"
        )
    stalled = {
        float(trace.ready_s[trace.row(update, number)]) for update, number in trace.nodes.flushed.tolist()
    }
    during = sum(measured.since_s < at <= measured.until_s for at in stalled)
    if during:
        times = "once" if during == 1 else f"{during} times"
        said.append(
            f"{name} stalled {times} while it was measured: every worker waited for a server that held fewer "
            f"pushes than it counts, and they went on with what they had (a timeout or drain avoids it)"
        )
    return said


def _of_pipeline(setting: Setting, measured: Measured) -> list[str]:
    meta, said, name = measured.program.meta, [], setting.strategy.name
    if meta["stages"] < meta["workers"]:
        idle = meta["workers"] - meta["stages"]
        said.append(f"{name}: {idle} of {meta['workers']} workers {'has' if idle == 1 else 'have'} no stage")
    cut, network = meta["widest_cut"], setting.cluster.network
    if cut < 0 or network is None:
        return said
    left, right = meta["cut_layers"][cut]
    each_way_s = meta["cut_bytes"][cut] / network.bytes_per_s
    stage_s = meta["stage_compute_s"]
    slowest = stage_s.index(max(stage_s))
    said.append(
        f"{name}: the cut between {left} on w{cut} and {right} on w{cut + 1} limits it most "
        f"({spell(meta['cut_bytes'][cut], 'size')} a step each way, 2 x {spell(each_way_s, 'duration')} on a "
        f"link); the slowest stage is w{slowest} ({spell(stage_s[slowest], 'duration')} of compute a step)"
    )
    return said


def of_memory(setting: Setting, program: Program) -> list[str]:
    """Return why a strategy does not fit."""
    meta, limit = program.meta, setting.cluster.device.memory_bytes
    assert limit is not None, "what does not fit has a limit"
    states = meta["memory_bytes"] - meta["activation_bytes"]
    whose, kept = "", ""
    if "fullest_stage" in meta:
        whose = f" on w{meta['fullest_stage']}"
        kept = f" of {meta['in_flight']} microbatches in flight"
    return [
        f"{setting.strategy.name} does not fit: it needs {spell(meta['memory_bytes'], 'size')}{whose} and "
        f"the device has {size(limit)} ({spell(states, 'size')} of parameters, gradients and momentum, "
        f"{spell(meta['activation_bytes'], 'size')} of activations{kept})"
    ]


def of_scenario(scenario: Scenario, compiled: list[tuple[Setting, Program]]) -> list[str]:
    """Return what concerns all strategies: settings without effect, times taken from another batch."""
    said = []
    setting = compiled[0][0]
    workload, cluster = setting.workload, setting.cluster
    programs = [program for _, program in compiled]
    messages = any((program.message >= 0).any() for program in programs)

    def no_effect(path: str, why: str) -> None:
        said.append(f"{path} had no effect: {why}")

    network = scenario.network
    if network is not None and not messages:
        closed = any(program.meta.get("collectives") == "closed_form" for program in programs)
        if not (closed and cluster.workers > 1):
            no_effect("network", "no message crosses a link")
        elif "sharing" in network.model_fields_set:
            no_effect("network.sharing", "collectives in closed form share nothing")
    served = [program for program in programs if "servers" in program.meta]
    if network is not None and not served and network.server_bandwidth is not None:
        no_effect("network.server_bandwidth", "no strategy has servers")
    for option in sorted(scenario.cluster.server.model_fields_set):
        if not served:
            no_effect(f"cluster.server.{option}", "no strategy has servers")
    rates = (cluster.server.add_bytes_per_s, cluster.server.update_bytes_per_s)
    if served and "threads" in scenario.cluster.server.model_fields_set and rates == (None, None):
        no_effect("cluster.server.threads", "servers take no time without add_rate or update_rate")
    asynchronous = any(program.meta["clock"] == "async" for program in programs)
    if "stagger" in scenario.run.model_fields_set and not asynchronous:
        no_effect("run.stagger", "no strategy is asynchronous")
    reducing = any("algorithm" in program.meta for program in programs)
    if "collectives" in scenario.run.model_fields_set and not reducing:
        no_effect("run.collectives", "no strategy has a collective")
    preset = scenario.model.preset
    if scenario.model.seq is not None and (preset is None or MODELS[preset].seq is None):
        no_effect("model.seq", "this model has no sequence")
    if "seed" in scenario.run.model_fields_set:
        no_effect("run.seed", "nothing in this scenario is drawn at random")
    device = scenario.cluster.device
    if device is not None and device.memory_bandwidth is not None:
        no_effect("cluster.device.memory_bandwidth", "layers take their FLOPs over the device's rate")
    for key in sorted(scenario.validation.model_fields_set):
        no_effect(f"validate.{key}", "nothing is executed here")
    if scenario.prices:
        said += _of_prices(scenario, bool(served))
    elif scenario.data.records is not None:
        no_effect("data.records", "an epoch is counted in money, and there are no prices")
    for each, program in compiled:
        for option, why in _idle_options(each, program):
            no_effect(f"strategies[{each.strategy.name}].{option}", why)
    said += _unanchored(scenario)
    measured = workload.measured_batch
    if measured is not None and measured != workload.batch:
        said.append(
            f"layer times were measured at batch {measured} and are scaled in proportion to batch "
            f"{workload.batch}"
        )
    elif cluster.device.measured_batch not in (None, workload.batch) and cluster.device.forward_s is not None:
        said.append(
            f"cluster.device times were measured at batch {cluster.device.measured_batch} and are scaled in "
            f"proportion to batch {workload.batch}"
        )
    return said


def _of_prices(scenario: Scenario, served: bool) -> list[str]:
    """Return the prices that are missing and those that nobody pays."""
    device, said = scenario.cluster.device, []
    preset = device.preset if device is not None and device.preset is not None else "device"
    if device_price(scenario) is None:
        said.append(f"prices has none for {preset}: there is no money in this table")
    used = {preset if preset in scenario.prices else "device", *(["server"] if served else [])}
    for name in sorted(set(scenario.prices) - used):
        said.append(f"prices.{name} had no effect: nothing here is a {name}")
    if served and "server" not in scenario.prices:
        said.append("parameter servers are free: prices has none for server")
    return said


def _unanchored(scenario: Scenario) -> list[str]:
    """Return what an override leaves behind: times and sizes that belonged to another batch or type."""
    overridden = {path for path, place in scenario.source.values.items() if place[0] == "--set"}
    device, said = scenario.cluster.device, []
    timed = device is not None and device.forward is not None
    if {("model", "batch"), ("model", "global_batch")} & overridden:
        if timed and device is not None and device.batch is None:
            said.append(
                "model.batch was changed and cluster.device's times were not: they are taken as those of the "
                "new batch (write cluster.device.batch, the batch they were measured at, and they are scaled)"
            )
        if scenario.model.layers is not None:
            said.append(
                "model.batch was changed: the layers' times and activations are taken as the new batch's"
            )
    if ("model", "dtype") in overridden and timed:
        said.append("model.dtype was changed and cluster.device's times were not: only bytes follow the type")
    return said


def _idle_options(setting: Setting, program: Program) -> list[tuple[str, str]]:
    """Return the options of a strategy that are written out and change nothing, each with the reason."""
    given, meta = setting.strategy.options.model_fields_set, program.meta
    found = []
    if "servers" in meta:
        found += _idle_server_options(setting, program)
        if "placement" in given and meta["servers"] == 1:
            found.append(("placement", "one server holds everything"))
        whole = meta["placement"] == "sliced" or meta["servers"] == 1
        if "slice_bytes" in given and not meta["overlap"] and whole:
            found.append(("slice_bytes", "without overlap a worker sends one message a server"))
    if "bucket_bytes" in meta:
        if meta["workers"] == 1:
            found += [
                (option, "one worker reduces nothing") for option in ("overlap", "bucket") if option in given
            ]
        elif "bucket" in given and not meta["overlap"] and len(meta["bucket_bytes"]) == 1:
            found.append(("bucket", "everything fits into one"))
    if meta["kind"] == "pipeline" and meta["stages"] == 1 and "microbatches" in given:
        found.append(("microbatches", "there is one stage"))
    return found


def _idle_server_options(setting: Setting, program: Program) -> list[tuple[str, str]]:
    """Return the same for the options that say which pushes a server waits for, and in which order."""
    options, meta = setting.strategy.options, program.meta
    given, found = options.model_fields_set, []
    if "backup_workers" in given and "backup_workers" not in meta:
        found.append(("backup_workers", "none is the default"))
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
