"""Settings changed from outside the file: ``--set network.bandwidth='10 Gbit/s'``.

An override goes into the plain data before anything is checked, so that it is checked like the rest;
its problems name ``--set`` and, as line, the number of the option. A path is made of keys joined by dots, an
index or a name in brackets: ``strategies[ps-sync].servers``, ``model.layers[2].forward``.

Start with :func:`apply`.
"""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from simpar.errors import InputError, Problem, one_line
from simpar.scenario.reader import DEEPEST, read_text
from simpar.scenario.source import Source, public_path, split_path
from simpar.scenario.words import Path, did_you_mean, spell_path
from simpar.units import shown

OPTION = "--set"
"""The file that problems with overrides name."""

SHORTHANDS: tuple[Path, ...] = (("cluster", "device"), ("network",), ("network", "intra"))
"""Sections that the name of a preset may stand for."""

INSTEAD: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("model", "batch"), ("model", "global_batch")),
    (("cluster", "workers"), ("cluster", "nodes")),
)
"""Pairs of settings of which a file has one: an override of either takes the place of the other."""

Overrides = Mapping[str, object] | Sequence[tuple[str, str]]

_HOW = "write KEY.KEY or KEY[NAME].KEY, as in network.bandwidth or strategies[ps-sync].servers"


class _WrongError(Exception):
    """Why a path leads nowhere, or a value cannot be set."""

    def __init__(self, message: str, fix: str) -> None:
        self.message = message
        self.fix = fix
        super().__init__(message)


def apply(
    overrides: Overrides, data: dict[str, Any], source: Source, blank: set[Path], option: str = OPTION
) -> list[Problem]:
    """Put *overrides* into the plain *data* of a file, in order, and note in *source* where they come from.

    Text is read as YAML; other values are taken as they are. An override of one of :data:`INSTEAD` takes the
    other out, unless that is overridden, too. Returns the problems, which name *option* as their file; an
    override with a problem changes nothing.
    """
    problems: list[Problem] = []
    given: set[Path] = set()
    for number, (path, text) in enumerate(_pairs(overrides), start=1):
        said = one_line(str(path)[:200])
        try:
            value = _value(text)
            written = locate(data, path, create=True)
        except InputError as error:
            problems += [Problem(option, number, 1, said, one.message, one.fix) for one in error.problems]
            continue
        except _WrongError as refused:
            problems.append(Problem(option, number, 1, said, refused.message, refused.fix))
            continue
        _assign(data, written, value)
        given.add(written)
        public = public_path(written)
        place = (option, number, 1)
        for length in range(1, len(public)):  # sections that the override made on its way
            if public[:length] not in source.values:
                source.override(public[:length], place)
        source.override(public, place)
        blank -= {one for one in blank if one[: len(public)] == public}
    for pair in INSTEAD:
        for mine, other in (pair, pair[::-1]):
            section = data.get(mine[0]) if {mine, other} & given == {mine} else None
            if isinstance(section, dict) and section.get(mine[1]) is not None:
                section.pop(other[1], None)
                blank.discard(other)
    return problems


def plain_data(value: object, file: str) -> Any:
    """Return a copy of a Python *value* as the plain data of a file; *file* is what problems name.

    Raises:
        InputError: it holds what no file could hold.
    """
    try:
        return _plain(value, 0)
    except _WrongError as refused:
        raise InputError([Problem(file, 0, 0, "", refused.message, refused.fix)]) from None


def as_written(overrides: Overrides) -> tuple[tuple[str, str], ...]:
    """Return *overrides* in order, with their values as text that ``--set`` reads as the same.

    >>> as_written({"network.bandwidth": "10 Gbit/s", "cluster.speed": [1, 0.5]})
    (('network.bandwidth', '10 Gbit/s'), ('cluster.speed', '[1, 0.5]'))
    """
    return tuple(
        (str(path), value if isinstance(value, str) else _flow(value)) for path, value in _pairs(overrides)
    )


def _pairs(overrides: Overrides) -> list[tuple[str, object]]:
    """Return *overrides* as (path, value) in order.

    Raises:
        InputError: they are something else.
    """
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    if not all(isinstance(one, (tuple, list)) and len(one) == 2 for one in overrides):
        said = "settings are values by path, or pairs of both"
        raise InputError([Problem(OPTION, 0, 0, "", said, "write {'network.bandwidth': '10 Gbit/s'}")])
    return [(path, value) for path, value in overrides]


def _flow(value: object) -> str:
    """Return *value* as YAML in one line, of which JSON is a part; '' for one that :func:`apply` refuses."""
    try:
        return json.dumps(_plain(value, 0), ensure_ascii=False)
    except _WrongError:
        return ""


def locate(data: dict[str, Any], path: str, *, create: bool = False) -> Path:
    """Return where the setting *path* stands in the plain *data* of a file, kinds of strategies included.

    With *create*, sections on the way are made where they are missing, and shorthands written out.

    Raises:
        InputError: the path is malformed, or names a strategy, a layer or an index that does not exist.
    """
    parts = split_path(path) if isinstance(path, str) else None
    try:
        if parts is None:
            raise _WrongError(f"{shown(path)} is not a path", _HOW)
        found = _walk(data, parts, create=False)  # first without changes, in case it fails half-way
        return _walk(data, parts, create=True) if create else found
    except _WrongError as refused:
        said = one_line(str(path)[:200])
        raise InputError([Problem(OPTION, 1, 1, said, refused.message, refused.fix)]) from None


def strategy_names(items: Any) -> list[str]:
    """Return the name of each entry of ``strategies``: the given one, else its kind, kind-2, kind-3."""
    read = [_kind_and_name(item) for item in items] if isinstance(items, list) else []
    taken = {name for _, name in read if name is not None}
    names: list[str] = []
    next_number: dict[str, int] = {}
    for kind, name in read:
        if name is None:
            name, number = kind, next_number.get(kind, 2)
            while name in taken:
                name, number = f"{kind}-{number}", number + 1
            next_number[kind] = number
            taken.add(name)
        names.append(name)
    return names


def _kind_and_name(item: Any) -> tuple[str, str | None]:
    """Return kind and given name of an entry of ``strategies``, as far as they can be told."""
    if isinstance(item, str):
        return item, None
    if isinstance(item, dict) and len(item) == 1:
        kind, options = next(iter(item.items()))
        name = options.get("name") if isinstance(options, dict) else None
        return kind, name if isinstance(name, str) else None
    return "", None


def _walk(data: Any, parts: list[tuple[str | int, bool]], *, create: bool) -> Path:
    """Return the path in *data* that *parts* name."""
    here: Any = data
    found: list[str | int] = []
    holder: Any = None
    for number, (part, selects) in enumerate(parts):
        last = number == len(parts) - 1
        if isinstance(here, list):
            if not selects:
                raise _WrongError(
                    f"{spell_path(tuple(found))} is a list", f"write {spell_path(tuple(found))}[0]"
                )
            index = _select(here, part, tuple(found))
            found.append(index)
            holder, here = here, here[index]
            if found[:-1] == ["strategies"] and not last:
                kind, here = _options_of(here, index, holder, create)
                found.append(kind)
            continue
        here = _as_mapping(here, tuple(found), holder, create)
        if selects:
            raise _WrongError(f"{spell_path(tuple(found))} is not a list", _HOW)
        key = str(part)
        found.append(key)
        holder = here
        if not last and key not in here:
            if parts[number + 1][1]:
                raise _WrongError(f"there are no {spell_path(tuple(found))}", f"set {key} as a whole")
            if create:
                here[key] = {}
        here = here.get(key) if last or key in here else {}
    return tuple(found)


def _as_mapping(here: Any, found: Path, holder: Any, create: bool) -> dict[str, Any]:
    """Return *here* as a mapping, writing out nothing and the name of a preset; refuse other values."""
    if isinstance(here, dict):
        return here
    if here is None or (isinstance(here, str) and found in SHORTHANDS):
        section = {} if here is None else {"preset": here}
        if create and found:
            holder[found[-1]] = section
        return section
    raise _WrongError(f"{spell_path(public_path(found))} is {shown(here)}, not a mapping", _HOW)


def _options_of(item: Any, index: int, items: list[Any], create: bool) -> tuple[str, dict[str, Any]]:
    """Return kind and options of an entry of ``strategies``, written out where it is short."""
    if isinstance(item, str):
        item = {item: {}}
    if not isinstance(item, dict) or len(item) != 1:
        raise _WrongError(f"strategies[{index}] is not a strategy", "set it as a whole")
    kind, options = next(iter(item.items()))
    if options is None:
        options = {}
    if not isinstance(options, dict):
        raise _WrongError(f"the options of strategies[{index}] are {shown(options)}", "set it as a whole")
    if create:
        items[index] = {kind: options}
    return kind, options


def _select(items: list[Any], part: str | int, found: Path) -> int:
    """Return the index of the entry *part*, a number or a name, of the list at *found*."""
    where = spell_path(found)
    if found == ("strategies",):
        names = strategy_names(items)
    else:
        names = [one.get("name") if isinstance(one, dict) else None for one in items]  # type: ignore[misc]
    known = [name for name in names if isinstance(name, str) and name]
    if isinstance(part, int):
        if part < len(items):
            return part
        listed = f": {', '.join(known[:20])}" if known else ""
        raise _WrongError(
            f"{where} has {len(items)} entries, none with index {part}",
            f"write 0 to {len(items) - 1}{listed}" if items else f"set {where} as a whole",
        )
    if part in names:
        return names.index(part)
    raise _WrongError(
        f"{where} has no entry called {shown(part)}",
        one_line(did_you_mean(part, known[:1000])) or "write an index",
    )


def _assign(data: Any, path: Path, value: Any) -> None:
    """Put *value* at *path*, whose containers exist."""
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def _value(given: object) -> Any:
    """Return the plain data that an override *given* means.

    Raises:
        InputError: text that is not YAML.
        _WrongError: a value that no file could hold.
    """
    if not isinstance(given, str):
        return _plain(given, 0)
    if not given.strip():
        return None
    document = read_text(given, OPTION)
    if document.flaws:
        raise InputError([Problem(OPTION, 1, 1, "", m, fix) for _, _, m, fix in document.flaws])
    return document.data


def _plain(value: Any, depth: int) -> Any:
    """Return a copy of a Python *value* as plain data."""
    if depth > DEEPEST:
        raise _WrongError(f"is nested deeper than {DEEPEST} levels", "flatten it")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        if int(value).bit_length() > 1000:
            raise _WrongError("is a huge number", "write a smaller one")
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and key for key in value):
            raise _WrongError("has a key that is not text", "use text for keys")
        return {str(key): _plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, depth + 1) for one in value]
    raise _WrongError(
        f"a value of type {type(value).__name__} is not a setting", "use text, numbers, lists and mappings"
    )
