"""A sound number for tables that tests write by hand, and the text of such a table."""

from pathlib import Path

import yaml

import simpar.hardware

FIGURE = {
    "value": "10 TFLOP/s",
    "source": "a datasheet",
    "url": "https://example.org/sheet.pdf",
    "checked": "2026-01-31",
}


def table_text(title, entry, changes):
    """Return the text of a table of one entry ``toy``, changed at ``peak__float32__url`` and the like."""
    for path, value in changes.items():
        *above, last = path.split("__")
        place = entry
        for key in above:
            place = place.setdefault(key, {})
        if value is None:
            del place[last]
        else:
            place[last] = value
    return yaml.safe_dump({title: {"toy": entry}}, sort_keys=False)


def shipped_text(file):
    """Return the text of a table that simpar ships."""
    (folder,) = simpar.hardware.__path__
    return (Path(folder) / file).read_text(encoding="utf-8")
