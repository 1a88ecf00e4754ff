"""Numbers and findings as people read them.

Nothing here is computed: a :class:`~simpar.result.Row` goes in, a sentence comes out.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from simpar.result import Bottleneck, Row, Suggestion
from simpar.result.changes import Change
from simpar.result.labels import size
from simpar.units import spell

_WHOSE = {"w": "workers'", "ps": "servers'", "n": "machines'", "rack": "racks'", "store": "data store's"}
"""Whose a link is, by the first letters of its name."""

_HELPS = {
    "servers": "More servers would help",
    "placement": "Cutting every tensor over all servers would help",
    "overlap": "Overlapping with the backward pass would help",
    "bucket": "Smaller buckets would help",
    "microbatches": "More microbatches would help",
    "bandwidth": "A faster network would help",
    "uplink": "Faster uplinks would help",
    "oversubscription": "Faster uplinks would help",
    "algorithm": "Fewer rounds would help",
    "store_bandwidth": "A faster data store would help",
    "prefetch": "Reading further ahead would help",
    "backup_workers": "A step that does without the slowest worker would help",
    "local_merge": "Adding up gradients inside the machines first would help",
}


def grouped(number: float, digits: int = 0) -> str:
    """Return *number* with a space between thousands.

    >>> grouped(25557032)
    '25 557 032'
    """
    return f"{number:,.{digits}f}".replace(",", " ")


def rate(per_second: float) -> str:
    """Return samples per second in at least three figures.

    >>> rate(2697.8), rate(41.25), rate(0.512)
    ('2 698', '41.2', '0.512')
    """
    if per_second >= 100:
        return grouped(per_second)
    return f"{per_second:.1f}" if per_second >= 10 else f"{per_second:.3g}"


def time_unit(longest_s: float) -> tuple[float, str]:
    """Return (units a second, unit) for a column whose longest time is *longest_s*."""
    if longest_s >= 100:
        return 1.0, "s"
    return (1e3, "ms") if longest_s >= 1e-3 else (1e6, "us")


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it, one decimal.

    >>> duration(0.1898), duration(5e-6), duration(312.0)
    ('189.8 ms', '5.0 us', '312.0 s')
    """
    scale, unit = time_unit(seconds)
    return f"{grouped(seconds * scale, 1)} {unit}"


def long_time(seconds: float) -> str:
    """Return a time of minutes or hours as people say it.

    >>> long_time(42.4), long_time(409), long_time(86_400)
    ('42.4 s', '6.8 min', '24.0 h')
    """
    if seconds < 120:
        return f"{grouped(seconds, 1)} s"
    return f"{grouped(seconds / 60, 1)} min" if seconds < 7200 else f"{grouped(seconds / 3600, 1)} h"


def memory(row: Row) -> str:
    """Return what a row needs of its device's memory: ``7.36 GB of 16 GiB``."""
    needs = spell(row.memory_bytes, "size", digits=3)
    return needs if row.memory_limit_bytes is None else f"{needs} of {size(row.memory_limit_bytes)}"


def usd(amount: float | None) -> str:
    """Return an amount of money: cents, or three figures where it is less than a dollar.

    >>> usd(1234.5), usd(0.01234), usd(None)
    ('1 234.50', '0.0123', '-')
    """
    if amount is None:
        return "-"
    return grouped(amount, 2) if amount >= 1 else f"{amount:.3g}"


def percent(fraction: float) -> str:
    """Return a fraction in percent, one decimal."""
    return f"{fraction * 100:.1f} %"


def counted(number: int, thing: str) -> str:
    """Return how many there are of a thing whose plural ends in s.

    >>> counted(1, "step"), counted(20, "step")
    ('1 step', '20 steps')
    """
    return f"{grouped(number)} {thing}" + ("" if number == 1 else "s")


def change(row: Change) -> str:
    """Return the change of a step: ``-12.3 %``, ``new``, ``fits now``; '-' where there are no figures.

    What would read as nothing is ``same``.
    """
    if row.what:
        return row.what
    if row.change_frac is None:
        return "-"
    said = f"{row.change_frac * 100:+.1f} %"
    return "same" if said in ("+0.0 %", "-0.0 %") else said


def setting(path: str, value: object) -> str:
    """Return a setting as the command line takes it, quoted for a shell.

    >>> setting("strategies[ps-sync].servers", 8)
    "--set 'strategies[ps-sync].servers=8'"
    """
    said = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
    return f"--set {shlex.quote(f'{path}={said}')}"


def run(names: list[str], most: int = 3) -> str:
    """Return the names; of many that follow each other the first and the last, else how many more.

    >>> run(["ps0.in", "ps1.in"]), run([f"w{w}.out" for w in range(8)])
    ('ps0.in, ps1.in', 'w0.out to w7.out')
    """
    if len(names) <= most:
        return ", ".join(names)
    numbers = [int("".join(filter(str.isdigit, name)) or -1) for name in names]
    if numbers == list(range(numbers[0], numbers[0] + len(names))):
        return f"{names[0]} to {names[-1]}"
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def role_of(resource: str) -> str:
    """Return the letters that a resource's name begins with: ``w``, ``ps`` or ``n``.

    >>> role_of("ps0.in"), role_of("n3.out")
    ('ps', 'n')
    """
    return "".join(takewhile(str.isalpha, resource))


def waits_for(row: Row, found: Bottleneck) -> str:
    """Say what the strategy waits for, without its name: ``waits for the servers' links (ps0, ps1)``."""
    share = f"{percent(found.share)} of the step"
    if found.cause == "compute" and row.kind == "pipeline":
        return f"is as slow as its slowest stage ({found.resource}), which computes {share}"
    if found.cause == "compute":
        return f"computes nearly all the time, {share}"
    if found.cause == "straggler":
        return f"waits for the slowest worker ({found.resource}), {share}"
    if found.cause == "bubble":
        return f"stands idle while the pipeline fills and drains ({found.resource} is busiest), {share}"
    if found.cause == "server":
        return f"waits for the servers to add and update ({_equals(row, found.resource)}), {share}"
    if found.cause == "data":
        return f"waits for the data store ({found.resource}), {share}"
    if found.cause == "latency":
        return f"waits for the latency of messages that follow each other, {share}"
    if found.resource == "fabric":
        return f"waits for the network, {share}"
    role = role_of(found.resource)
    whose = _WHOSE.get(role, "switches'")
    what = "CPUs" if found.resource.endswith(".cpu") else "uplinks" if role == "rack" else "links"
    verb = "queues for" if found.cause == "queue" else "waits for"
    return f"{verb} the {whose} {what} ({_equals(row, found.resource)}), {share}"


NOT_TRIED = "were not tried: too much to simulate here"
"""What is said of settings that might help, but were not simulated."""


def would_help(tried: Suggestion) -> str:
    """Say what a setting does that would help: ``More servers would help``."""
    if tried.value == "hierarchical":
        return "Summing inside the machines first would help"
    return _HELPS.get(tried.path.rpartition(".")[2], "This would help")


def helps(found: Bottleneck) -> str:
    """Say what would help, with the setting to try; empty where nothing tried did."""
    tried = found.suggestion
    if tried is None:
        return f"Settings that may help {NOT_TRIED}" if found.skipped else ""
    with_it = "" if tried.step_s is None else f" ({duration(tried.step_s)})"
    if found.skipped:
        with_it += f"; others {NOT_TRIED}"
    return f"{would_help(tried)}: try {setting(tried.path, tried.value)}{with_it}"


def fastest(rows: Sequence[Row]) -> str:
    """Say which of *rows*, ranked and all with figures, is fastest, and by how much."""
    first, last = rows[0], rows[-1]
    assert first.samples_per_s
    assert last.samples_per_s
    ratio = first.samples_per_s / last.samples_per_s
    if ratio < 1.01:
        return f"Fastest: {first.label}, but all are within 1 %."
    return f"Fastest: {first.label}; {ratio:.1f} times as fast as {last.name}."


def does_not_pay(rows: Sequence[Row]) -> str:
    """Say that one device alone is faster than the best of *rows*, ranked; empty where it is not.

    An ensemble is there for better predictions, and never faster.
    """
    best = rows[0].speedup if rows else None
    if best is None or best >= 1 or rows[0].workers == 1 or rows[0].kind == "ensemble":
        return ""
    what = "prediction" if rows[0].kind == "replicated" else "training"
    return f"Parallel {what} does not pay here: one device alone is {1 / best:.1f} times as fast."


def titles(rows: Sequence[Row]) -> dict[str, str]:
    """Return what a figure calls each of *rows*, by name: its label, with its name where others share it."""
    counts = Counter(row.label for row in rows)
    return {row.name: row.label if counts[row.label] == 1 else f"{row.label} ({row.name})" for row in rows}


def called(row: Row) -> str:
    """Return what to call a row in a sentence: its name, which is what ``--set`` and ``explain`` take.

    The label goes with it where only a number tells the name from another.
    """
    numbered = row.name != row.kind and row.name.startswith(f"{row.kind}-")
    return f"{row.name} ({row.label})" if numbered else row.name


def _equals(row: Row, name: str) -> str:
    """Return the resources of the same kind that are as busy as *name*."""
    most = next((use for use in row.resources if use.name == name), None)
    if most is None:
        return name
    suffix, role = name.rpartition(".")[2], role_of(name)
    alike = [
        use.name
        for use in row.resources
        if use.kind == most.kind
        and use.name.rpartition(".")[2] == suffix
        and role_of(use.name) == role
        and use.busy_frac >= most.busy_frac * (1 - 1e-6)
    ]
    return run(alike or [name])
