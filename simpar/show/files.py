"""Writing what a person asked for: all of it or nothing, and refused before the work, not after.

Start with :func:`check_writable` before anything is simulated, then :func:`write_atomically`.
"""

from __future__ import annotations

import os
import secrets
import shlex
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from simpar.errors import Problem


def check_writable(path: str | os.PathLike[str], endings: Sequence[str], what: str) -> Problem | None:
    """Return what would keep *path* from being written, or None; nothing is written.

    Args:
        path: the file as the user gave it.
        endings: the endings that are known, ``('.svg', '.png')``; any where there are none. Upper
            and lower case are the same.
        what: the option that names the file, ``--plot``; it is the problem's path.
    """
    name = os.fspath(path)
    ending = _ending(endings)

    def problem(message: str, fix: str) -> Problem:
        return Problem("", 0, 0, what, message, fix)

    if not name:
        return problem("the name of the file is empty", f"write {ending}" if ending else "write a name")
    try:
        mode: int | None = os.stat(name).st_mode
    except (OSError, ValueError):
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        inside = os.path.join(name, f"simpar{endings[0]}" if endings else "FILE")
        return problem(f"{name} is a folder", f"name a file in it, like {inside}")
    if endings and not name.lower().endswith(tuple(known.lower() for known in endings)):
        return problem(f"{name} has no ending that says what to write", f"write {ending}")
    if mode is not None and not stat.S_ISREG(mode):
        return problem(f"{name} is not an ordinary file", "name another")
    if mode is not None and not os.access(name, os.W_OK):
        return problem(f"{name} is write-protected", f"name another, or: chmod u+w {shlex.quote(name)}")
    return _folder(os.path.dirname(os.path.realpath(name)), os.path.dirname(name) or ".", problem)


def _folder(real: str, said: str, problem: Callable[[str, str], Problem]) -> Problem | None:
    if not os.path.lexists(real):
        return problem(f"the folder {said} does not exist", f"make it: mkdir -p {shlex.quote(said)}")
    if not os.path.isdir(real):
        return problem(f"{said} is not a folder", "name another")
    if not os.access(real, os.W_OK | os.X_OK):
        return problem(f"the folder {said} cannot be written to", "name a file in another")
    return None


def _ending(endings: Sequence[str]) -> str:
    """Return what a name may end in, as a fix says it."""
    if not endings:
        return ""
    *others, last = (f"FILE{known}" for known in endings)
    return f"{', '.join(others)} or {last}" if others else last


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write *data* to *path*: whoever looks sees the old file or the new one, never a part.

    A link is followed; the file that it leads to is replaced.

    Raises:
        OSError: the folder does not exist, is full or cannot be written to; nothing is left behind, and
            ``filename`` is *path*.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".simpar-{secrets.token_hex(6)}.part")
    try:
        # Not tempfile: its files are nobody else's to read, and the new one is to be like any other.
        with open(part, "xb") as file:
            file.write(data)
        if target.exists():
            os.chmod(part, stat.S_IMODE(target.stat().st_mode))
        os.replace(part, target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk has no name of its own
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
        raise
