"""YAML text read into plain data, with the line and column of every key and value.

Scalars follow the YAML 1.2 core schema: ``yes`` is text, ``012`` is twelve, a date is text. What a
scenario has no use for is refused rather than obeyed: anchors, aliases, tags, merge keys,
directives, several documents, deep nesting. Tokens are looked at before anything is built, so
hostile text costs neither memory nor recursion.

Start with :func:`read_file`; :func:`read_text` does the same for text that is already here.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from simpar.errors import InputError, Problem, one_line
from simpar.scenario.words import Path, nearest
from simpar.units import shown

LARGEST_BYTES = 10_000_000
"""Largest file that is read."""

DEEPEST = 40
"""Levels of nesting that are followed."""

MOST_TOKENS = 1_500_000
"""Tokens that are looked at; 20,000 layers with every field take fewer than a million."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_NUMBER = 400  # digits; a longer one stays text, and no setting takes it

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN = {".nan", ".NaN", ".NAN"}

_Tokens = Iterator[Any]


@dataclass(slots=True)
class Document:
    """What a YAML text says, and where it says it."""

    file: str
    """Name for problems."""

    data: Any = None
    """Mappings, lists and scalars."""

    text: str = ""
    """The text itself."""

    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Line and column of each value, from 1."""

    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Line and column of the key of each value that has one."""

    blank: set[Path] = field(default_factory=set)
    """Keys with nothing at all behind them."""

    flaws: list[tuple[Path, tuple[int, int], str, str]] = field(default_factory=list)
    """Path, place, message and fix of what is wrong but left the rest readable, as a key given twice."""


def read_file(path: str | os.PathLike[str], shown_as: str | None = None) -> Document:
    """Read the YAML file at *path*; problems name it *shown_as*, by default as it was given.

    Raises:
        InputError: the file cannot be read, is too large, is not UTF-8 text, or is not YAML that
            a scenario may use.
    """
    name = one_line(shown_as if shown_as is not None else os.fspath(path))
    try:
        if _is_stream(path):
            raise _refused(name, "is a pipe or a device, not a file", "name a YAML file")
        with open(path, "rb") as stream:
            raw = stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise _refused(name, "no such file", _file_near(os.fspath(path))) from None
    except IsADirectoryError:
        raise _refused(name, "is a folder, not a file", "name a YAML file in it") from None
    except PermissionError:
        raise _refused(name, "may not be read", "check who may read the file") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a usable file name"
        raise _refused(name, f"cannot be read: {one_line(reason)}", "name a YAML file") from None
    if len(raw) > LARGEST_BYTES:
        raise _refused(name, "is larger than 10 MB", "split it, or keep measurements elsewhere")
    if b"\0" in raw:
        raise _refused(name, "is binary, not text", "write YAML in UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(name, "is not UTF-8 text", "save it as UTF-8") from None
    return read_text(text, name)


def _is_stream(path: str | os.PathLike[str]) -> bool:
    """Say whether reading *path* may never end: a named pipe, a device, a socket."""
    mode = os.stat(path).st_mode
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def read_text(text: str, name: str) -> Document:
    """Read YAML *text*, called *name* in problems.

    Raises:
        InputError: it is empty, or not YAML that a scenario may use.
    """
    text = text.removeprefix("\ufeff")
    odd = _UNREADABLE.search(text)
    if odd:
        line, col = _place_of(text, odd.start())
        raise InputError(
            [Problem(name, line, col, "", f"{shown(odd[0])} is not a printable character", "remove it")]
        )
    try:
        _refuse_unused(text, name)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise InputError([_syntax_problem(error, name)]) from None
    except yaml.reader.ReaderError as error:
        line, col = _place_of(text, min(int(error.position), len(text)))
        raise InputError(
            [Problem(name, line, col, "", one_line(f"not YAML: {error.reason}"), "remove it")]
        ) from None
    except (yaml.YAMLError, RecursionError, UnicodeError, ValueError, OverflowError):
        raise _refused(name, "not YAML", "write 'key: value' lines") from None
    if root is None:
        raise _refused(name, "is empty", "write 'key: value' lines")
    document = Document(name, text=text)
    document.data = _build(root, (), document)
    return document


def scalar(text: str) -> Any:
    """Return what the unquoted scalar *text* means under the YAML 1.2 core schema.

    >>> scalar("012"), scalar("yes"), scalar("1e3"), scalar("~")
    (12, 'yes', 1000.0, None)
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) > _LONGEST_NUMBER or text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INF.fullmatch(text):
        return float("-inf") if text[0] == "-" else float("inf")
    return float("nan") if text in _NAN else text


def _refused(name: str, message: str, fix: str) -> InputError:
    return InputError([Problem(name, 1, 1, "", message, fix)])


def _file_near(path: str) -> str:
    """Return the way out for a missing file: a name in the same folder that looks like it."""
    folder, wanted = os.path.split(path)
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry, _ in zip(entries, range(1000), strict=False)]
    except (OSError, ValueError):
        return "check the name and the folder"
    near = nearest(wanted, sorted(one for one in names if one.endswith((".yaml", ".yml"))))
    return f"did you mean {shown(near)}?" if near else "check the name and the folder"


def _place_of(text: str, index: int) -> tuple[int, int]:
    """Return line and column of the character at *index*, as YAML counts lines."""
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text[:index])
    return len(lines), len(lines[-1]) + 1


def _syntax_problem(error: yaml.MarkedYAMLError, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and "quoted scalar" in (error.context or ""):
        mark = error.context_mark  # where the quote opens, not the end of the file
    line, col = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    said = ", ".join(part for part in (error.context, error.problem) if part) or "cannot be read"
    fixes = {
        "character '\\t'": "indent with spaces, not tabs",
        "found character that cannot start any token": "put the value in quotes; indent with spaces",
        "mapping values are not allowed": "quote a value that contains ': ', or check the indentation",
        "expected <block end>": "check the indentation",
        "did not find expected key": "check the indentation and the quotes above",
        "could not find expected ':'": "write 'key: value', with a space after the colon",
        "did not find expected ',' or": "close the bracket, and put a comma between items",
        "found unexpected end of stream": "close the quote",
    }
    fix = next((fix for part, fix in fixes.items() if part in said), "check indentation, quotes and brackets")
    return Problem(name, line, col, "", one_line(f"not YAML: {said}"), fix)


def _refuse_unused(text: str, name: str) -> None:
    """Look at the tokens of *text* and refuse, all at once, what a scenario has no use for.

    Raises:
        InputError: anchors, aliases, tags, merge keys, directives, a second document, deep nesting.
    """
    problems: list[Problem] = []

    def refuse(token: Any, message: str, fix: str) -> None:
        mark = token.start_mark
        problems.append(Problem(name, mark.line + 1, mark.column + 1, "", message, fix))

    depth = count = 0
    started = ended = key = False
    try:
        for token in yaml.scan(text, Loader=_LOADER):
            count += 1
            if count > MOST_TOKENS:
                refuse(token, "has too many values", "keep measurements out of the scenario")
                break
            if isinstance(token, (yaml.StreamStartToken, yaml.StreamEndToken)):
                continue
            if isinstance(token, yaml.DirectiveToken):
                refuse(token, "directives are not used here", "remove the line that starts with '%'")
            elif isinstance(token, yaml.DocumentStartToken):
                if started:
                    refuse(token, "a second document starts here", "keep one document in a file")
                    break
                started = True
            elif isinstance(token, yaml.DocumentEndToken):
                ended = True
            elif ended:
                refuse(token, "a second document starts here", "keep one document in a file")
                break
            else:
                started = True
            if isinstance(token, yaml.AnchorToken):
                refuse(token, f"anchors are not used here: {shown('&' + token.value)}", "remove it")
            elif isinstance(token, yaml.AliasToken):
                refuse(token, f"aliases are not used here: {shown('*' + token.value)}", "write the value out")
            elif isinstance(token, yaml.TagToken):
                tag = "".join(part for part in token.value if part)
                refuse(token, f"tags are not used here: {shown(tag)}", "remove it")
            elif isinstance(token, yaml.ScalarToken) and key and token.plain and token.value == "<<":
                refuse(token, "merge keys are not used here: '<<'", "write the keys out")
            elif isinstance(token, _OPENING):
                depth += 1
                if depth > DEEPEST:
                    refuse(token, f"is nested deeper than {DEEPEST} levels", "close a bracket")
                    break
            elif isinstance(token, _CLOSING):
                depth -= 1
            key = isinstance(token, yaml.KeyToken)
    except yaml.MarkedYAMLError as error:
        # Some builds of libyaml count levels themselves, and stop before the first bracket becomes a token.
        if "nesting depth" in str(error.problem):
            deep = _syntax_problem(error, name)
            message = f"is nested deeper than {DEEPEST} levels"
            problems.append(Problem(name, deep.line, deep.col, "", message, "close a bracket"))
        else:
            problems.append(_syntax_problem(error, name))
    if problems:
        raise InputError(problems[:100])


_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def _build(node: Node, path: Path, document: Document) -> Any:
    """Return the plain data of *node* and note where everything in it stands."""
    document.values[path] = _start(node)
    if isinstance(node, SequenceNode):
        return [_build(one, (*path, index), document) for index, one in enumerate(node.value)]
    if isinstance(node, MappingNode):
        return _build_mapping(node, path, document)
    assert isinstance(node, ScalarNode), node
    if node.style:  # quoted or a block: always text
        return node.value
    if node.value == "":
        document.blank.add(path)
    return scalar(node.value)


def _build_mapping(node: MappingNode, path: Path, document: Document) -> dict[str, Any]:
    data: dict[str, Any] = {}

    def refuse(at: Node, where: Path, message: str, fix: str) -> None:
        document.flaws.append((where, _start(at), message, fix))

    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            refuse(key, path, "a key must be a word, not a mapping or a list", "write 'key: value'")
        elif key.value == "":
            refuse(key, path, "a key is missing before ':'", "write 'key: value'")
        elif key.value in data:
            here = (*path, key.value)
            first = document.keys[here][0]
            refuse(key, here, f"{shown(key.value)} is given twice, first on line {first}", "keep one of them")
        else:
            document.keys[(*path, key.value)] = _start(key)
            data[key.value] = _build(value, (*path, key.value), document)
    return data


def _start(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
