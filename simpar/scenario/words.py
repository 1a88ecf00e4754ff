"""Small helpers for errors that people read: paths, near misses, lists.

A path is a tuple of keys and indices, ``('strategies', 2, 'algorithm')``, spelt
``strategies[2].algorithm``. Start with :func:`spell_path` and :func:`did_you_mean`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from simpar.units import shown

Path = tuple[str | int, ...]
"""Keys and indices from the top of the file."""

_WORD = re.compile(r"[^\s.\[\]:='\"\\]{1,60}")


def spell_path(path: Path) -> str:
    """Return *path* as people write it; an odd key is quoted, so that the result is one line.

    >>> spell_path(("strategies", 2, "algorithm"))
    'strategies[2].algorithm'
    """
    said = ""
    for part in path:
        if isinstance(part, int):
            said += f"[{part}]"
        else:
            plain = _WORD.fullmatch(part) and part.isprintable()
            said += ("." if said else "") + (part if plain else shown(part))
    return said


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *word* is most likely a misspelling of, or None.

    >>> nearest("P3_16XLarge", ["p3.2xlarge", "p3.16xlarge"])
    'p3.16xlarge'
    """
    by_fold = {_folded(one): one for one in known}
    folded = _folded(word[:60])
    if folded in by_fold:
        return by_fold[folded]
    near = difflib.get_close_matches(folded, by_fold, 1, 0.6)
    return by_fold[near[0]] if near else None


def _folded(word: str) -> str:
    """Return *word* without what is easily mistaken: capitals, and which mark stands between its parts."""
    return word.casefold().replace("_", "-").replace(".", "-")


def did_you_mean(word: object, known: Sequence[str]) -> str:
    """Return the way out for a *word* that is not one of *known*."""
    near = nearest(word, known) if isinstance(word, str) else None
    if near is not None:
        return f"did you mean {near!r}?"
    return f"write one of: {', '.join(known)}" if known else ""
