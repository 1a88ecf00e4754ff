"""Problems gathered while a file is checked: pydantic's errors in our words, each at its place.

All problems come out at once, one for each mistake: what is already wrong is not judged again.
Start with :class:`Report`.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from simpar.errors import InputError, Problem, one_line
from simpar.scenario.fields import COMPLAINT
from simpar.scenario.later import LATER_KEYS
from simpar.scenario.options import KINDS
from simpar.scenario.source import Source
from simpar.scenario.words import Path, did_you_mean
from simpar.units import shown

MOST_PROBLEMS = 1000
"""Problems that are shown of one file."""

EXAMPLES = {
    "model": "{preset: resnet-50, batch: 64}",
    "data": "{records: 1281167}",
    "learning_rate": "0.1",
    "cluster": "{workers: 8, device: {forward: 60 ms, backward: 120 ms}}",
    "network": "{bandwidth: 25 Gbit/s, latency: 5 us}",
    "strategies": "[ps-sync, allreduce]",
    "run": "{steps: 20}",
    "validate": "{bound: 0.1}",
    "prices": "{v100: 2.48 USD/h}",
    "variation": "{compute: {kind: lognormal, mean: 1, cv: 0.1}}",
    "compute": "{kind: lognormal, mean: 1, cv: 0.1}",
    "link": "{kind: lognormal, mean: 1, cv: 0.1}",
    "stragglers": "[{worker: 3, factor: 2}]",
    "kind": "lognormal",
    "factor": "2",
    "device": "{forward: 60 ms, backward: 120 ms}",
    "server": "{update_rate: 10 GB/s}",
    "layers": "[{name: fc, parameters: 1000, forward: 1 ms, backward: 2 ms}]",
    "inputs": "[conv1]",
    "speed": "[1.0, 0.5]",
    "shape": "{layers: 24, hidden: 1024, heads: 16}",
    "sizes": "[784, 512, 10]",
    "image": "[3, 32, 32]",
    "channels": "[32, 64]",
    "name": "fc",
    "batch": "64",
    "workers": "8",
    "nodes": "2",
    "devices_per_node": "8",
    "instance": "p3.16xlarge",
    "intra": "nvlink-3",
    "topology": "{kind: tree, rack: 8, oversubscription: 4}",
    "links": "[{between: [w0, s0]}, {between: [w1, s0]}]",
    "between": "[w0, s0]",
    "bandwidth": "25 Gbit/s",
    "trigger": "{count: 4}",
    "forward": "60 ms",
    "backward": "120 ms",
}
"""A right way to write a key, for errors."""

Model = TypeVar("Model", bound=BaseModel)


class Report:
    """What is wrong with one file, so far."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self._wrong: set[Path] = set()  # paths of problems and every path above them

    def add(self, path: Path, message: str, fix: str = "", *, key: bool = False) -> None:
        """Note a problem at *path*, placed at its *key* or at its value."""
        self.problems.append(self.source.problem(path, message, fix, key=key))
        self.spoil(path)

    def spoil(self, path: Path) -> None:
        """Note that *path* is wrong, and said to be so."""
        self._wrong.update(path[:length] for length in range(1, len(path) + 1))

    def clean(self, *paths: Path) -> bool:
        """Return whether nothing at or below any of *paths* is known to be wrong."""
        return not any(path in self._wrong for path in paths)

    def check(
        self, model: type[Model], data: Any, path: Path, section: str, blank: set[Path]
    ) -> Model | None:
        """Return *data* as a *model*, or None with its problems noted; *section* names the keys to come.

        *blank* are the keys without a value; they are refused here too, even where null is allowed.
        """
        found = None
        try:
            found = model.model_validate(_frozen(data))
        except ValidationError as error:
            for one in error.errors(include_url=False):
                self._add_pydantic(one, model, path, section, blank)
        for empty in sorted((b for b in blank if b[: len(path)] == path and b != path), key=str):
            if self.clean(empty):
                self._add_blank(empty)
        return found if self.clean(path) else None

    def close(self) -> None:
        """Raise everything noted, in the order of the file; do nothing where nothing is wrong.

        Raises:
            InputError: there is at least one problem.
        """
        if not self.problems:
            return
        files = dict.fromkeys([self.source.file, *(problem.file for problem in self.problems)])
        order = {file: (file == "--set", index) for index, file in enumerate(files)}
        found = sorted(dict.fromkeys(self.problems), key=lambda p: (order[p.file], p.line, p.col))
        if len(found) > MOST_PROBLEMS:
            more = f"{len(found) - MOST_PROBLEMS} more problems are not shown"
            found = [*found[:MOST_PROBLEMS], Problem(self.source.file, 0, 0, "", more, "mend these first")]
        raise InputError(found)

    def _add_blank(self, path: Path) -> None:
        key = str(path[-1])
        fix = (
            f"write '{key}: {EXAMPLES[key]}' or remove the key"
            if key in EXAMPLES
            else "fill it in or remove it"
        )
        self.add(path, "has no value", fix, key=True)

    def _add_pydantic(
        self, error: Any, model: type[BaseModel], path: Path, section: str, blank: set[Path]
    ) -> None:
        """Note one of pydantic's errors, in our words."""
        loc = tuple(part for part in error["loc"] if not (isinstance(part, str) and part.startswith("\0")))
        if "\0tensors" in error["loc"] and loc[-1] == "[key]":
            loc = loc[:-1]  # the name of a tensor is wrong, not its value
        at = path + loc
        key = str(at[-1]) if at and isinstance(at[-1], str) else ""
        kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
        if kind == "too_short" and value:
            return  # pydantic counts the good entries only; the bad ones have their own problems
        if kind == "extra_forbidden":
            self._add_unknown(at, model, loc, section)
        elif at in blank:
            self._add_blank(at)
        elif kind == "missing":
            example = EXAMPLES.get(key)
            fix = f"write '{key}: {example}'" if example else f"add '{key}:'"
            self.add(at, f"required key {key!r} is missing", fix)
        elif value is None and kind != "missing":
            self.add(at, "is empty", _written(key) or "give it a value or remove it")
        elif kind == COMPLAINT:
            if loc and loc[-1] == "preset" and at not in self.source.values:
                at = at[:-1]  # 'device: v100' is short for 'device: {preset: v100}', and so are links
            self.add(at, context["said"], context["fix"])
        else:
            self.add(at, *_plain_words(kind, value, context, key, error["msg"]))

    def _add_unknown(self, at: Path, model: type[BaseModel], loc: Path, section: str) -> None:
        key = str(at[-1])
        inner = ".".join([section, *(part for part in loc[:-1] if isinstance(part, str))])
        if key in LATER_KEYS.get(inner, ()):
            self.add(at, f"{key!r} is not modelled by this version", "remove it", key=True)
            return
        others = [kind for kind, options in KINDS.items() if key in options.model_fields]
        if inner in KINDS and others:
            said = f"{key!r} is an option of {', '.join(others)}, not of {inner}"
            self.add(at, said, "remove it", key=True)
            return
        self.add(at, f"unknown key {shown(key)}", did_you_mean(key, _known_keys(model, loc)), key=True)


def _known_keys(model: type[BaseModel], loc: Path) -> tuple[str, ...]:
    """Return the keys of the section of *model* that *loc* is in, as a file spells them."""
    for part in loc[:-1]:
        if isinstance(part, str):
            model = next(iter(_models_in(model.model_fields[part].annotation)), model)
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that a value of type *annotation* may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _written(key: str) -> str:
    return f"write '{key}: {EXAMPLES[key]}'" if key in EXAMPLES else ""


def _plain_words(kind: str, value: Any, context: dict[str, Any], key: str, msg: str) -> tuple[str, str]:
    """Return message and fix of pydantic's error *kind*."""
    said = shown(value)
    if kind == "bool_type":
        return f"{said} is not true or false", "write true or false"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{said} is not a mapping", _written(key) or "write '{key: value, ...}'"
    if kind == "tuple_type":
        return f"{said} is not a list", _written(key) or "write '[first, second]'"
    if kind == "string_type":
        return f"{said} is not text", "put it in quotes" if isinstance(value, (int, float)) else "write text"
    if kind in ("too_short", "string_too_short"):
        return "is empty", _written(key) or "give it a value or remove it"
    if kind in ("too_long", "string_too_long"):
        return f"is longer than {context.get('max_length')}", "shorten it"
    return one_line(f"{said}: {msg}"), ""


def _frozen(data: Any) -> Any:
    """Return a copy of *data* with tuples for lists, as strict pydantic wants them."""
    if isinstance(data, dict):
        return {key: _frozen(value) for key, value in data.items()}
    if isinstance(data, list):
        return tuple(_frozen(value) for value in data)
    return data
