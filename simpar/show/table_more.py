"""``simpar explain --more`` as plain text: causes, loads, what would help, and where verdicts turn.

Start with :func:`more`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from simpar.result import Use
from simpar.show import words
from simpar.show.table import columns, explanation
from simpar.study.more import EFFICIENCY, More
from simpar.study.sensitivity import FACTOR, NEAR, Help
from simpar.units import spell

ALIKE = 1e-3
"""Relative difference below which the loads of two links are shown as one."""

MOST_ALIKE = 4
"""Groups of links of one role that are shown one by one; more are shown together, from least to most."""

SMALL = 5e-4
"""Change of a step below which percent with one decimal would say nothing."""

_LEVERS = {
    "cluster.speed": "the devices",
    "network.bandwidth": "the workers' links",
    "network.server_bandwidth": "the servers' links",
    "network.topology.uplink": "the racks' uplinks",
    "network.topology.oversubscription": "the racks' uplinks",
    "network": "the workers' and the servers' links",
    "network.latency": "latency",
    "network.overhead": "overhead of a message",
    "network.intra.bandwidth": "links inside machines",
    "network.intra.latency": "latency inside machines",
    "network.intra.overhead": "overhead of a message inside machines",
    "cluster.server": "the servers' CPUs",
    "data.store_bandwidth": "the data store",
}

_NEAR = words.percent(NEAR).replace(".0", "")
_TENTH = words.percent(FACTOR - 1).replace(".0", "")

_NAME = re.compile(r"([a-z]+)([0-9]+)(.*)", re.ASCII)


def more(found: More) -> str:
    """Return the explanation, and below it all that was asked besides."""
    measured = found.explanation.row.measured
    assert measured is not None
    blocks = [[explanation(found.explanation)], _causes(found)]
    if found.loads:
        blocks += [_loads(found), _traffic(found)]
    blocks += [_helps(found), _verdicts(found)]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _causes(found: More) -> list[str]:
    whole = found.explanation.step_s
    rows = []
    for one in found.causes:
        folded = fold(list(one.resources))
        on = folded[0] if len(folded) == 1 else _each(one.resources, folded)
        rows.append([one.cause, words.duration(one.seconds), words.percent(one.seconds / whole), on])
    width = [max(len(row[c]) for row in rows) for c in range(3)]
    return ["Along the critical path, by cause:"] + [
        f"  {cause:<{width[0]}}   {time:>{width[1]}}   {share:>{width[2]}}   {on}".rstrip()
        for cause, time, share, on in rows
    ]


def _each(seconds: Mapping[str, float], folded: Sequence[str], most: int = 4) -> str:
    """Return resources with the time spent on each; the shortest are counted only."""
    times = dict.fromkeys(folded, 0.0)
    for name, spent in seconds.items():
        times[next(one for one in folded if covers(one, name))] += spent
    longest = sorted(folded, key=lambda one: -times[one])
    said = [f"{one} {words.duration(times[one])}" for one in longest[:most]]
    return ", ".join(said) + (f" and {len(longest) - most} more" if len(longest) > most else "")


def fold(names: Sequence[str]) -> list[str]:
    """Return *names* with runs of three and more that follow each other written as one, ordered by number.

    >>> fold(["w2.out", "w1.out", "w0.out", "ps0.in", "w5.out"])
    ['w0..w2.out', 'w5.out', 'ps0.in']
    """
    by_role: dict[tuple[str, str], list[int]] = {}
    plain: list[str] = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            by_role.setdefault((match[1], match[3]), []).append(int(match[2]))
        else:
            plain.append(name)
    folded = []
    for (role, suffix), numbers in by_role.items():
        for first, last in _runs(sorted(numbers)):
            if last - first >= 2:
                folded.append(f"{role}{first}..{role}{last}{suffix}")
            else:
                folded += [f"{role}{number}{suffix}" for number in range(first, last + 1)]
    return folded + plain


def covers(folded: str, name: str) -> bool:
    """Say whether *name* is one of those that *folded* stands for.

    >>> covers("w0..w2.out", "w1.out"), covers("w0..w2.out", "w3.out"), covers("fabric", "fabric")
    (True, False, True)
    """
    if folded == name:
        return True
    first, dots, last = folded.partition("..")
    a, b, one = (_NAME.fullmatch(text) for text in (first, last, name))
    if not dots or a is None or b is None or one is None:
        return False
    return (one[1], one[3]) == (b[1], b[3]) and int(a[2]) <= int(one[2]) <= int(b[2])


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of every run of *numbers*, which rise, without a gap."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last


def _loads(found: More) -> list[str]:
    rows = [["link or server", "bytes a step", "busy", ""]]
    for uses in _alike([use for use in found.loads if use.bytes or use.busy_frac]):
        named = _together([use.name for use in uses])
        sent = sorted(use.bytes for use in uses)
        busy = sorted(use.busy_frac for use in uses)
        mark = "the fullest" if any(use.name == found.fullest for use in uses) else ""
        rows.append([named, _between(sent), _share(busy), mark])
    width = [max(len(row[c]) for row in rows) for c in range(3)]
    lines = [
        f"  {name:<{width[0]}}   {sent:>{width[1]}}   {busy:>{width[2]}}   {mark}".rstrip()
        for name, sent, busy, mark in rows
    ]
    held = found.server_parameters_bytes
    if held:
        each = " each" if len(held) > 1 and min(held) == max(held) else ""
        holders = _together([f"ps{server}" for server in range(len(held))])
        hold = "holds" if len(held) == 1 else "hold"
        lines.append(f"  {holders} {hold} {_between(sorted(held))} of parameters{each}")
    return lines


def _traffic(found: More) -> list[str]:
    """Return what all messages together carry, a step and an epoch."""
    spans = [found.traffic] if found.epoch is None else [found.traffic, found.epoch]
    carried: list[tuple[str, list[float | None]]] = [
        ("parameters and gradients", [one.parameters_bytes for one in spans]),
        ("activations", [one.activations_bytes for one in spans]),
        ("data", [one.data_bytes for one in spans]),
    ]
    rows = [["all messages carry", "a step", "" if found.epoch is None else "an epoch"]]
    for what, sent in carried:
        if sent[0] != 0.0:
            said = ["not told by a closed form" if one is None else spell(one, "size") for one in sent]
            rows.append([what, said[0], "" if len(said) < 2 or sent[0] is None else said[1]])
    width = [max(len(row[c]) for row in rows) for c in range(3)]
    lines = [
        f"  {what:<{width[0]}}   {a_step:>{width[1]}}   {an_epoch:>{width[2]}}".rstrip()
        for what, a_step, an_epoch in rows
    ]
    record_bytes = found.explanation.setting.scenario.data.record_bytes
    if found.records_as_heavy is not None and record_bytes is not None:
        count, now = words.grouped(int(found.records_as_heavy)), found.explanation.setting.workload.batch
        lines.append(
            f"  {count} records of {spell(record_bytes, 'size')} weigh as much as the gradients (now {now})"
        )
    return lines


def _alike(loads: Sequence[Use]) -> list[list[Use]]:
    """Return *loads* in groups of one role and equal figures; of a role with too many groups, all as one."""
    roles: dict[tuple[str, str, str], list[list[Use]]] = {}
    for use in loads:
        match = _NAME.fullmatch(use.name)
        key = (use.kind, match[1], match[3]) if match else (use.kind, use.name, "")
        groups = roles.setdefault(key, [])
        same = next((group for group in groups if _is_alike(group[0], use)), None)
        if same is None:
            groups.append([use])
        else:
            same.append(use)
    return [
        group
        for groups in roles.values()
        for group in (groups if len(groups) <= MOST_ALIKE else [[use for one in groups for use in one]])
    ]


def _is_alike(one: Use, other: Use) -> bool:
    return (
        abs(one.bytes - other.bytes) <= ALIKE * max(one.bytes, other.bytes)
        and abs(one.busy_frac - other.busy_frac) <= ALIKE
    )


def _together(names: Sequence[str], most: int = 3) -> str:
    folded = fold(names)
    return ", ".join(folded[:most]) + (f" and {len(folded) - most} more" if len(folded) > most else "")


def _between(sizes: Sequence[float]) -> str:
    """Return a size, or the least and the greatest of several, which rise."""
    if not sizes[-1]:
        return "-"
    if sizes[-1] - sizes[0] <= ALIKE * sizes[-1]:
        return spell(sizes[-1], "size")
    return f"{spell(sizes[0], 'size')} to {spell(sizes[-1], 'size')}"


def _share(busy: Sequence[float]) -> str:
    if busy[-1] - busy[0] <= ALIKE:
        return words.percent(busy[-1])
    return f"{words.percent(busy[0])} to {words.percent(busy[-1])}"


def _helps(found: More) -> list[str]:
    effective = [one for one in found.helps if one.has_effect]
    lines = [f"What would help, each kind of resource {_TENTH} faster, all else as it is:"]
    if effective:
        table = [
            [one.path, _LEVERS[one.path], f"step {_change(one)}", words.duration(one.step_s)]
            for one in effective
        ]
        lines += columns(table, left=3)
    without = [f"{_LEVERS[one.path]} ({one.path})" for one in found.helps if not one.has_effect]
    if without:
        lines.append(f"  without effect: {', '.join(without)}")
    if found.not_tried:
        lines.append(
            f"  not tried, too much to simulate here or beyond its bounds: {', '.join(found.not_tried)}"
        )
    return lines


def _change(one: Help) -> str:
    """Return by how much a step gets shorter or longer."""
    if abs(one.gain_frac) < SMALL:
        return "by < 0.05 %"
    return f"{-100 * one.gain_frac:+.1f} %"


def _verdicts(found: More) -> list[str]:
    return [*_enough(found), _turns(found), *_efficient(found)]


def _enough(found: More) -> list[str]:
    meta = found.explanation.setting.strategy.options
    now = getattr(meta, "servers", None)
    if now is None:
        return []
    enough = found.servers
    if enough is None:
        return ["Enough servers: not tried, too much to simulate here."]
    they = "1 server is" if enough.servers == 1 else f"{enough.servers} servers are"
    step = words.duration(enough.step_s)
    lines = [f"Enough servers: {they} within {_NEAR} of the best of up to {enough.most} ({step}; now {now})."]
    if not found.servers_complete:
        lines.append("  Other numbers were not tried: too much to simulate here, or not possible.")
    return lines


def _turns(found: More) -> str:
    name, turn = found.explanation.row.name, found.break_even
    if turn is None:
        return f"Break-even bandwidth: none found, {found.why_no_break_even}."
    rate, side = (
        spell(turn.bandwidth_bytes_per_s, "rate", digits=3),
        "above" if turn.faster_above else "below",
    )
    return f"Break-even bandwidth: {rate}, {side} which {name} is faster than {turn.against}."


def _efficient(found: More) -> list[str]:
    batch, setting = found.batch, found.explanation.setting
    said = f"Batch for {words.percent(EFFICIENCY).replace('.0', '')} efficiency: "
    if batch.batch is None:
        lines = [f"{said}none found, {batch.why}."]
    else:
        now = setting.workload.batch
        lines = [f"{said}{words.grouped(batch.batch)} on each worker (now {words.grouped(now)})."]
    if not batch.monotone:
        lines.append("  Efficiency does not rise with the batch everywhere, so there may be a smaller one.")
    measured = setting.cluster.device.forward_s is not None or setting.workload.measured_batch is not None
    if measured:
        lines.append("  Measured times are taken to grow in proportion to the batch.")
    return lines
