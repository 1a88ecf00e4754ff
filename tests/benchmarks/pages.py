"""One page of several benchmarks: each has a section, and leaves those of the others alone."""

from __future__ import annotations

import re
from pathlib import Path


def write_section(page: Path, section: str) -> None:
    """Write *section* into *page*, in the place of the one of the same head, else at the end."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    head = section.partition("\n")[0]
    old = re.compile(rf"{re.escape(head)}\n.*?(?=\n## |\Z)", re.DOTALL)
    if old.search(text):
        text = old.sub(lambda _: section.rstrip("\n") + "\n", text)
    else:
        text = f"{text.rstrip()}\n\n{section}"
    page.write_text(text, encoding="utf-8")
