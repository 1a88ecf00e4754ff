"""Settings that depend on one another: what excludes what, what needs what.

Each check looks at what was written, not at the checked models, so that it speaks up beside other
problems in the same file; it keeps quiet about settings that are already known to be wrong.
Start with :func:`check_all`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simpar.scenario.model import ProfileFile
from simpar.scenario.options import HOSTED, KINDS, UNEVEN
from simpar.scenario.overrides import strategy_names
from simpar.scenario.payload_checks import check_payload
from simpar.scenario.presets import INSTANCE_DEVICES
from simpar.scenario.report import EXAMPLES, Report
from simpar.scenario.schema import count_workers, devices_per_node
from simpar.scenario.shape_checks import check_shape
from simpar.scenario.topology import check_topology, kind_of, machine_names
from simpar.scenario.update_checks import check_update
from simpar.scenario.variation import check_variation
from simpar.scenario.words import Path
from simpar.units import Kind, parse, shown

Data = dict[str, Any]


def check_all(data: Data, report: Report, profile: ProfileFile | None) -> None:
    """Note in *report* every setting of *data* that does not go with another one.

    *profile* is what ``model.profile`` names, None where there is none or it is wrong.
    """
    model, cluster = _section(data, "model"), _section(data, "cluster")
    if model is not None:
        _check_model(model, cluster, _section(data, "data") or {}, report)
        check_shape(model, report)
        check_layers(model.get("layers"), ("model", "layers"), report)
    if cluster is not None:
        _check_cluster(cluster, report)
    if model is not None and cluster is not None:
        _check_device(model, cluster, report, profile)
    _check_network(data, report)
    _check_data(_section(data, "data") or {}, _sends_records(data.get("strategies")), report)
    workers = count_workers(cluster) if cluster is not None and report.clean(*_COUNTS) else None
    variation = _section(data, "variation")
    if variation is not None:
        check_variation(variation, workers, report)
    if isinstance(data.get("strategies"), list):
        for index, item in enumerate(data["strategies"]):
            if isinstance(item, dict) and len(item) == 1:
                kind, options = next(iter(item.items()))
                if isinstance(options, dict):
                    pushers = workers
                    if workers is not None and cluster is not None and options.get("local_merge") is True:
                        pushers = workers // (devices_per_node(cluster) or 1)
                    _check_servers(kind, options, pushers, ("strategies", index), report)
                    _check_all_reduce(kind, options, ("strategies", index), report)
                    check_update(kind, options, model or {}, ("strategies", index), report)
                    _check_hosted(kind, options, ("strategies", index), report)
                    read = _section(data, "data") or {}
                    check_payload(kind, options, workers, read, ("strategies", index), report)
    _check_links(data, report)
    _check_split(data, workers, report)
    _check_topology(data, workers, report)


def check_layers(layers: Any, path: Path, report: Report) -> None:
    """Note in *report* what is wrong among the raw *layers* at *path*: names, inputs, times beside FLOPs."""
    if not isinstance(layers, list) or not layers:
        return
    timed = [index for index, layer in enumerate(layers) if _given(layer, "forward", "backward")]
    names: dict[str, int] = {}
    for index, layer in enumerate(layers):
        if not isinstance(layer, dict):
            continue
        here = (*path, index)
        name = layer.get("name")
        if isinstance(name, str) and report.clean((*here, "name")):
            if name in names:
                said = f"{shown(name)} is the name of layer {names[name]} too"
                report.add((*here, "name"), said, "give each layer a name of its own")
            names.setdefault(name, index)
        _check_inputs(layer, here, names, index, report)
        for key, other in (("forward", "backward"), ("backward", "forward")):
            if _given(layer, key) and other not in layer:
                report.add(here, f"{key!r} is given without {other!r}", f"write '{other}: {EXAMPLES[other]}'")
        flops = next((key for key in ("flops", "backward_flops") if _given(layer, key)), None)
        if flops and _given(layer, "forward", "backward"):
            report.add((*here, flops), "both times and FLOPs are given", "keep one of them", key=True)
        elif flops and timed:
            said = f"FLOPs are given here, and times in layer {timed[0]}"
            report.add((*here, flops), said, "give all layers times, or none", key=True)
        elif flops == "backward_flops" and not _given(layer, "flops"):
            report.add((*here, flops), "'backward_flops' is given without 'flops'", "add 'flops:'", key=True)
    if report.clean(path) and not any(_cost(layer) for layer in layers):
        fix = "give at least one layer 'flops', or 'forward' and 'backward' times"
        report.add(path, "these layers do no work: no FLOPs and no times above zero", fix, key=True)


def _check_inputs(layer: Data, here: Path, names: dict[str, int], index: int, report: Report) -> None:
    """Note inputs that are no earlier layers."""
    inputs = layer.get("inputs")
    if not isinstance(inputs, list):
        return
    seen: set[str] = set()
    for place, wanted in enumerate(inputs):
        path = (*here, "inputs", place)
        if not isinstance(wanted, str) or not report.clean(path):
            continue
        if names.get(wanted, index) == index:
            said = f"{shown(wanted)} is not an earlier layer"
            report.add(path, said, "name a layer above this one, or write [] for the data")
        elif wanted in seen:
            report.add(path, f"{shown(wanted)} is given twice", "remove one of them")
        seen.add(wanted)


def _check_model(model: Data, cluster: Data | None, data: Data, report: Report) -> None:
    """Note a model with no source or several, and with no batch or two."""
    sources = [key for key in ("preset", "profile", "layers") if key in model]
    batches = [key for key in ("batch", "global_batch") if key in model]
    sliced = [key for key in ("slice_len", "num_slices") if key in data]
    for key in sliced if batches else ():
        said = f"'model.{batches[0]}' and 'data.{key}' both say how many samples a step has"
        report.add(("data", key), said, "keep one of them", key=True)
    if not sources:
        report.add(("model",), "needs one of 'preset', 'profile' and 'layers'", "write 'preset: resnet-50'")
    _keep_one(("model",), sources, report)
    _keep_one(("model",), batches, report)
    if sources and sources[0] != "profile" and not batches and not sliced:
        report.add(("model",), "needs one of 'batch' and 'global_batch'", "write 'batch: 64'")
    layers = model.get("layers")
    timed = isinstance(layers, list) and any(_given(layer, "forward", "backward") for layer in layers)
    if timed and batches == ["global_batch"]:
        said = "layer times belong to the batch of one worker"
        report.add(("model", "global_batch"), said, "write 'batch:' instead", key=True)


_COUNTS: tuple[Path, ...] = tuple(
    ("cluster", key) for key in ("workers", "nodes", "devices_per_node", "instance")
)
"""Settings that the number of workers follows from."""


def _check_cluster(cluster: Data, report: Report) -> None:
    """Note machines counted twice or not evenly, and speeds that do not match the number of workers."""
    _keep_one(("cluster",), [key for key in ("workers", "nodes") if key in cluster], report)
    if not report.clean(*_COUNTS):
        return
    workers, per_node = count_workers(cluster), devices_per_node(cluster)
    has = INSTANCE_DEVICES.get(str(cluster.get("instance")))
    if has is not None and per_node is not None and per_node > has:
        said = f"a {cluster['instance']} has {has} device{'' if has == 1 else 's'}"
        report.add(("cluster", "devices_per_node"), said, f"write {has} or fewer, or another instance")
    if workers is None or per_node is None:
        return
    if workers % per_node:
        said = f"{workers} workers do not fill machines of {per_node} devices"
        below, above = workers // per_node * per_node, -(-workers // per_node) * per_node
        fix = f"write {below} or {above}" if below else f"write {above}, or devices_per_node: {workers}"
        report.add(("cluster", "workers"), said, fix)
    speed = cluster.get("speed")
    if isinstance(speed, list) and speed and report.clean(("cluster", "speed")) and len(speed) != workers:
        said = f"{len(speed)} speeds are given for {workers} workers"
        report.add(("cluster", "speed"), said, "write one speed for each worker")
    server = _section(cluster, "server") or {}
    threads, together = server.get("threads", 1), server.get("threads_per_key", 1)
    here = ("cluster", "server", "threads_per_key")
    if _count(threads) and _count(together) and threads % together and report.clean(here):
        said = f"{threads} threads do not divide by {together}"
        divisor = max(one for one in range(1, min(threads, together) + 1) if threads % one == 0)
        report.add(here, said, f"write {divisor}, or other 'threads'")


def _check_device(model: Data, cluster: Data, report: Report, profile: ProfileFile | None) -> None:
    """Note a device without figures, with figures that exclude each other, or with times given twice."""
    here = ("cluster", "device")
    given = cluster.get("device")
    device = {"preset": given} if isinstance(given, str) else given
    if device is not None and not isinstance(device, dict):
        return
    device = device or {}
    times = [key for key in ("forward", "backward") if key in device]
    rates = [key for key in ("preset", "flops") if key in device]
    hosted = cluster.get("instance") is not None  # a machine whose device is known
    if len(times) == 1:
        other = "backward" if times == ["forward"] else "forward"
        report.add(here, f"{times[0]!r} is given without {other!r}", f"write '{other}: {EXAMPLES[other]}'")
    if times and rates:
        said = f"both times and {rates[0]!r} are given"
        report.add((*here, rates[0]), said, "keep one of them", key=True)
    elif times and "efficiency" in device:
        said = "'efficiency' does nothing beside measured times"
        report.add((*here, "efficiency"), said, "remove it", key=True)
    elif "efficiency" in device and not rates and not hosted:
        said = "'efficiency' does nothing without 'flops' or 'preset'"
        report.add((*here, "efficiency"), said, "write 'flops: 312 TFLOP/s' or remove it", key=True)
    if device.get("roofline") is True and rates == ["flops"] and "memory_bandwidth" not in device:
        said = "'roofline' needs the bandwidth of the device's memory"
        report.add((*here, "roofline"), said, "write 'memory_bandwidth: 900 GB/s'", key=True)
    if "batch" in device and not times:
        said = "'batch' does nothing without 'forward' and 'backward'"
        report.add((*here, "batch"), said, "remove it", key=True)
    measured = _measured(model, profile)
    if measured and times:
        said = f"times are given twice, here and in model.{measured}"
        report.add((*here, times[0]), said, "remove 'forward' and 'backward' here", key=True)
    if measured is None or not report.clean(("model", "profile")):
        return  # cannot be judged
    if not measured and not times and not rates and not hosted and report.clean(here):
        fix = "write 'device: {forward: 60 ms, backward: 120 ms}' or 'device: v100'"
        where = here if "device" in cluster else ("cluster",)
        report.add(where, "needs a device with times, a preset or a FLOP rate", fix)
    if times and "global_batch" in model and "batch" not in model and "batch" not in device:
        said = "with model.global_batch, the times need the batch that they belong to"
        report.add(here, said, "write 'batch: 64'")


def _measured(model: Data, profile: ProfileFile | None) -> str | None:
    """Return the key of the model's measured times, '' where it has none, None where that is unknown."""
    layers = model.get("layers")
    if isinstance(layers, list) and any(_given(layer, "forward", "backward") for layer in layers):
        return "layers"
    if "profile" in model:
        if profile is None:
            return None
        return "profile" if any(layer.timed for layer in profile.layers) else ""
    return "" if "preset" in model or isinstance(layers, list) else None


def _check_network(data: Data, report: Report) -> None:
    """Note a missing network where a strategy sends messages."""
    if "network" in data or _instance(data) is not None:
        return
    items = data.get("strategies")
    if not isinstance(items, list):
        return
    for index, (item, name) in enumerate(zip(items, strategy_names(items), strict=True)):
        kind = item if isinstance(item, str) else next(iter(item), None) if isinstance(item, dict) else None
        if kind is None or kind == "single" or kind not in KINDS:
            continue
        said = f"network is needed by strategies[{index}] ({shown(name)})"
        report.add(("network",), said, f"write 'network: {EXAMPLES['network']}'")
        return


def _check_split(data: Data, workers: int | None, report: Report) -> None:
    """Note samples that do not divide where all workers must have as many, and slices of nobody's records."""
    model, records = _section(data, "model") or {}, _section(data, "data") or {}
    strategies = data.get("strategies")
    _keep_one(("data",), [key for key in ("slice_len", "num_slices") if key in records], report)
    count: Any = records.get("num_slices")
    whole: Any = records.get("records")
    if "num_slices" in records and "records" not in records:
        said = "'num_slices' is given without 'records'"
        report.add(("data", "num_slices"), said, "add 'records: 50000'", key=True)
    elif _count(count) and _count(whole) and workers and report.clean(("data", "records")):
        most = -(-whole // workers)
        if count > most:
            said = f"{count} slices of the {most} records that a worker has"
            report.add(("data", "num_slices"), said, f"write {most} or less")
    batch: Any = model.get("global_batch")
    paths = ("model", "global_batch"), *_COUNTS
    if not (_count(batch) and workers and report.clean(*paths) and batch % workers):
        return
    why = [_needs_even(one) for one in strategies] if isinstance(strategies, list) else []
    if any(why):
        up = -(-batch // workers) * workers
        said = f"{batch} samples do not divide by {workers} workers, and {next(one for one in why if one)}"
        report.add(paths[0], said, f"write {up - workers} or {up}" if up > workers else f"write {up}")


def _needs_even(strategy: Any) -> str:
    """Return why all workers of a strategy must have as many samples; '' where they need not."""
    kind: Any = strategy
    options: Any = {}
    if isinstance(strategy, dict) and len(strategy) == 1:
        kind, options = next(iter(strategy.items()))
    if kind in KINDS and kind not in UNEVEN:
        return f"every push of {kind} counts as much"
    for key in ("push_every", "backup_workers"):
        given = options.get(key) if isinstance(options, dict) else None
        if isinstance(given, int) and given > (1 if key == "push_every" else 0):
            return f"with {key} every worker has as many"
    given = [options.get(key) for key in ("payload", "placement")] if isinstance(options, dict) else []
    if "data" in given or "replicated" in given:
        return "servers with copies, or that compute, take as many from each"
    return ""


def _sends_records(items: Any) -> bool:
    """Return whether any strategy's workers send records to servers."""
    options = [one for item in items if isinstance(item, dict) for one in item.values()] if items else []
    return any(isinstance(one, dict) and one.get("payload") == "data" for one in options)


def _check_data(data: Data, sent: bool, report: Report) -> None:
    """Note a store without records, records without a store, and what does nothing without both.

    Args:
        sent: whether workers send records that they have, so that these need no store.
    """
    example = {"record_bytes": "110 kB", "store_bandwidth": "10 Gbit/s"}
    for key, other in (("record_bytes", "store_bandwidth"), ("store_bandwidth", "record_bytes")):
        if key in data and other not in data and not (sent and key == "record_bytes"):
            said = f"{key!r} is given without {other!r}"
            report.add(("data", key), said, f"add '{other}: {example[other]}'", key=True)
    if "prefetch" in data and "store_bandwidth" not in data and (sent or "record_bytes" not in data):
        said = "'prefetch' does nothing without 'record_bytes' and 'store_bandwidth'"
        report.add(("data", "prefetch"), said, "add both, or remove it", key=True)


def _check_servers(kind: Any, options: Data, workers: Any, here: Path, report: Report) -> None:
    """Note options of parameter servers that exclude each other or ask for more than *workers*."""
    if kind == "ps-sync":
        backups: Any = options.get("backup_workers")
        path = (*here, "backup_workers")
        if workers is not None and _count(backups) and report.clean(path) and backups >= workers:
            said = f"{backups} of {workers} workers are backups, so that a step waits for nobody"
            report.add(path, said, f"write at most {workers - 1}")
    pulls: Any = options.get("pull_every")
    if kind in ("ps-sync", "ps-ssp") and _count(pulls) and pulls > 1:
        said = {
            "ps-sync": "a step of ps-sync trains on what all have pushed, which nobody has before the pull",
            "ps-ssp": "the replies of ps-ssp are what holds a worker back, and each of them is a pull",
        }[kind]
        report.add((*here, "pull_every"), said, f"write 'push_every: {pulls}', or take ps-async", key=True)
    if kind != "ps-async":
        return
    trigger, path = options.get("trigger"), (*here, "trigger")
    softsync: Any = options.get("softsync")
    if trigger is not None and softsync is not None:
        _keep_one(here, ["trigger", "softsync"], report)
    elif workers is not None and _count(softsync) and softsync > workers:
        said = f"{workers} workers / {softsync} is less than one push an update"
        report.add((*here, "softsync"), said, f"write at most {workers}")
    if not isinstance(trigger, dict) or not report.clean(path):
        return
    given = [key for key in ("drain", "count", "timeout") if trigger.get(key) is not None]
    if not given:
        fix = f"write 'trigger: {EXAMPLES['trigger']}'"
        report.add(path, "needs one of 'count', 'drain' and 'timeout'", fix)
    elif given[0] == "drain" and len(given) > 1:
        _keep_one(path, given[:2], report)
    elif trigger.get("drain") is False:
        report.add((*path, "drain"), "false is no trigger", "write true, or remove 'trigger'")
    count: Any = trigger.get("count")
    window: Any = options.get("window", 1)
    if workers is not None and _count(count) and _count(window) and count > workers * window:
        said = f"{count} pushes never come together: {workers} workers wait for their replies"
        if window > 1:
            said += f" to {window} iterations"
        report.add((*path, "count"), said, f"write at most {workers * window}")


def _check_hosted(kind: Any, options: Data, here: Path, report: Report) -> None:
    """Note what a host that sends parts to whoever is free cannot ask of the reads."""
    if kind != "hosted" or options.get("dispatch") != "free":
        return
    said = {
        "load_barrier": "a worker reads a part when it is free, so that nobody waits for all to have read",
        "read": "a worker reads a part when it is free, so that the store has no order to keep",
    }
    for key, why in said.items():
        if key in options and report.clean((*here, key)):
            report.add((*here, key), why, "remove it, or write 'dispatch: fixed'", key=True)


def _check_all_reduce(kind: Any, options: Data, here: Path, report: Report) -> None:
    """Note options of an all-reduce that its algorithm does not take."""
    algorithm = options.get("algorithm", "ring")
    if kind != "allreduce" or algorithm == "ring" or not report.clean((*here, "algorithm")):
        return
    for key in ("add_rate", "copy_rate"):
        if options.get(key) is not None:
            fix = "remove it, or write 'algorithm: ring'"
            report.add((*here, key), f"{algorithm} takes no {key!r}", fix, key=True)


def _check_links(data: Data, report: Report) -> None:
    """Note links without a rate: those of machines, and those between the devices of a machine."""
    cluster, network = _section(data, "cluster") or {}, data.get("network")
    instance = _instance(data)
    given = _written_out(network)
    if given is not None:
        if instance is None:
            _needs_rate(("network",), given, report)
        intra = _written_out(given.get("intra"))
        if intra is not None and INSTANCE_DEVICES.get(str(instance), 1) == 1:
            _needs_rate(("network", "intra"), intra, report)
    per_node = devices_per_node(cluster)
    if per_node is None or per_node == 1 or not report.clean(*_COUNTS, ("network",)):
        return
    linked = INSTANCE_DEVICES.get(str(instance), 1) > 1 or (given or {}).get("intra") is not None
    if not linked and (given is not None or network is None):
        said = f"machines of {per_node} devices need the links between them"
        report.add(("network", "intra"), said, f"write 'intra: {EXAMPLES['intra']}'")


def _check_topology(data: Data, workers: int | None, report: Report) -> None:
    """Note what is wrong with the network's topology, and formulas that know only a star."""
    topology = (_written_out(data.get("network")) or {}).get("topology")
    if topology is None or not report.clean(("network",), ("strategies",)):
        return
    items = data.get("strategies")
    kinds: list[tuple[Any, Data]] = []
    for item in items if isinstance(items, list) else ():
        kind, options = next(iter(item.items())) if isinstance(item, dict) else (item, None)
        kinds.append((kind, options if isinstance(options, dict) else {}))
    servers = [
        options.get("servers", KINDS[kind].model_fields["servers"].default)
        for kind, options in kinds
        if kind in KINDS and "servers" in KINDS[kind].model_fields and not options.get("colocate")
    ]
    servers += [1 for kind, _ in kinds if kind in HOSTED]
    per_node = devices_per_node(_section(data, "cluster") or {})
    known = workers is not None and per_node is not None and workers % per_node == 0
    machines = machine_names(workers or 0, per_node or 1) if known else None
    store = "store_bandwidth" in (_section(data, "data") or {})
    check_topology(topology, machines, max((one for one in servers if _count(one)), default=0), store, report)
    closed = (_section(data, "run") or {}).get("collectives") == "closed_form"
    if closed and kind_of(topology) != "star" and any(kind in ("allreduce", "tensor") for kind, _ in kinds):
        said = "the formulas of collectives know only a star"
        report.add(("run", "collectives"), said, "write messages, or 'topology: star'")


def _needs_rate(path: Path, links: Data, report: Report) -> None:
    if "bandwidth" not in links and "preset" not in links and report.clean(path):
        said = "required key 'bandwidth' is missing"
        report.add((*path, "bandwidth"), said, f"write 'bandwidth: {EXAMPLES['bandwidth']}'")


def _instance(data: Data) -> str | None:
    """Return the instance that the raw *data* names, whether it is known or not."""
    instance = (_section(data, "cluster") or {}).get("instance")
    return None if instance is None else str(instance)


def _written_out(section: Any) -> Data | None:
    """Return the raw *section* that the name of a preset may stand for, None where it is neither."""
    section = {"preset": section} if isinstance(section, str) else section
    return section if isinstance(section, dict) else None


def _keep_one(path: Path, keys: Sequence[str], report: Report) -> None:
    for key in keys[1:]:
        said = f"{keys[0]!r} and {key!r} are both given"
        report.add((*path, key), said, "keep one of them", key=True)


def _section(data: Data, key: str) -> Data | None:
    section = data.get(key)
    return section if isinstance(section, dict) else None


def _given(layer: Any, *keys: str) -> bool:
    return isinstance(layer, dict) and any(layer.get(key) is not None for key in keys)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _cost(layer: Data) -> bool:
    """Return whether the raw *layer*, which is valid, has any cost."""
    for key in ("forward", "backward", "flops", "backward_flops"):
        kind: Kind = "flops" if key.endswith("flops") else "duration"
        if layer.get(key) is not None and parse(layer[key], kind) > 0:
            return True
    return False
