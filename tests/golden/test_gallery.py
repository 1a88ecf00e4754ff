"""The page of the gallery shows every figure in its folder."""

import re
from pathlib import Path

from simpar.show.figures import FIGURES

FOLDER = Path(__file__).parents[2] / "reports" / "gallery"


def test_the_page_shows_every_figure_and_nothing_that_is_not_there():
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (FOLDER / "README.md").read_text(encoding="utf-8"))

    assert len(shown) == len(set(shown)) > 10
    assert sorted(shown) == sorted(file.name for file in FOLDER.glob("*.svg"))


def test_every_figure_is_small_and_drawn():
    for file in FOLDER.glob("*.svg"):
        data = file.read_bytes()
        assert data.startswith(b"<?xml")
        assert len(data) <= 60_000, file


def test_every_figure_that_can_be_asked_for_is_there():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert [name for name in FIGURES if name != "bars" and f"--figure {name}" not in page] == []
    assert "bars.svg" in page
