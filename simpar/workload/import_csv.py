"""Reads a table of measured layers, comma-separated, one line a layer in the order of the forward pass::

    name,forward_s,backward_s,param_bytes,activation_bytes,kind,inputs
    conv1,0.0012,0.0025,37632,205520896,conv,
    left,0.0008,0.0017,147456,51380224,conv,conv1
    sum,0.0001,0.0001,0,51380224,add,conv1;left

Times, in seconds, and activations are those of one batch; ``kind`` and ``inputs`` may be left out. Inputs
are names of earlier layers with semicolons between them; an empty cell means the layer before, ``data``
means the data. Columns may stand in any order.

Start with :func:`read`; :func:`dump` writes the result as a profile that scenarios name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from simpar.workload.csv_cells import MOST_CELLS, Cell, rows
from simpar.workload.import_file import Problems, read_text
from simpar.workload.layers import DTYPE_BYTES
from simpar.workload.profile_text import LayerText, profile_text

REQUIRED = ("name", "forward_s", "backward_s", "param_bytes", "activation_bytes")
"""Columns that no table may leave out."""

OPTIONAL = ("kind", "inputs")
"""Columns that it may."""

MOST_LAYERS = 20_000
"""Layers that a profile may have."""

_TIMES = ("forward_s", "backward_s")
_LEAST_S = Decimal("1e-12")  # a picosecond: no scenario takes less, but zero
_LIMITS = {
    "forward_s": Decimal(10) ** 9,
    "backward_s": Decimal(10) ** 9,
    "param_bytes": Decimal(10) ** 15,
    "activation_bytes": Decimal(10) ** 21,
}
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_LONGEST = 60  # characters of a number
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class CsvLayer:
    """One line of the table."""

    name: str
    """Unique in the model."""

    kind: str
    """What it computes."""

    forward_s: float
    """Seconds of one batch, forward."""

    backward_s: float
    """Seconds of one batch, backward."""

    parameters: int
    """Number of its parameters."""

    activation_bytes: int
    """Bytes of its output for one batch."""

    inputs: tuple[str, ...]
    """Layers that it reads; empty where it reads the data."""


@dataclass(frozen=True, slots=True)
class CsvProfile:
    """A measured model."""

    name: str
    """What it is called."""

    batch: int
    """Samples in the measured batch."""

    dtype: str
    """Element type of its parameters and activations."""

    source: str
    """Where the figures come from."""

    layers: tuple[CsvLayer, ...]
    """In the order of the table."""


def read(
    path: str | os.PathLike[str], batch: int, *, dtype: str = "float32", name: str | None = None
) -> CsvProfile:
    """Return the profile in a table.

    Args:
        path: the table.
        batch: samples in the measured batch.
        dtype: element type, which turns bytes into numbers of parameters.
        name: what to call the model; without it, the file's name up to its first dot.

    Raises:
        InputError: the file cannot be read, or anything in it is wrong. Lists all problems.
    """
    problems = Problems(os.fspath(path))
    table = _Table(read_text(path, problems, "a CSV file"), DTYPE_BYTES[dtype], problems)
    stem = Path(path).name
    name = (stem.partition(".")[0] or stem) if name is None else name
    layers = table.layers()
    if not _is_name(name):
        problems.option("--name", f"{name[:60]!r} cannot be a name", "give 1 to 200 printable characters")
    problems.raise_if_any()
    return CsvProfile(name, batch, dtype, f"imported from {stem}", layers)


def dump(profile: CsvProfile) -> str:
    """Return the text of a profile file."""
    return profile_text(
        (
            f"What does each layer of {profile.name} cost? Measured.",
            f"Times and activations are those of one batch of {profile.batch}.",
        ),
        {
            "name": profile.name,
            "unit": "samples",
            "batch": profile.batch,
            "dtype": profile.dtype,
            "source": profile.source,
        },
        (
            LayerText(
                name=layer.name,
                kind=layer.kind,
                costs={"forward": f"{layer.forward_s!r} s", "backward": f"{layer.backward_s!r} s"},
                activation=f"{layer.activation_bytes} B",
                tensors=(("weight", layer.parameters),) if layer.parameters else (),
                inputs=layer.inputs,
            )
            for layer in profile.layers
        ),
    )


class _Table:
    """One table on its way to layers."""

    def __init__(self, text: str, element_bytes: int, problems: Problems) -> None:
        self._rows = rows(text)
        self._element_bytes = element_bytes
        self._problems = problems
        self._named: dict[str, int] = {}  # row by name, in order

    def layers(self) -> tuple[CsvLayer, ...]:
        """Return the layers of the rows that are right; the others become problems."""
        header = next(self._rows, None)
        if header is None:
            self._problems.stop("has no columns", f"write a header: {','.join(REQUIRED)}")
        columns = self._columns(header)
        self._problems.raise_if_any()  # without its columns, the rest of the table means nothing
        layers: list[CsvLayer] = []
        number = 0
        for number, row in enumerate(self._rows, start=1):
            if number > MOST_LAYERS:
                self._problems.add(row[0].place, "", f"more than {MOST_LAYERS} layers", "join some")
                break
            if (layer := self._layer(number, row, columns)) is not None:
                layers.append(layer)
        if number == 0:
            self._problems.stop("has a header and no layers", "write one line a layer below it")
        if not self._problems and not any(layer.forward_s or layer.backward_s for layer in layers):
            self._problems.stop("no layer takes any time", "write seconds above 0")
        return tuple(layers)

    def _columns(self, header: list[Cell]) -> list[str]:
        """Return the names in *header*, lower case."""
        for sign, word in ((";", "semicolons"), ("\t", "tabs")):
            if len(header) == 1 and sign in header[0].text:
                said = f"{word} separate the columns"
                self._problems.add(
                    header[0].place, "", said, "save it with commas, and a point before decimals"
                )
                return []
        names = [cell.text.lower() for cell in header]
        known = ", ".join((*REQUIRED, *OPTIONAL))
        for i, cell in enumerate(header):
            if names[i] not in REQUIRED + OPTIONAL:
                said = f"unknown column {_short(cell.text)}" if cell.text else "a column has no name"
                self._problems.add(cell.place, "header", said, f"columns are {known}")
            elif names[i] in names[:i]:
                self._problems.add(
                    cell.place, "header", f"column {names[i]!r} is there twice", "keep one of them"
                )
        for name in REQUIRED:
            if name not in names:
                self._problems.add(header[0].place, "header", f"column {name!r} is missing", "add it")
        return names

    def _layer(self, number: int, row: list[Cell], columns: list[str]) -> CsvLayer | None:
        """Return the layer in *row*, None where it is wrong."""
        where = f"row {number}"
        for cell in row:
            if cell.broken:
                self._problems.add(cell.place, where, "a quote is not closed", 'write "" for a quote inside')
                return None
        if len(row) != len(columns):
            many = "more than " if len(row) == MOST_CELLS else ""
            said = f"{many}{len(row)} cells stand under {len(columns)} columns"
            fix = (
                "put commas inside a cell between quotes" if len(row) > len(columns) else "fill every column"
            )
            self._problems.add(row[0].place, where, said, fix)
            return None
        cells = dict(zip(columns, row, strict=True))
        name = cells["name"].text
        if _is_name(name):
            where += f" ({name})"
        figures = {key: self._figure(f"{where}, {key}", key, cells[key]) for key in _LIMITS}
        kind = self._kind(f"{where}, kind", cells.get("kind"))
        inputs = self._inputs(f"{where}, inputs", cells.get("inputs"))
        good = self._new_name(number, cells["name"])
        whole = figures["param_bytes"]
        if whole is not None and whole % self._element_bytes:
            said = f"{whole} bytes are no whole number of elements of {self._element_bytes} bytes"
            self._problems.add(cells["param_bytes"].place, f"{where}, param_bytes", said, "check --dtype")
            good = False
        if not good or kind is None or inputs is None or None in figures.values():
            return None
        value = {key: figure for key, figure in figures.items() if figure is not None}
        return CsvLayer(
            name=name,
            kind=kind,
            forward_s=float(value["forward_s"]),
            backward_s=float(value["backward_s"]),
            parameters=int(value["param_bytes"]) // self._element_bytes,
            activation_bytes=int(value["activation_bytes"]),
            inputs=inputs,
        )

    def _new_name(self, number: int, cell: Cell) -> bool:
        """Note the name in *cell*; return whether it can be one, and is new."""
        where = f"row {number}, name"
        if not _is_name(cell.text):
            said = f"{_short(cell.text)} cannot be a name" if cell.text else "is empty"
            self._problems.add(cell.place, where, said, "write 1 to 200 printable characters")
            return False
        if cell.text in self._named:
            said = f"{_short(cell.text)} is the name of row {self._named[cell.text]}, too"
            self._problems.add(cell.place, where, said, "give each layer a name of its own")
            return False
        self._named[cell.text] = number
        return True

    def _figure(self, where: str, key: str, cell: Cell) -> Decimal | None:
        """Return the number in *cell*, None after a problem."""
        text = cell.text
        example = "write seconds like 0.0012" if key in _TIMES else "write whole bytes like 37632"
        if not text:
            self._problems.add(cell.place, where, "is empty", f"{example}, or 0")
            return None
        if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
            fix = f"{example}, with a point" if re.fullmatch("[0-9]+,[0-9]+", text) else example
            self._problems.add(cell.place, where, f"{_short(text)} is not a number", fix)
            return None
        value = Decimal(text)
        if value < 0:
            self._problems.add(cell.place, where, f"{_short(text)} is negative", example)
        elif value > _LIMITS[key]:
            self._problems.add(
                cell.place, where, f"{_short(text)} is not possible", f"write at most {_LIMITS[key]:.0e}"
            )
        elif key in _TIMES and 0 < value < _LEAST_S:
            said = f"{_short(text)} is less than a picosecond"
            self._problems.add(cell.place, where, said, "write 0, or seconds that matter")
        elif key not in _TIMES and value % 1:
            self._problems.add(cell.place, where, f"{_short(text)} is no whole number of bytes", example)
        else:
            return value.copy_abs()
        return None

    def _kind(self, where: str, cell: Cell | None) -> str | None:
        if cell is None or not cell.text:
            return "layer"
        if _is_name(cell.text):
            return cell.text
        self._problems.add(
            cell.place, where, f"{_short(cell.text)} cannot be a kind", "write a word like conv"
        )
        return None

    def _inputs(self, where: str, cell: Cell | None) -> tuple[str, ...] | None:
        """Return the earlier layers that *cell* names, None after a problem."""
        if cell is None or not cell.text:
            return (next(reversed(self._named)),) if self._named else ()
        if cell.text == "data" and "data" not in self._named:
            return ()
        names = [name.strip() for name in cell.text.split(";")]
        good = True
        seen: set[str] = set()
        for name in names:
            if name not in self._named:
                said = f"{_short(name)} is not an earlier layer" if name else "a name is empty"
                fix = "name layers above this one, with semicolons between them, or data"
                self._problems.add(cell.place, where, said, fix)
                good = False
            elif name in seen:
                self._problems.add(cell.place, where, f"{_short(name)} is there twice", "remove one of them")
                good = False
            seen.add(name)
        return tuple(names) if good else None


def _is_name(text: str) -> bool:
    return 1 <= len(text) <= _LONGEST_NAME and text.isprintable()


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
