"""The comparison and the explanation as plain text for a terminal.

Columns are padded by hand: the same bytes everywhere, whatever the terminal. No colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simpar.hardware import Cluster
from simpar.program import NODE_RING, Program, Ring
from simpar.result import BREAKDOWN, Comparison, Row
from simpar.result.labels import memory_parts
from simpar.show import words
from simpar.strategies.variation import replications
from simpar.study.compare import Explanation
from simpar.trace import Segment
from simpar.units import spell

SHOWN = 5e-4
"""Share of a step from which on a part gets a column of its own."""

_EXTRA = {"server_s": "servers", "straggler_s": "straggler", "bubble_s": "bubble"}
_NETWORK = ("exposed_comm_s", "latency_s", "queue_s")


def columns(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return *rows* as lines with aligned columns: the first *left* to the left, the others to the right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return [
        "  "
        + "   ".join(
            cell.ljust(width) if c < left else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def head(result: Comparison, width: int = 0) -> str:
    """Return the line that says what was simulated, its end at column *width* if there is room."""
    facts = result.facts
    said = f"{facts['model']}, batch {facts['batch']} on each of {facts['workers']} workers"
    if facts.get("shares"):
        said = f"{facts['model']}, batch {sum(facts['shares'])} on {facts['workers']} workers together"
    if facts.get("devices_per_node", 1) > 1:
        said += f" ({facts['workers'] // facts['devices_per_node']} x {facts['devices_per_node']})"
    if facts["workers"] == 1:
        said = f"{facts['model']}, batch {facts['batch']} on one worker"
    if facts["bytes_per_s"] is not None:
        said += f", {spell(facts['bytes_per_s'], 'rate')}, {spell(facts['latency_s'], 'duration')}"
        said += f", {facts['topology']}" if facts.get("topology") else ""
    steps = f"{facts['steps']} step" + ("" if facts["steps"] == 1 else "s")
    if facts.get("replications", 1) > 1:
        steps += f" x {facts['replications']} runs"
    rest = f"{steps}, seed {facts['seed']}"
    return f"{said}  {rest:>{max(0, width - len(said) - 2)}}"


def comparison(result: Comparison) -> str:
    """Return the ranked table, what holds each strategy back, and the notes."""
    fitting = [row for row in result.rows if row.fits]
    table = _ranked(result, fitting) if fitting else []
    lines = [head(result, max(map(len, table), default=0)), "", *table]
    for row in result.rows:
        if not row.fits:
            lines += [*([""] if fitting else []), f"  {row.label}: does not fit in memory"]
    if len(fitting) > 1:
        lines += ["", words.fastest(fitting)]
    pays = words.does_not_pay(fitting)
    lines += [pays] if pays else []
    for row in fitting:
        if row.bottleneck:
            if row is fitting[0]:
                lines.append("")
            said = f"{words.called(row)} {words.waits_for(row, row.bottleneck)}."
            helps = words.helps(row.bottleneck)
            lines += [said, *([f"  {helps}"] if helps else [])]
    notes = [note for row in result.rows for note in row.notes] + list(result.notes)
    if notes:
        lines += ["", *(f"note: {note}" for note in notes)]
    return "\n".join(lines)


def _ranked(result: Comparison, rows: list[Row]) -> list[str]:
    scale, unit = words.time_unit(max(row.step_s or 0.0 for row in rows))
    extra = [
        part
        for part in _EXTRA
        if any(row.breakdown and row.step_s and row.breakdown[part] > SHOWN * row.step_s for row in rows)
    ]
    limited = any(row.memory_limit_bytes is not None for row in rows)
    named = len({row.kind for row in result.rows}) < len(result.rows)
    varying = any(row.intervals and "step_s" in row.intervals for row in rows)
    header = [
        "strategy",
        *(["name"] if named else []),
        "step",
        *(["p5 to p95"] if varying else []),
        f"{result.facts['unit']}/s",
        "efficiency",
        "waiting on network",
        "",
    ]
    priced = any(row.usd_per_hour is not None for row in rows)
    by_epoch = any(row.usd_per_epoch is not None for row in rows)
    epochs = any(row.epoch_s is not None for row in rows)
    header += [_EXTRA[part] for part in extra] + (["memory"] if limited else []) + ["staleness"]
    header += ["epoch"] if epochs else []
    header += ["USD/h", "USD/epoch" if by_epoch else f"USD/million {result.facts['unit']}"] if priced else []
    table = [header]
    for row in rows:
        assert row.step_s
        assert row.breakdown
        assert row.samples_per_s
        assert row.efficiency is not None
        waiting = sum(row.breakdown[part] for part in _NETWORK)
        cells = [
            row.label,
            *([row.name] if named else []),
            f"{words.grouped(row.step_s * scale, 1)} {unit}",
            *([_between(row, scale, unit)] if varying else []),
            words.rate(row.samples_per_s),
            words.percent(row.efficiency),
            f"{words.grouped(waiting * scale, 1)} {unit}",
            words.percent(waiting / row.step_s),
        ]
        cells += [
            f"{words.grouped(row.breakdown[part] * scale, 1)} {unit}" if row.breakdown[part] else "-"
            for part in extra
        ]
        if limited:
            cells.append(words.memory(row))
        cells.append(f"{row.staleness.mean:.1f} updates" if row.staleness else "-")
        if epochs:
            cells.append("-" if row.epoch_s is None else words.long_time(row.epoch_s))
        if priced:
            much = row.usd_per_epoch if by_epoch else row.usd_per_million_samples
            cells += [words.usd(row.usd_per_hour), words.usd(much)]
        table.append(cells)
    return columns(table, left=2 if named else 1)


def _between(row: Row, scale: float, unit: str) -> str:
    """Return the step's 5th and 95th percentiles, '-' where it ran only once."""
    steps = row.intervals.get("step_s") if row.intervals else None
    if steps is None:
        return "-"
    return f"{words.grouped(steps.p5 * scale, 1)}-{words.grouped(steps.p95 * scale, 1)} {unit}"


# -- explain ---------------------------------------------------------------------------------------

PHASES = {
    "load": "load data",
    "forward": "forward",
    "backward": "backward",
    "merge": "add gradients up inside machines",
    "push": "push gradients",
    "add": "add gradients",
    "apply": "update parameters",
    "pull": "pull parameters",
    "hand": "hand parameters round",
    "update": "update parameters",
    "reduce": "reduce",
    "exchange": "exchange",
    "broadcast": "broadcast",
    "reduce_scatter": "reduce-scatter",
    "all_gather": "all-gather",
    "all_reduce": "all-reduce",
    "records": "send records",
    "sum": "sum up between servers",
    "share": "share sums between servers",
    "activation": "send activations",
    "gradient": "send gradients back",
    "output": "send outputs",
    "predict": "combine outputs",
}
"""What people call an operation, by its kind."""


def explanation(found: Explanation) -> str:
    """Return the arithmetic of one step, phase by phase, and its critical path."""
    measured = found.row.measured
    assert measured is not None
    program, row = measured.program, found.row
    phases: dict[tuple[str, str], float] = {}
    messages: dict[str, int] = {}
    for segment in found.path:
        kind = _phase(program, segment.task)
        key = (kind, "") if segment.cause in ("compute", "wire", "server") else ("", segment.cause)
        phases[key] = phases.get(key, 0.0) + segment.seconds
        if segment.cause == "latency":
            messages[kind] = messages.get(kind, 0) + 1
    title = f"One step of {row.label}, {row.workers} worker" + ("" if row.workers == 1 else "s")
    table = [[f"{title} ({found.window.label})", words.duration(found.step_s), ""]]
    order = list(PHASES)
    for (kind, cause), seconds in sorted(
        phases.items(), key=lambda item: (item[0][1], order.index(item[0][0]) if item[0][0] in order else 0)
    ):
        if cause == "latency":
            count, each = sum(messages.values()), _latencies(found)
            why = f"{count} message{'' if count == 1 else 's'}"
            why += f" x {spell(each[0], 'duration')}" if len(each) == 1 else ""
            why = "of the messages that its formula counts" if each == [0.0] else why
        elif cause == "queue":
            why = "waiting while a link or a server works for others"
        elif cause:
            why = ""
        else:
            why = _arithmetic(found, kind, seconds)
        table.append([f"  {cause or PHASES.get(kind, kind)}", words.duration(seconds), why])
    width = max(len(row[0]) for row in table)
    times = max(len(row[1]) for row in table)
    lines = [f"{what:<{width}}   {time:>{times}}   {why}".rstrip() for what, time, why in table]
    lines += ["", "Critical path: " + _path(found)]
    runs = replications(found.setting.scenario)
    lines += [f"This is the median step of the median run, of {runs} with other draws."] if runs > 1 else []
    parts = row.breakdown or {}
    shares = [
        f"{part[:-2].replace('_', ' ')} {words.duration(parts[part])}"
        for part in BREAKDOWN
        if parts.get(part, 0) > 0
    ]
    lines.append(f"An average step: {words.duration(row.step_s or 0.0)} = " + " + ".join(shares))
    needs = f"{spell(row.memory_bytes, 'size')} = {memory_parts(row.memory)}"
    lines.append(f"Memory of {'the fullest stage' if row.kind == 'pipeline' else 'a worker'}: {needs}")
    if row.bottleneck:
        lines.append(f"{words.called(row)} {words.waits_for(row, row.bottleneck)}.")
        helps = words.helps(row.bottleneck)
        lines += [f"  {helps}"] if helps else []
    lines += [f"note: {note}" for note in row.notes]
    lines.append("Assumes " + ", ".join(assumptions(measured.program.meta, found.setting.cluster)) + ".")
    return "\n".join(lines)


def _phase(program: Program, task: int) -> str:
    """Return the kind of what a task of a path does; of a ring that is not written out, all that it does."""
    return "all_reduce" if program.node[task] == NODE_RING else program.ops[task].kind


def _latencies(found: Explanation) -> list[float]:
    """Return the latencies of the messages on the path, each once."""
    assert found.row.measured is not None
    late = found.row.measured.program.latency
    return sorted({float(late[segment.task]) for segment in found.path if segment.cause == "latency"})


def _around(program: Program, rings: list[Ring], seconds: float) -> str:
    """Say what goes round rings, and by which link's rate that takes as long as it does."""
    count = sum(ring.rounds for ring in rings)
    total = sum(ring.rounds * sum(ring.chunks) / len(ring.chunks) for ring in rings)
    said = f"{count:,} messages x {spell(total / count, 'size')}"
    for link in dict.fromkeys(link for ring in rings for task in ring.exits for link in program.route(task)):
        rate = program.links[link].bytes_per_s
        if abs(total / rate - seconds) <= 0.01 * seconds:
            return f"{said} through links at {spell_bytes(rate)}"
    return f"{said} on the path"


def _arithmetic(found: Explanation, kind: str, seconds: float) -> str:
    """Say how the seconds of a phase come about, where a product says it to within 1 %."""
    measured = found.row.measured
    assert measured is not None
    program = measured.program
    on_path = {segment.task for segment in found.path if _phase(program, segment.task) == kind}
    rings = [ring for ring in program.rings if not on_path.isdisjoint(ring.exits)]
    if rings:
        return _around(program, rings, seconds)
    links = {link for task in on_path for link in program.route(task)}
    crossing: dict[int, list[float]] = {link: [] for link in sorted(links)}
    for task, op in enumerate(program.ops):
        if op.kind == kind:
            for link in program.route(task):
                if link in crossing:
                    crossing[link].append(float(program.bytes[task]))
    for link, sizes in sorted(
        crossing.items(), key=lambda item: -sum(item[1]) / program.links[item[0]].bytes_per_s
    ):
        named = program.links[link]
        if abs(sum(sizes) / named.bytes_per_s - seconds) <= 0.01 * seconds:
            one = spell(sum(sizes) / len(sizes), "size")
            each = f"{len(sizes)} messages x {one}" if len(sizes) > 1 else one
            return f"{each} through {named.name} at {spell_bytes(named.bytes_per_s)}"
    if crossing:
        sent = [float(program.bytes[task]) for task in on_path if program.bytes[task]]
        if program.dispatches:  # a device has several slices in a step, which are instances of one task
            several = {(one.task, one.iteration) for one in found.path if one.task in on_path}
            sent = [float(program.bytes[task]) for task, _ in sorted(several) if program.bytes[task]]
        return f"{len(sent)} message{'' if len(sent) == 1 else 's'} on the path, {spell(sum(sent), 'size')}"
    if kind in ("forward", "backward"):
        return "; ".join(said for said in (_compute(found, kind), _slowed(found, kind)) if said)
    return ""


def _compute(found: Explanation, kind: str) -> str:
    device, workload = found.setting.cluster.device, found.setting.workload
    if workload.measured_batch is not None:
        return f"measured by layer at batch {workload.measured_batch}"
    if device.forward_s is not None:
        return "measured"
    flops = workload.forward_flops if kind == "forward" else workload.backward_flops
    if device.flops_per_s is None or found.row.kind in ("pipeline", "tensor"):
        return ""
    if not device.is_linear:
        launched = f"{spell(device.launch_s, 'duration')} to launch and " if device.launch_s else ""
        longer = "the longer of computing and moving bytes" if device.roofline else "its computing"
        return f"{len(workload.layers)} layers, each {launched}{longer}"
    # Every device of an ensemble takes the samples of all.
    samples = workload.batch * (found.row.workers if found.row.kind == "ensemble" else 1)
    if found.row.kind == "hosted" and found.row.measured is not None:
        program = found.row.measured.program
        done = [program.ops[one.task] for one in found.path if one.cause == "compute"]
        samples = sum(program.meta["parts"][max(0, op.part)] for op in done if op.kind == kind)
    return (
        f"{spell(flops, 'flops', digits=3)} x {samples} {workload.unit} / "
        f"{spell(device.flops_per_s, 'flop_rate', digits=3)}"
    )


def _slowed(found: Explanation, kind: str) -> str:
    """Say what makes computing on the path take another time than the device's: speeds, stragglers, draws."""
    measured, scenario = found.row.measured, found.setting.scenario
    assert measured is not None
    program, trace = measured.program, measured.trace
    on_path: dict[int, list[Segment]] = {}
    for segment in found.path:
        op = program.ops[segment.task]
        if op.kind == kind and segment.cause == "compute":
            on_path.setdefault(op.worker, []).append(segment)
    said = []
    for worker, segments in sorted(on_path.items()):
        why = []
        if scenario.cluster.speed is not None and scenario.cluster.speed[worker] != 1:
            why.append(f"at speed {scenario.cluster.speed[worker]:g}")
        for one in scenario.variation.stragglers or ():
            if one.probability is None and one.worker == worker and one.factor != 1:
                why.append(f"a straggler, {one.factor:g} times as long")
        rows = [trace.row(segment.task, segment.iteration) for segment in segments]
        took = sum(float(trace.end_s[row] - trace.start_s[row]) for row in rows)
        drawn = took / sum(float(program.seconds[segment.task]) for segment in segments)
        if abs(drawn - 1) >= SHOWN:
            why.append(f"{drawn:.3g} times as long by variation")
        said += [f"w{worker} {', '.join(why)}"] if why else []
    return "; ".join(said)


def spell_bytes(bytes_per_s: float) -> str:
    """Return a rate in bytes, beside which sizes in bytes can be divided by eye."""
    return f"{spell(bytes_per_s, 'size', digits=4)}/s"


def _path(found: Explanation) -> str:
    """Return the path's stations, runs of one kind on one machine folded."""
    measured = found.row.measured
    assert measured is not None
    program = measured.program
    stations: list[str] = []
    for segment in found.path:
        op = program.ops[segment.task]
        if program.resource[segment.task] < 0:
            continue
        if program.message[segment.task] >= 0:
            links = " > ".join(program.links[link].name for link in program.route(segment.task))
            short = op.kind if op.kind in ("load", "push", "pull") else PHASES[op.kind]
            said = f"{short} {links}"
        else:
            said = f"{program.resources[program.resource[segment.task]].name} {PHASES.get(op.kind, op.kind)}"
        if segment.cause == "queue":
            said = f"(queue) {said}"
        if not stations or stations[-1] != said:
            stations.append(said)
    if len(stations) > 10:
        stations = [*stations[:5], f"... {len(stations) - 9} more ...", *stations[-4:]]
    return " -> ".join(stations)


def assumptions(meta: Mapping[str, Any], cluster: Cluster) -> list[str]:
    """Return what the figures of a strategy take for granted.

    Args:
        meta: facts of its program.
    """
    said = ["full-duplex links", f"{meta['sharing']} sharing"]
    if meta.get("overlap") is False:
        hint = "" if "copies" in meta else " (set overlap: true)"  # which copies do not go with
        said.append(f"no overlap of communication with the backward pass{hint}")
    if "servers" in meta and not cluster.server.takes_time:
        said.append("servers that add and update in no time")
    elif "combine" in meta:
        said.append("no training: forward passes only")
    elif "servers" not in meta:
        said.append("updates in no time")
    if cluster.devices_per_node > 1:
        said.append("a free way inside a machine to its link")
    if meta.get("colocate") and cluster.intra is None:
        said.append("a free way to a server on the same machine")
    if meta.get("pushers", meta["workers"]) < meta["workers"]:
        said.append("machines that add up their devices' gradients in no time")
    if meta["sharing"] == "fair" and "servers" in meta:
        said.append("every worker begins with another server")
    return said
