"""Finished runs kept in one SQLite file, found again by their content.

A run's *key* is the SHA-256 of everything that its figures depend on: simpar's own source, the version of
NumPy that draws its random numbers, the scenario as written after all overrides, and the contents of the
files that it names. So nothing is ever stale, and two files that say the same share their runs.

A run is committed when it is done. The file is a rollback-journal database: after ``kill -9`` it holds every
run that was committed, and several processes may use it at once. Where it cannot be written to (a read-only
folder, a full disk) what it holds is still read, :attr:`Store.trouble` says why, and the study goes on.

Start with :meth:`Store.open`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import simpar
from simpar.errors import InputError, Problem, one_line
from simpar.scenario import Scenario
from simpar.scenario.loading import named_files, rewritten

OPTION = "--store"
"""What problems with a store name."""

APPLICATION_ID = 0x53494D50
"""``SIMP``: what tells a store from other SQLite files."""

FORMAT = 1
"""Version of the file's layout."""

BUSY_S = 30.0
"""Seconds to wait for another process that is writing."""

_TABLE = "CREATE TABLE IF NOT EXISTS runs (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"


def default_path() -> Path:
    """Return the store of this user: in ``$XDG_CACHE_HOME``, else in ``~/.cache``.

    Raises:
        InputError: there is no home.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    except RuntimeError:
        raise _wrong("nobody knows where your home is", "name a file") from None
    return folder / "simpar" / "whatif.sqlite"


class Store:
    """A file of finished runs."""

    def __init__(self, path: Path, connection: sqlite3.Connection, trouble: str) -> None:
        self.path = path
        self.trouble = trouble
        """Why nothing more is kept; empty where all is well."""
        self.kept = 0
        """Runs that this object has added."""
        self._connection = connection

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Return the store at *path*, made if it is not there yet.

        Raises:
            InputError: it is something else, of another version, or can neither be read nor made.
        """
        file = Path(path)
        if file.is_dir():
            raise _wrong(f"{file} is a folder", f"name a file in it, like {file / 'whatif.sqlite'}")
        if not file.parent.is_dir():
            raise _wrong(f"the folder {file.parent} does not exist", "make it, or name a file elsewhere")
        exists = file.exists() and file.stat().st_size > 0
        writable = os.access(file if exists else file.parent, os.W_OK) and os.access(file.parent, os.W_OK)
        if not exists and not writable:
            raise _wrong(f"{file} cannot be written", "name a file in another folder, or --no-cache")
        mode = "rwc" if writable else "ro"
        try:
            uri = f"{file.absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
            try:
                _check(connection, file, exists)
                if not exists:
                    _make(connection, file)
            except BaseException:
                connection.close()
                raise
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise _wrong(f"{file}: {error}", "name another file, or --no-cache") from None
            raise _not_a_store(file) from None
        return cls(file, connection, "" if writable else f"{file} is write-protected")

    def close(self) -> None:
        """Close the file; what is kept stays."""
        self._connection.close()

    def get(self, key: bytes) -> dict[str, Any] | None:
        """Return what is kept for *key*; None where nothing is, or nothing that can be read."""
        try:
            row = self._connection.execute("SELECT value FROM runs WHERE key = ?", (key,)).fetchone()
            value = None if row is None else json.loads(zlib.decompress(row[0]))
        except (sqlite3.Error, zlib.error, ValueError, TypeError):
            return None
        return value if isinstance(value, dict) else None

    def put(self, key: bytes, value: Mapping[str, Any]) -> None:
        """Keep *value* for *key*, for good when this returns; do nothing where the file takes no more."""
        if self.trouble:
            return
        packed = zlib.compress(json.dumps(value, allow_nan=False, separators=(",", ":")).encode(), 6)
        try:
            # Not OR IGNORE: what cannot be read is made anew. Equal keys have equal values.
            self._connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (key, packed))
            self.kept += 1
        except sqlite3.Error as error:
            self.trouble = f"{self.path}: {error}"


def _check(connection: sqlite3.Connection, file: Path, exists: bool) -> None:
    """Refuse what is no store of this format."""
    if not exists:
        return
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (
        mark == 0
        and version == 0
        and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    ):
        _make(connection, file)  # another process is about to, or was killed just before
        return
    if mark != APPLICATION_ID:
        raise _not_a_store(file)
    if version != FORMAT:
        said = f"{file} has format {version}, and this simpar reads format {FORMAT}"
        raise _wrong(said, "name another file, or remove this one")


def _make(connection: sqlite3.Connection, file: Path) -> None:
    """Lay out an empty file: all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_TABLE)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")


def _wrong(message: str, fix: str) -> InputError:
    return InputError([Problem("", 0, 0, OPTION, one_line(message), fix)])


def _not_a_store(file: Path) -> InputError:
    return _wrong(f"{file} is not a store of simpar", "name another file")


# -- keys ------------------------------------------------------------------------------------------


@functools.cache
def source_digest() -> str:
    """Return the SHA-256 of simpar's own files, by name and content."""
    folder = Path(simpar.__file__).parent
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            content = file.read_bytes()
            found.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
            found.update(content)
    return found.hexdigest()


def keys(scenario: Scenario, settings: Sequence[Mapping[str, Any]]) -> list[bytes | None]:
    """Return the key of *scenario* with each of *settings*; None where these, or a file, cannot be read."""
    import numpy

    files: dict[str, str | None] = {}

    def content(name: str) -> str | None:
        if name not in files:
            files[name] = _file_digest(os.path.join(os.path.dirname(os.fspath(scenario.written.path)), name))
        return files[name]

    found: list[bytes | None] = []
    for changes in settings:
        try:
            data = rewritten(scenario, changes)
        except InputError:
            found.append(None)
            continue
        read = {name: content(name) for name in named_files(data)}
        whole = {
            "simpar": source_digest(),
            "version": simpar.__version__,
            "numpy": numpy.__version__,
            "called": Path(os.fspath(scenario.written.path)).stem,
            "scenario": data,
            "files": read,
        }
        if None in read.values():
            found.append(None)
            continue
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
        found.append(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return found


def _file_digest(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None
