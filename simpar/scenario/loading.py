"""A scenario file read, overridden, checked and turned into a :class:`Scenario`.

Everything that is wrong, in the file, in a profile that it names and in the overrides, is raised
at once. Start with :func:`load`; :func:`change` makes another scenario of one that is loaded.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import BaseModel

from simpar.errors import InputError, Problem
from simpar.scenario.checks import check_all, check_layers
from simpar.scenario.fields import Name, Strict
from simpar.scenario.later import LATER_KINDS
from simpar.scenario.model import ModelSpec, ProfileFile, ShapeSpec
from simpar.scenario.options import KINDS, KindOptions, Strategy
from simpar.scenario.overrides import OPTION, Overrides, apply, as_written, plain_data, strategy_names
from simpar.scenario.reader import Document, read_file
from simpar.scenario.report import EXAMPLES, Report
from simpar.scenario.schema import (
    ClusterSpec,
    DataSpec,
    DeviceSpec,
    IntraSpec,
    NetworkSpec,
    PricesSpec,
    RunSpec,
    Scenario,
    ServerSpec,
    ValidateSpec,
    Written,
)
from simpar.scenario.source import Source, public_path
from simpar.scenario.topology import TopologySpec
from simpar.scenario.variation import DISTRIBUTED, DistributionSpec, VariationSpec, read_times
from simpar.scenario.words import Path, did_you_mean
from simpar.units import shown

SECTIONS: dict[str, type[Strict]] = {
    "model": ModelSpec,
    "data": DataSpec,
    "cluster": ClusterSpec,
    "network": NetworkSpec,
    "run": RunSpec,
    "validate": ValidateSpec,
    "prices": PricesSpec,
    "variation": VariationSpec,
}
"""Sections of the file that are mappings."""

TOP_KEYS = (
    "name",
    "model",
    "data",
    "cluster",
    "network",
    "strategies",
    "variation",
    "run",
    "validate",
    "prices",
)
"""Keys at the top of the file."""

REQUIRED = ("model", "cluster", "strategies")
"""Those that no file may leave out."""

MAPPING = "<dict>"
"""What problems name in place of a file where a scenario is given as a mapping."""

MOST_STRATEGIES = 1000
"""Strategies that one file may compare."""

AnyScenario = Scenario | str | os.PathLike[str] | Mapping[str, Any]
"""A scenario, the path of its file, or what that would say as a mapping."""

Section = TypeVar("Section", bound=BaseModel)


class _Title(Strict):
    """The one setting at the top of the file that is no section."""

    name: Name


def load(path: str | os.PathLike[str] | Mapping[str, Any], set: Overrides = ()) -> Scenario:
    """Return the scenario in the file at *path*, with the settings in *set* changed.

    Args:
        path: a YAML file; or what it would say, as a mapping: its problems name :data:`MAPPING` in place of a
            file, and files that it names are looked for in the current folder.
        set: values by path, ``{"network.bandwidth": "10 Gbit/s"}``, or pairs in order. Text is read
            as YAML; other values are taken as they are.

    Raises:
        InputError: the file cannot be read, or anything in it or in *set* is wrong; ``problems``
            holds all of it.
    """
    if isinstance(path, Mapping):
        document, path = _as_document(path), MAPPING
    elif isinstance(path, (str, os.PathLike)):
        document = read_file(path)
    else:
        said = f"a scenario is a file or a mapping, not of type {type(path).__name__}"
        raise InputError([Problem("", 0, 0, "", said, "give the path of a YAML file, or what it would say")])
    source = Source.of(document)
    report = Report(source)
    data = document.data
    if not isinstance(data, dict):
        report.add((), f"a scenario is a mapping, not {shown(data)}", "write 'model:', 'cluster:' and so on")
        report.close()
    blank = _note_flaws(document, report)
    report.problems += apply(set, data, source, blank)
    return _Loader(path, data, report, blank, document.text, as_written(set)).scenario()


def _as_document(mapping: Mapping[str, Any]) -> Document:
    """Return what a file would say that says the same as *mapping*; nothing in it has a line."""
    data = plain_data(mapping, MAPPING)
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return Document(MAPPING, data, text, values={(): (0, 0)})


def change(scenario: Scenario, set: Overrides, option: str = OPTION) -> Scenario:
    """Return *scenario* with the settings in *set* changed, as if its file had them.

    Args:
        set: values by path, as :func:`load` takes them.
        option: what problems with *set* name in place of a file.

    Raises:
        InputError: anything in *set* is wrong, or does not go with the rest; ``problems`` holds all of it.
    """
    written = scenario.written
    source, data, blank = written.source.copy(), copy.deepcopy(written.data), {*written.blank}
    report = Report(source)
    report.problems += apply(set, data, source, blank, option)
    overrides = (*written.overrides, *as_written(set))
    return _Loader(written.path, data, report, blank, written.text, overrides).scenario()


def rewritten(scenario: Scenario, set: Overrides, option: str = OPTION) -> dict[str, Any]:
    """Return what the file of *scenario* would say with the settings in *set*; nothing is checked but paths.

    Raises:
        InputError: a path in *set* leads nowhere, or a value is none.
    """
    written = scenario.written
    data: dict[str, Any] = _copied(written.data)
    problems = apply(set, data, written.source.copy(), {*written.blank}, option)
    if problems:
        raise InputError(problems)
    return data


def _copied(data: Any) -> Any:
    """Return a copy of plain data, several times as quick as ``deepcopy``."""
    if isinstance(data, dict):
        return {key: _copied(value) for key, value in data.items()}
    return [_copied(value) for value in data] if isinstance(data, list) else data


def named_files(data: dict[str, Any]) -> list[str]:
    """Return the files that the plain *data* of a scenario names, each from the folder of the scenario."""
    model, variation = data.get("model"), data.get("variation")
    names = [model.get("profile")] if isinstance(model, dict) else []
    for key in DISTRIBUTED:
        given = variation.get(key) if isinstance(variation, dict) else None
        names += [given.get("file")] if isinstance(given, dict) else []
    return [name for name in names if isinstance(name, str) and name]


def change_each(
    scenario: Scenario, set: Overrides, option: str = OPTION
) -> tuple[Scenario, dict[str, list[Problem]]]:
    """Return *scenario* changed as :func:`change` does, without strategies that do not go with the change.

    Returns the problems of those, too, by the strategy's name.

    Raises:
        InputError: something else is wrong, or no strategy is left.
    """
    try:
        return change(scenario, set, option), {}
    except InputError as error:
        wrong: dict[int, list[Problem]] = {}
        for problem in error.problems:
            of_one = _OF_A_STRATEGY.match(problem.path)
            if of_one is None:
                raise
            wrong.setdefault(int(of_one[1]), []).append(problem)
        names = {one.index: one.name for one in scenario.strategies}
        if not names.keys() - wrong.keys():
            raise
    written, data = scenario.written, copy.deepcopy(scenario.written.data)
    kept = [(index, name) for index, name in names.items() if index not in wrong]
    items = [(data["strategies"][index], name) for index, name in kept]
    # Each keeps its name, which would follow from its place among others of its kind.
    data["strategies"] = [
        {item: {"name": name}}
        if isinstance(item, str)
        else {kind: {**(options or {}), "name": name} for kind, options in item.items()}
        for item, name in items
    ]
    less = replace(scenario, written=replace(written, data=data))
    return change(less, set, option), {names[index]: found for index, found in wrong.items()}


_OF_A_STRATEGY = re.compile(r"strategies\[([0-9]+)\]")


def load_profile(path: str | os.PathLike[str], *, shown_as: str | None = None) -> ProfileFile:
    """Return the measured model in the file at *path*; problems name it *shown_as*.

    Raises:
        InputError: the file cannot be read, or anything in it is wrong.
    """
    document = read_file(path, shown_as)
    report = Report(Source.of(document))
    if not isinstance(document.data, dict):
        said = f"a profile is a mapping, not {shown(document.data)}"
        report.add((), said, "write 'name:', 'batch:' and 'layers:'")
        report.close()
    blank = _note_flaws(document, report)
    found = report.check(ProfileFile, document.data, (), "profile", blank)
    check_layers(document.data.get("layers"), ("layers",), report)
    report.close()
    assert found is not None
    return found


def _note_flaws(document: Document, report: Report) -> set[Path]:
    """Note what reading found; return the paths of the keys without a value."""
    for path, place, message, fix in document.flaws:
        public = public_path(path)
        report.source.keys.setdefault(public, (document.file, *place))
        report.problems.append(
            Source(document.file, {(): (document.file, *place)}).problem(public, message, fix)
        )
    return {public_path(path) for path in document.blank if len(path) != 3 or path[0] != "strategies"}


_INNER: dict[Path, type[Strict]] = {
    ("model", "shape"): ShapeSpec,
    ("cluster", "device"): DeviceSpec,
    ("cluster", "server"): ServerSpec,
    ("network", "intra"): IntraSpec,
    ("network", "topology"): TopologySpec,
    **{("variation", key): DistributionSpec for key in DISTRIBUTED},
}


_REPLACEABLE: set[Path] = {("cluster", "workers")}
"""Settings that are required unless others stand in for them."""


class _Loader:
    """One file on its way to a scenario."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        data: dict[str, Any],
        report: Report,
        blank: set[Path],
        text: str,
        overrides: tuple[tuple[str, str], ...],
    ):
        self.path = path
        self.data = data
        self.report = report
        self.blank = blank
        source = report.source.copy()
        self.written = Written(path, copy.deepcopy(data), frozenset(blank), source, text, overrides)

    def scenario(self) -> Scenario:
        """Return the scenario, or raise all that is wrong with it."""
        for path, section in ({(name,): one for name, one in SECTIONS.items()} | _INNER).items():
            self._unset(path, section)
        self._check_top()
        name = self.data.get("name", FilePath(os.fspath(self.path)).stem)
        title = self.report.check(_Title, {"name": name}, (), "", self.blank & {("name",)})
        model = self._section("model", ModelSpec)
        data = self._section("data", DataSpec)
        cluster = self._section("cluster", ClusterSpec)
        network = self._section("network", NetworkSpec)
        run = self._section("run", RunSpec)
        validation = self._section("validate", ValidateSpec)
        prices = self._section("prices", PricesSpec)
        variation = self._section("variation", VariationSpec)
        strategies = self._strategies()
        profile = self._profile()
        check_all(self.data, self.report, profile)
        times = self._times()
        self.report.close()
        assert title is not None
        assert model is not None
        assert cluster is not None
        return Scenario(
            name=title.name,
            model=model,
            data=data or DataSpec(),
            cluster=cluster,
            network=network,
            strategies=strategies,
            run=run or RunSpec(),
            validation=validation or ValidateSpec(),
            prices=prices.model_dump(by_alias=True, exclude_none=True) if prices else {},
            profile=profile,
            variation=variation or VariationSpec(),
            times=times,
            source=self.report.source,
            written=self.written,
        )

    def _unset(self, path: Path, model: type[Strict]) -> None:
        """Take optional keys that are null, on purpose, out of a section: as good as not there."""
        section: Any = self.data
        for key in path:
            section = section.get(key) if isinstance(section, dict) else None
        if isinstance(section, dict):
            for key in [key for key, value in section.items() if value is None]:
                field, here = model.model_fields.get(key), (*path, key)
                optional = field is not None and (not field.is_required() or here in _REPLACEABLE)
                if optional and here not in self.blank:
                    del section[key]

    def _check_top(self) -> None:
        for key in self.data:
            if key not in TOP_KEYS:
                self.report.add((key,), f"unknown key {shown(key)}", did_you_mean(key, TOP_KEYS), key=True)
        for key in REQUIRED:
            if key not in self.data:
                said = f"required key {key!r} is missing"
                self.report.add((key,), said, f"write '{key}: {EXAMPLES[key]}'")

    def _section(self, key: str, model: type[Section]) -> Section | None:
        """Return the section *key*, None where it is not there or wrong."""
        if key not in self.data:
            return None
        section = self.data[key]
        if section is None:
            self._add_empty(key)
            return None
        return self.report.check(model, section, (key,), key, self.blank)

    def _add_empty(self, key: str) -> None:
        remove = "" if key in REQUIRED else " or remove the key"
        self.report.add((key,), "is empty", f"write '{key}: {EXAMPLES[key]}'{remove}", key=True)

    def _strategies(self) -> tuple[Strategy, ...]:
        items = self.data.get("strategies")
        here: Path = ("strategies",)
        fix = f"write 'strategies: {EXAMPLES['strategies']}'"
        if "strategies" not in self.data:
            return ()
        if items is None or items == []:
            self._add_empty("strategies")
        elif not isinstance(items, list):
            self.report.add(here, f"{shown(items)} is not a list", fix)
        elif len(items) > MOST_STRATEGIES:
            self.report.add(here, f"has more than {MOST_STRATEGIES} entries", "compare fewer at once")
        else:
            names = strategy_names(items)
            self._check_names(items)
            read = [self._strategy(index, item, names[index]) for index, item in enumerate(items)]
            return tuple(one for one in read if one is not None)
        return ()

    def _check_names(self, items: list[Any]) -> None:
        """Note names that are given twice."""
        first: dict[str, int] = {}
        for index, item in enumerate(items):
            options = next(iter(item.values())) if isinstance(item, dict) and len(item) == 1 else None
            name = options.get("name") if isinstance(options, dict) else None
            if not isinstance(name, str):
                continue
            if name in first:
                said = f"{shown(name)} is the name of strategies[{first[name]}] too"
                self.report.add(("strategies", index, "name"), said, "give each entry a name of its own")
            first.setdefault(name, index)

    def _strategy(self, index: int, item: Any, name: str) -> Strategy | None:
        """Return one entry of ``strategies``, None where it is wrong."""
        here: Path = ("strategies", index)
        kind: Any = item
        options: Any = {}
        if isinstance(item, dict):
            known = next((key for key in item if key in KINDS), None)
            if len(item) != 1:
                said = f"an entry has one key, its kind, not {len(item)}"
                fix = f"indent the options below '{known}:'" if known else "write 'ps-sync: {servers: 2}'"
                self.report.add(here, said, fix)
                return None
            kind, options = next(iter(item.items()))
        if not isinstance(kind, str):
            said = "is empty" if kind is None else f"{shown(kind)} is not a strategy"
            self.report.add(here, said, "write 'ps-sync' or 'ps-sync: {servers: 2}'")
            return None
        if kind in LATER_KINDS:
            fix = f"write one of: {', '.join(KINDS)}"
            self.report.add(here, f"{kind!r} is not modelled by this version", fix)
            return None
        model = KINDS.get(kind)
        if model is None:
            self.report.add(here, f"unknown strategy {shown(kind)}", did_you_mean(kind, tuple(KINDS)))
            return None
        checked: KindOptions | None = self.report.check(
            model, {} if options is None else options, here, kind, self.blank
        )
        return Strategy(name, kind, index, checked) if checked is not None else None

    def _times(self) -> dict[str, tuple[float, ...]]:
        """Return the measured times that ``variation`` names, by its key; a path starts at this folder."""
        section, found = self.data.get("variation"), {}
        for key in DISTRIBUTED:
            given = section.get(key) if isinstance(section, dict) else None
            name = given.get("file") if isinstance(given, dict) else None
            here: Path = ("variation", key, "file")
            if isinstance(name, str) and name and self.report.clean(here):
                folder = os.path.dirname(os.fspath(self.path))
                times = read_times(folder, name, self.report, here)
                if times is not None:
                    found[key] = times
        return found

    def _profile(self) -> ProfileFile | None:
        """Return what ``model.profile`` names; a path starts at the folder of the scenario."""
        here: Path = ("model", "profile")
        section = self.data.get("model")
        given = section.get("profile") if isinstance(section, dict) else None
        if not isinstance(given, str) or not given or not self.report.clean(here):
            return None
        path = os.path.join(os.path.dirname(os.fspath(self.path)), given)
        try:
            exists = os.path.isfile(path)
        except ValueError:
            exists = False
        if not exists:
            said = f"{shown(given)} is not a file"
            self.report.add(here, said, "give its path from the folder of this file")
            return None
        try:
            return load_profile(path)
        except InputError as error:
            self.report.problems += error.problems
            self.report.spoil(here)
            return None
