"""What a reader should know before believing the figures: one sentence each.

A setting that changed no number is said here, and so is what makes a row different from its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from simpar.hardware import Cluster, load_instances
from simpar.program import Program
from simpar.result import Measured, Row
from simpar.result.labels import memory_parts, size
from simpar.scenario import IntraSpec, NetworkSpec, Scenario
from simpar.scenario.variation import DISTRIBUTED
from simpar.simulate import ASKED
from simpar.strategies import Setting
from simpar.strategies.common import layer_times
from simpar.strategies.operations import memory_bound
from simpar.strategies.variation import is_nominal, is_random, replications
from simpar.study.idle_options import idle_options
from simpar.study.money import device_price, machine_price
from simpar.study.prediction import of_prediction
from simpar.trace import SERVER_OPS
from simpar.units import spell
from simpar.workload.families import known

SETTLING, SETTLING_AT_RANDOM = 0.04, 0.15
"""Share by which asynchronous training changes its pace while it is measured that is worth a word."""

UNEVEN = 1.05
"""Greatest load of a server over the mean from which on it is worth a word."""


def of_strategy(setting: Setting, measured: Measured) -> list[str]:
    """Return what concerns one strategy."""
    meta, said = measured.program.meta, []
    name = setting.strategy.name
    if meta["clock"] == "async":
        speeds = setting.cluster.speeds
        as_long = ", so a step is as long as a synchronous one" if meta["sharing"] == "fair" else ""
        alike = len(set(speeds)) == 1 and not is_random(setting.scenario)
        if meta["stagger"] == "none" and len(speeds) > 1 and alike:
            said.append(
                f"{name} moves in lockstep: equal workers that start together stay together and load the "
                f"network all at once{as_long} (run.stagger: even starts them apart)"
            )
        if measured.staleness and measured.staleness.mean > 0:
            said.append(
                f"{name} steps are not worth the same as the others: gradients are "
                f"{measured.staleness.mean:.1f} updates old on average"
            )
        said += _of_few(setting, measured, name)
    said += _of_gathering(measured, name)
    said += _of_flow_control(measured, name)
    slowing = measured.slowing_frac
    if abs(slowing) > (SETTLING_AT_RANDOM if is_random(setting.scenario) else SETTLING):
        said.append(
            f"{name} has not settled: in the second half of the steps measured it trains "
            f"{100 * abs(slowing):.0f} % {'slower' if slowing > 0 else 'faster'} than in the first (write "
            f"run.warmup: {10 * (setting.scenario.run.warmup + 1)}, or more)"
        )
    folded = measured.program.folded
    if folded:
        said.append(
            f"{name} sends {folded + int((measured.program.message >= 0).sum()):,} messages a step: all are "
            "simulated, and of each ring timelines show the last round"
        )
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
    if meta["kind"] == "tensor":
        said += _of_tensor(setting, measured)
    return said


def _of_few(setting: Setting, measured: Measured, name: str) -> list[str]:
    """Return how far off figures from a few gradients may be.

    While it is measured, hardly anybody goes round a whole number of times, and whole rounds count: all but
    one are at most a gradient off. Equal workers that start evenly apart lose nothing
    once they have settled.
    """
    meta, random = measured.program.meta, is_random(setting.scenario)
    uneven = len(set(setting.cluster.speeds)) > 1 or (meta["stagger"] == "none" and meta["sharing"] == "fifo")
    uneven = uneven or setting.scenario.data.store_bandwidth is not None  # data comes first to some
    uncertain = (measured.pushers - 1) * measured.share / measured.gradients
    if uncertain <= (SETTLING if uneven and not random else SETTLING_AT_RANDOM):
        return []
    counted = f"{measured.gradients} gradient{'' if measured.gradients == 1 else 's'}"
    return [
        f"{name} was measured over {counted} only, so its figures are an estimate, uncertain by up to "
        f"{100 * uncertain:.0f} % (write more run.steps)"
    ]


def _of_flow_control(measured: Measured, name: str) -> list[str]:
    """Return what of a strategy's flow control makes its steps other than those that it is compared with."""
    meta, said = measured.program.meta, []
    several = [option for option in ("push_every", "pull_every") if option in meta]
    if several:
        batches = f"{math.prod(meta[option] for option in several)} batches of every worker"
        said.append(f"a step of {name} has {batches} ({', '.join(several)}): compare samples per second")
    if "window" in meta and not measured.is_async:
        old = f"{meta['window'] - 1} update{'s' if meta['window'] > 2 else ''} old"
        why = f"its window of {meta['window']} lets workers go on before the replies are there"
        said.append(f"{name} trains on parameters {old}: {why}")
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
            + (", cut short when the update begins" if meta.get("late") == "cancel" else "")
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
    cut = meta["widest_cut"]
    crossed = setting.cluster.links_between(cut, cut + 1)
    if cut < 0 or crossed is None:
        return said
    left, right = meta["cut_layers"][cut]
    each_way_s = meta["cut_bytes"][cut] / crossed.bytes_per_s
    stage_s = meta["stage_compute_s"]
    slowest = stage_s.index(max(stage_s))
    said.append(
        f"{name}: the cut between {left} on w{cut} and {right} on w{cut + 1} limits it most "
        f"({spell(meta['cut_bytes'][cut], 'size')} a step each way, 2 x {spell(each_way_s, 'duration')} on a "
        f"link); the slowest stage is w{slowest} ({spell(stage_s[slowest], 'duration')} of compute a step)"
    )
    return said


def _of_tensor(setting: Setting, measured: Measured) -> list[str]:
    meta, said, name = measured.program.meta, [], setting.strategy.name
    if meta["devices"] < meta["workers"]:
        idle = meta["workers"] - meta["devices"]
        said.append(f"{name}: {idle} of {meta['workers']} workers {'has' if idle == 1 else 'have'} no share")
    forward, backward = layer_times(setting, 0, meta["samples"])
    by_layer = [sum(both) for both in zip(forward, backward, strict=True)]
    alike = sum(seconds for layer, seconds in enumerate(by_layer) if layer not in meta["columns"])
    if meta["devices"] > 1 and alike > 0:
        said.append(
            f"{name}: every device computes all layers that are not cut, {100 * alike / sum(by_layer):.0f} % "
            f"of the model's compute ({spell(alike, 'duration')} a step)"
        )
    return said


def of_memory(setting: Setting, program: Program) -> list[str]:
    """Return why a strategy does not fit."""
    meta, limit = program.meta, setting.cluster.device.memory_bytes
    assert limit is not None, "what does not fit has a limit"
    whose, kept = "", ""
    if "fullest_stage" in meta:
        whose = f" on w{meta['fullest_stage']}"
        kept = f"; {meta['in_flight']} microbatches are in flight"
    return [
        f"{setting.strategy.name} does not fit: it needs {spell(meta['memory_bytes'], 'size')}{whose} and "
        f"the device has {size(limit)} ({memory_parts(meta['memory'])}{kept})"
    ]


def of_engine(rows: Sequence[Row]) -> list[str]:
    """Return what is out of the ordinary with the engines that simulated *rows*, each once."""
    said = []
    by_reference = [row for row in rows if row.engine == "reference"]
    if any(row.engine_why == ASKED for row in by_reference):
        said.append(
            "simulated by the reference engine, as run.engine asks: the compiled one gives the same answer "
            "to the last bit, sooner"
        )
    for why in dict.fromkeys(row.engine_why for row in by_reference if row.engine_why != ASKED):
        names = [row.name for row in by_reference if row.engine_why == why]
        said.append(f"{', '.join(names)}: simulated by the reference engine, as {why}")
    traces = [row.measured.trace for row in rows if row.measured is not None]
    return said + list(dict.fromkeys(trace.note for trace in traces if trace.note))


def of_scenario(scenario: Scenario, compiled: list[tuple[Setting, Program]]) -> list[str]:
    """Return what concerns all strategies: settings without effect, times taken from another batch."""
    said = []
    setting = compiled[0][0]
    workload, cluster = setting.workload, setting.cluster
    programs = [program for _, program in compiled]
    served = [program for program in programs if {"servers", "hosts"} & program.meta.keys()]
    apart = any(not program.meta.get("colocate") for program in served)
    messages = any((program.message >= 0).any() for program in programs) and (cluster.workers > 1 or apart)

    def no_effect(path: str, why: str) -> None:
        said.append(f"{path} had no effect: {why}")

    network = scenario.network
    if network is not None and not messages:
        closed = any(program.meta.get("collectives") == "closed_form" for program in programs)
        if not (closed and cluster.workers > 1):
            no_effect("network", "no message crosses a link")
        elif "sharing" in network.model_fields_set:
            no_effect("network.sharing", "collectives in closed form share nothing")
    if network is not None and not apart and network.server_bandwidth is not None:
        why = "servers share the links of the workers' machines" if served else "no strategy has servers"
        no_effect("network.server_bandwidth", why)
    if network is not None:
        for path, why in _idle_links(network, cluster, programs, messages, apart):
            no_effect(path, why)
    for option in sorted(scenario.cluster.server.model_fields_set):
        if not served:
            no_effect(f"cluster.server.{option}", "no strategy has servers")
    for option in sorted({"threads", "threads_per_key"} & scenario.cluster.server.model_fields_set):
        if served and not cluster.server.takes_time:
            why = "servers take no time without add_rate, update_rate or overhead"
            no_effect(f"cluster.server.{option}", why)
    if "stagger" in scenario.run.model_fields_set:
        staggered = [program.meta for program in programs if "stagger" in program.meta]
        if not staggered:
            no_effect("run.stagger", "no strategy is asynchronous")
        elif not any(meta["clock"] == "async" for meta in staggered) and _settled_at_once(setting):
            no_effect("run.stagger", "nothing is pushed, so that nobody meets anybody")
    reducing = any("collectives" in program.meta for program in programs)
    if "collectives" in scenario.run.model_fields_set and not reducing:
        no_effect("run.collectives", "no strategy has a collective")
    model = known(scenario.model)
    if scenario.model.seq is not None and (model is None or model.seq is None):
        no_effect("model.seq", "this model has no sequence")
    if "seed" in scenario.run.model_fields_set and not is_random(scenario):
        no_effect("run.seed", "nothing in this scenario is drawn at random")
    said += _of_variation(scenario, programs)
    said += of_prediction(scenario, workload, programs)
    if "optimizer" in scenario.model.model_fields_set and len(served) == len(programs):
        trained = any("combine" not in program.meta for program in programs)
        kept = "parameter servers keep its state, and their memory has no limit here"
        no_effect("model.optimizer", kept if trained else "nothing is trained here")
    said += _of_operations(scenario, compiled)
    if replayed := _only_trained(scenario):
        no_effect(replayed, "nothing is trained here (simpar replay does)")
    if "split" in scenario.data.model_fields_set and not compiled[0][0].shares:
        no_effect("data.split", "all workers have as many samples (which ones, simpar replay heeds)")
    for key in sorted(scenario.validation.model_fields_set):
        no_effect(f"validate.{key}", "nothing is executed here (simpar validate does)")
    if scenario.prices or scenario.cluster.instance is not None:
        said += _of_prices(scenario, apart)
    for each, program in compiled:
        for option, why in idle_options(each, program):
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


def _only_trained(scenario: Scenario) -> str:
    """Return the settings that only a replay takes, in a few words; '' where there are none."""
    sections = {"data.set": scenario.data, "model.learning_rate": scenario.model, "run.epochs": scenario.run}
    given = [path for path, one in sections.items() if path.partition(".")[2] in one.model_fields_set]
    return " and ".join([", ".join(given[:-1]), given[-1]] if given[1:] else given)


def _settled_at_once(setting: Setting) -> bool:
    """Return whether workers that never meet take the same time for every step after the warm-up."""
    scenario = setting.scenario
    return scenario.run.warmup > 0 and not is_random(scenario) and len(set(setting.cluster.speeds)) == 1


def _of_variation(scenario: Scenario, programs: list[Program]) -> list[str]:
    """Return what the figures mean where times are drawn, and the draws that meet nothing."""
    variation, runs, said = scenario.variation, replications(scenario), []
    if runs > 1:
        said.append(
            f"times vary: each strategy ran {runs} times with other draws, the same for all strategies; "
            f"figures are those of its median run, p5 to p95 is the spread of their average steps"
        )
    idle = "had no effect: "
    for key in DISTRIBUTED:
        if (spec := getattr(variation, key)) is not None and is_nominal(spec):
            said.append(f"variation.{key} {idle}a factor of 1 that does not vary is the nominal time")
    for number, one in enumerate(variation.stragglers or ()):
        if one.factor == 1:
            said.append(f"variation.stragglers[{number}] {idle}a factor of 1 is the nominal time")
    if variation.replications is not None and not is_random(scenario):
        said.append(f"variation.replications {idle}nothing is drawn at random")
    if variation.link is not None and not any(
        (program.bytes > 0).any() or "fabric" in [resource.name for resource in program.resources]
        for program in programs
    ):
        said.append(f"variation.link {idle}no message crosses a link")
    if variation.server is not None:
        working = [
            program.resource[task] >= 0
            for program in programs
            for task, op in enumerate(program.ops)
            if op.kind in SERVER_OPS
        ]
        if not any(working):
            said.append(f"variation.server {idle}no server takes time to add or to update")
    return said


def _of_operations(scenario: Scenario, compiled: list[tuple[Setting, Program]]) -> list[str]:
    """Return the figures of an operation that change nothing, and one that counts memory twice."""
    device = scenario.cluster.device
    said: list[str] = []
    if device is None:
        return said
    setting = compiled[0][0]
    given = [key for key in ("half_flops", "launch", "memory_bandwidth", "roofline") if getattr(device, key)]
    if setting.workload.measured_batch is not None or device.forward is not None:
        return [f"cluster.device.{key} had no effect: times were measured" for key in given]
    said += [
        f"cluster.device.{key} had no effect: none is the default"
        for key in ("half_flops", "launch")
        if getattr(device, key) == 0 and key in device.model_fields_set
    ]
    if not device.roofline:
        if "memory_bandwidth" in given:
            said.append(
                "cluster.device.memory_bandwidth had no effect: layers take their FLOPs over the device's "
                "rate (roofline: true counts the bytes that they move, too)"
            )
        return said
    batches = {setting.workload.batch}
    for _, program in compiled:
        if "microbatches" in program.meta:
            batches.add(program.meta["samples"] // program.meta["microbatches"])
    if not any(memory_bound(setting.workload, setting.cluster.device, samples) for samples in batches):
        said.append("cluster.device.roofline had no effect: no layer moves bytes for longer than it computes")
    elif device.preset is not None and device.efficiency is None:
        said.append(
            f"the efficiency of {device.preset} was measured over whole training steps and holds the time of "
            "layers that wait for memory already: with roofline, write the share of the peak that matrix "
            "products alone reach as cluster.device.efficiency"
        )
    return said


def _idle_links(
    network: NetworkSpec, cluster: Cluster, programs: list[Program], messages: bool, apart: bool
) -> list[tuple[str, str]]:
    """Return the settings of links that nothing crosses, each with the reason.

    Args:
        messages: whether there are any messages at all; where there are none, that is said elsewhere.
        apart: whether there are servers on machines of their own.
    """
    found = [
        (f"{path}.preset", "everything is written beside it")
        for path, spec in (("network", network), ("network.intra", network.intra))
        if spec is not None and {"preset", "bandwidth", "latency", "efficiency"} <= _given(spec)
    ]
    found += _idle_topology(network, cluster, programs, messages)
    if network.intra is not None and cluster.devices_per_node == 1:
        found.append(("network.intra", "machines have one device each"))
    closed = any(program.meta.get("collectives") == "closed_form" for program in programs)
    if cluster.devices_per_node == 1 or not (messages or closed):
        return found
    if cluster.nodes == 1 and not apart:
        found += [
            (f"network.{key}", "no message leaves the machine")
            for key in ("preset", "bandwidth", "latency", "overhead", "efficiency")
            if key in _given(network)
        ]
    inside = any(link.name.startswith("w") for program in programs for link in program.links)
    if network.intra is not None and not (inside or closed):
        found.append(("network.intra", "no message stays inside a machine"))
    return found


def _idle_topology(
    network: NetworkSpec, cluster: Cluster, programs: list[Program], messages: bool
) -> list[tuple[str, str]]:
    """Return the settings that the topology leaves nothing to do, each with the reason."""
    topology = network.topology
    if not messages or topology.kind == "star":
        return []
    names = {link.name for program in programs for link in program.links}
    if topology.kind == "tree":
        found = []
        if not any(name.startswith("rack") for name in names):
            found.append(("network.topology", "no message leaves its rack"))
        if "servers" in topology.model_fields_set and not any(name.startswith("ps") for name in names):
            found.append(("network.topology.servers", "no server has a machine of its own"))
        return found
    found = []
    if network.server_bandwidth is not None:
        found.append(("network.server_bandwidth", f"links of {topology.kind} are not the servers' own"))
    links = topology.links or ()
    if links and all(link.bandwidth is not None for link in links) and "bandwidth" in _given(network):
        found.append(("network.bandwidth", "every link has a bandwidth of its own"))
    return found


def _given(spec: NetworkSpec | IntraSpec) -> set[str]:
    """Return the settings that are written out."""
    return {key for key in spec.model_fields_set if getattr(spec, key) is not None}


def _of_prices(scenario: Scenario, apart: bool) -> list[str]:
    """Return the prices that are missing, those that are published and those that nobody pays.

    Args:
        apart: whether there are servers on machines of their own.
    """
    device, instance, prices, said = scenario.cluster.device, scenario.cluster.instance, scenario.prices, []
    preset = device.preset if device is not None else None
    if preset is None and instance is not None:
        preset = load_instances()[instance].device
    paid = preset if preset is not None and preset in prices else "device"
    if instance is not None and machine_price(scenario) is not None:
        paid = instance
    if instance is None and device_price(scenario) is None:
        said.append(f"prices has none for {preset or 'device'}: there is no money in this table")
    elif instance is not None and paid == instance and instance not in prices:
        known = load_instances()[instance]
        said.append(
            f"a {instance} is {known.price.text}, on demand in {known.region} on {known.stated} "
            f"({known.price.source}); write prices: {{{instance}: ...}} for another price"
        )
    used = {paid, *(["server"] if apart else [])}
    for name in sorted(set(prices) - used):
        said.append(f"prices.{name} had no effect: nothing here is a {name}")
    if apart and "server" not in prices:
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
