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

FORMAT = 2
"""Version of the file's layout."""

MOST_BYTES = 500_000_000
"""Size that the store of a user is cut to before a study; one study may make it larger until the next."""

BUSY_S = 30.0
"""Seconds to wait for another process that is writing."""

_SEAL = 16
"""Bytes before each value that tell whether it is as it was put."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS runs "
    "(number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, simpar BLOB NOT NULL, value BLOB NOT NULL)"
)
"""Numbers rise as runs are put; ``simpar`` is the digest of the source that made the run."""

_SIZE = """
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""

_REMOVE = """
DELETE FROM runs WHERE number IN (
    SELECT number FROM (
        SELECT number, sum(length(value)) OVER (ORDER BY simpar = :mine, number) - length(value) AS gone
        FROM runs
    ) WHERE gone < :excess
)
"""
"""Of other versions first, the oldest first, until what is removed is the excess."""


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
        self.lost = 0
        """Runs that it could not add."""
        self._connection = connection

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, renew: bool = False) -> Store:
        """Return the store at *path*, made if it is not there yet.

        Args:
            renew: make it anew where it is a store of an older format, none of whose runs can be found again.

        Raises:
            InputError: it is something else, of another version, or can neither be read nor made.
        """
        file = Path(path)
        existed = _check_file(file)
        filled = existed and file.stat().st_size > 0
        writable = os.access(file.parent, os.W_OK) and (not existed or os.access(file, os.W_OK))
        if not filled and not writable:
            raise _wrong(f"{file} cannot be written", "name a file in another folder, or --no-cache")
        uri = f"{file.absolute().as_uri()}?mode={'rwc' if writable else 'ro'}"
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
            try:
                _check(connection, file, filled, renew and writable)
            except BaseException:
                connection.close()
                raise
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL and not existed:
                file.unlink(missing_ok=True)
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise _not_a_store(file) from None
            if error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR):
                raise _wrong(f"{file} is damaged: {error}", "name another file, or remove this one") from None
            raise _wrong(f"{file}: {error}", "name another file, or --no-cache") from None
        return cls(file, connection, "" if writable else f"{file} is write-protected")

    def close(self) -> None:
        """Close the file; what is kept stays."""
        self._connection.close()

    def find(self, keys: Sequence[bytes | None]) -> dict[int, bytes]:
        """Return what is kept for each of *keys*, by its place; without those damaged, or not there."""
        found: dict[int, bytes] = {}
        try:
            self._connection.execute("BEGIN")  # one lock, not one for each of thousands
            for number, key in enumerate(keys):
                if key is None:
                    continue
                row = self._connection.execute("SELECT value FROM runs WHERE key = ?", (key,)).fetchone()
                if row is not None and (value := _unsealed(key, row[0])) is not None:
                    found[number] = value
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.trouble = self.trouble or f"{self.path}: {error}"
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return found

    def put(self, key: bytes, value: bytes) -> None:
        """Keep *value* for *key*, for good when this returns; do nothing where the file takes no more."""
        if self.trouble:
            self.lost += 1
            return
        self.kept += 1  # before it is: Ctrl-C comes while the disk is busy
        try:
            # Not OR IGNORE: what cannot be read is made anew. Equal keys have equal values.
            self._connection.execute(
                "INSERT OR REPLACE INTO runs (key, simpar, value) VALUES (?, ?, ?)",
                (key, bytes.fromhex(source_digest()), _seal(key, value) + value),
            )
        except sqlite3.Error as error:
            self.trouble = f"{self.path}: {error}"
            self.kept, self.lost = self.kept - 1, self.lost + 1

    def shrink(self, most_bytes: int = MOST_BYTES) -> None:
        """Remove what is more than *most_bytes*: runs of other versions of simpar first, the oldest first."""
        if self.trouble:
            return
        try:
            (size,) = self._connection.execute(_SIZE).fetchone()
            if size <= most_bytes:
                return
            given = {"mine": bytes.fromhex(source_digest()), "excess": size - most_bytes}
            self._connection.execute(_REMOVE, given)
            # The space goes back at once: as a script, for what has no columns is stepped through only there.
            self._connection.executescript("PRAGMA incremental_vacuum")
        except sqlite3.Error as error:
            self.trouble = f"{self.path}: {error}"


def _seal(key: bytes, value: bytes) -> bytes:
    """Return what tells whether *value* is as it was put, and for this *key*."""
    return hashlib.blake2b(value, key=key, digest_size=_SEAL).digest()


def _unsealed(key: bytes, row: object) -> bytes | None:
    """Return the value in a *row*; None where it is damaged."""
    if not isinstance(row, bytes) or row[:_SEAL] != _seal(key, row[_SEAL:]):
        return None
    return row[_SEAL:]


def _check_file(file: Path) -> bool:
    """Return whether *file* is there; refuse what can be no store, whatever is in it."""
    try:
        if file.is_dir():
            raise _wrong(f"{file} is a folder", f"name a file in it, like {file / 'whatif.sqlite'}")
        if not file.parent.is_dir():
            raise _wrong(f"the folder {file.parent} does not exist", "make it, or name a file elsewhere")
        if not file.exists():
            return False
        if not file.is_file():
            raise _wrong(f"{file} is not an ordinary file", "name another file")
        if not os.access(file, os.R_OK):
            raise _wrong(f"{file} may not be read", "name another file, or --no-cache")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a usable file name"
        raise _wrong(f"{file}: {reason}", "name another file, or --no-cache") from None
    return True


def _check(connection: sqlite3.Connection, file: Path, filled: bool, renew: bool) -> None:
    """Lay out what is empty; refuse what is no store of this format, or of an older one *renew* it."""
    if not filled:
        _make(connection)
        return
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if mark == 0 and version == 0 and tables == (0,):
        _make(connection)  # another process is about to, or was killed just before
        return
    if mark != APPLICATION_ID:
        raise _not_a_store(file)
    if version < FORMAT and renew:
        _make(connection)
        return
    if version != FORMAT:
        said = f"{file} has format {version}, and this simpar reads format {FORMAT}"
        raise _wrong(said, "name another file, or remove this one")
    connection.execute("SELECT key, simpar, value FROM runs LIMIT 1").fetchone()


def _make(connection: sqlite3.Connection) -> None:
    """Lay out an empty file, or one of an older format: all of it or nothing."""
    connection.execute(
        "PRAGMA auto_vacuum = INCREMENTAL"
    )  # of an empty file only: it cannot be changed later
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone() != (FORMAT,):
        connection.execute("DROP TABLE IF EXISTS runs")
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
    """Return the SHA-256 of simpar's own files, by name and content, without what is compiled from them."""
    folder = Path(simpar.__file__).parent
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.relative_to(folder).parts:
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

    common = {
        "simpar": source_digest(),
        "version": simpar.__version__,
        "numpy": numpy.__version__,
        "called": Path(os.fspath(scenario.written.path)).stem,
    }

    def key(changes: Mapping[str, Any]) -> bytes | None:
        try:
            data = rewritten(scenario, changes)
        except InputError:
            return None
        read = {name: content(name) for name in named_files(data)}
        if None in read.values():
            return None
        text = json.dumps({**common, "scenario": data, "files": read}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    return [key(changes) for changes in settings]


def _file_digest(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None
