"""How the links of the network are joined: ``network.topology``.

Which settings belong to which kind, and whether every machine can be reached, is checked in
:func:`check_topology`, with line and column.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from simpar.scenario.fields import AtLeastZero, Choice, Rate, Share, Strict, Text, Workers
from simpar.scenario.report import EXAMPLES, Report
from simpar.scenario.words import Path, nearest
from simpar.units import shown

HERE: Path = ("network", "topology")

STORE = "store"
"""What the store of the training data is called among nodes."""

TREE = "{kind: tree, rack: 8, oversubscription: 4}"
"""A right topology, for errors."""

MOST_LINKS = 100_000
"""Links that a list may hold."""

Background = Annotated[float, AtLeastZero(0.99)]
"""A share of a link, below 1."""

NodeName = Annotated[str, Text("a name", without=" >.#[]", high=40)]
"""``w0`` (``n0`` where machines have several devices), ``ps0``, ``store``; any other is a switch's."""


class TopologyLinkSpec(Strict):
    """One full-duplex link between two machines or switches."""

    between: Annotated[tuple[NodeName, ...], Field(min_length=2, max_length=2)]
    """Its two ends, [w0, s0]; a name that is no machine's is a switch."""

    bandwidth: Rate | None = None
    """Payload rate of one direction; by default network.bandwidth."""

    background: Background | None = None
    """Share of it that other traffic takes; by default network.background."""


class TopologySpec(Strict):
    """How the links are joined: a star, a tree of racks, a ring, or link by link."""

    kind: Annotated[Literal["star", "tree", "ring", "links"], Choice("topology")]
    """star: all machines around one switch; tree: racks with an uplink each; ring; links: those listed."""

    rack: Workers | None = None
    """Of a tree: machines of each rack, in order."""

    oversubscription: Annotated[float, Share(1e6, 1.0)] | None = None
    """Of a tree: the bandwidth of a rack's machines over that of its uplink, 4 for 4:1."""

    uplink: Rate | None = None
    """Of a tree, instead of oversubscription: payload rate of one direction of an uplink, '40 Gbit/s'."""

    servers: Annotated[Literal["spread", "apart"], Choice("place of servers")] = "spread"
    """Of a tree: whether servers with machines of their own stand in all racks by turns, or in own racks."""

    background: Background | None = None
    """Of a tree: share of each uplink that other traffic takes; by default network.background."""

    links: Annotated[tuple[TopologyLinkSpec, ...], Field(min_length=1, max_length=MOST_LINKS)] | None = None
    """Of links: all of them. A message takes the fewest, in ties those of the first names."""


KEYS = {
    "star": (),
    "tree": ("rack", "oversubscription", "uplink", "servers", "background"),
    "ring": (),
    "links": ("links",),
}
"""Settings of each kind."""


def kind_of(topology: Any) -> Any:
    """Return the kind of a raw ``network.topology``."""
    return topology.get("kind") if isinstance(topology, dict) else topology


def machine_names(workers: int, per_node: int) -> list[str]:
    """Return the names of the machines with devices."""
    return [f"{'n' if per_node > 1 else 'w'}{node}" for node in range(workers // per_node)]


def check_topology(
    topology: Any, machines: list[str] | None, servers: int, store: bool, report: Report
) -> None:
    """Note in *report* what is wrong with the raw *topology*.

    Args:
        machines: names of the machines with devices, None where that is unknown.
        servers: parameter servers on machines of their own, the most that a strategy has.
        store: whether training data is read from a store.
    """
    kind = kind_of(topology)
    if kind not in KEYS or not report.clean(HERE):
        return
    if store and kind == "ring":
        said = "a ring has no place for the store of the training data"
        report.add(HERE, said, "write links, one of them to 'store', or remove data.store_bandwidth")
    given = topology if isinstance(topology, dict) else {}
    for key in given:
        if key != "kind" and key not in KEYS[kind]:
            fix = f"it takes: {', '.join(KEYS[kind])}" if KEYS[kind] else "remove it"
            report.add((*HERE, key), f"kind {kind} takes no {key!r}", fix, key=True)
    if kind == "tree":
        _check_tree(given, report)
    elif kind == "links" and report.clean(HERE):
        if not isinstance(given.get("links"), list):
            report.add(HERE, "links needs 'links'", f"write 'links: {EXAMPLES['links']}'")
        elif machines is not None:
            needed = [*machines, *(f"ps{server}" for server in range(servers)), *([STORE] if store else [])]
            _check_graph(given["links"], needed, report)


def _check_tree(given: dict[str, Any], report: Report) -> None:
    if "rack" not in given:
        report.add(HERE, "tree needs 'rack'", "add 'rack: 8', the machines of each rack")
    if "oversubscription" in given and "uplink" in given:
        said = "'oversubscription' and 'uplink' are both given"
        report.add((*HERE, "uplink"), said, "keep one of them", key=True)
    if not {"oversubscription", "uplink"} & given.keys():
        report.add(HERE, "tree needs 'oversubscription' or 'uplink'", "add 'oversubscription: 4'")


def _check_graph(links: list[Any], needed: list[str], report: Report) -> None:
    """Note machines that are not there, links that are given twice, and machines that cannot be reached."""
    near: dict[str, list[str]] = {}
    for index, link in enumerate(links):
        here = (*HERE, "links", index, "between")
        if len(link["between"]) != 2:
            report.add(
                here, f"names {len(link['between'])} ends, not two", f"write 'between: {EXAMPLES['between']}'"
            )
            continue
        one, other = link["between"]
        for place, name in enumerate((one, other)):
            if re.fullmatch(r"(w|n|ps)[0-9]+", name) and name not in needed:
                close = nearest(name, needed)
                fix = f"did you mean {close!r}?" if close else "name a switch otherwise than a machine"
                report.add((*here, place), f"there is no machine {shown(name)}", fix)
        if one == other:
            report.add(here, f"joins {shown(one)} with itself", "name two ends")
        elif other in near.get(one, ()):
            said = f"{shown(one)} and {shown(other)} are joined by another link already"
            report.add(here, said, "give their bandwidths together")
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    if not report.clean(HERE):
        return
    reached, waiting = {needed[0]}, [needed[0]]
    while waiting:
        for node in near.get(waiting.pop(), ()):
            if node not in reached:
                reached.add(node)
                waiting.append(node)
    missing = [name for name in needed if name not in reached]
    if missing and len(needed) > 1:
        more = f", nor to {len(missing) - 1} others" if len(missing) > 1 else ""
        said = f"there is no way from {needed[0]} to {missing[0]}{more}"
        report.add((*HERE, "links"), said, f"add a link, as in '{{between: [{missing[0]}, s0]}}'", key=True)
