"""The page on the algorithms has every way of training, with its text and its timelines."""

import inspect
import re
import sys
from pathlib import Path

from simpar.strategies import KINDS

FOLDER = Path(__file__).parents[2] / "reports" / "algorithms"


def page():
    return (FOLDER / "README.md").read_text(encoding="utf-8")


def test_every_way_of_training_is_there_with_its_formula_and_its_paper():
    kinds = re.findall(r"^## (.*)$", page(), re.MULTILINE)
    assert kinds == list(KINDS)
    for kind, build in KINDS.items():
        text = inspect.cleandoc(sys.modules[build.__module__].__doc__)
        first = text.partition("\n")[0].replace("`", "")
        assert first in page(), f"{kind}: make gallery"


def test_every_one_has_a_timeline_and_all_timelines_are_shown():
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page())
    assert sorted(shown) == sorted(file.name for file in FOLDER.glob("*.svg"))
    assert {name.rpartition("-")[0] for name in shown} == set(KINDS)
    for file in FOLDER.glob("*.svg"):
        assert len(file.read_bytes()) <= 60_000, file
