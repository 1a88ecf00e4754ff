"""The table of requirements: what was checked of each, the figure expected and the figure seen.

    python tests/requirements/report.py [--write reports/requirements.md]

Runs the tests of this folder. A test belongs to the requirement whose id is in its name, ``test_s7b_...``;
figures are those that it compares with the fixture ``agree``. Exit status 1 where a test fails.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

IDS = [
    f"S{number}{letter}"
    for number, letters in (
        (1, "abcde"),
        (2, "abcdefg"),
        (3, "abcdef"),
        (4, "abcde"),
        (5, "abcde"),
        (6, "abc"),
        (7, "abcdefgh"),
        (8, "abcdefgh"),
        (9, "abcdef"),
        (10, "ab"),
        (11, "abc"),
    )
    for letter in letters
]
"""What a text on slicing, model and data parallelism and parameter servers demands of a system."""

TEST = re.compile(r"::test_(s[0-9]+[a-h]?)_([a-z0-9_]+)")

HEAD = """\
# What is required, and what was seen

Written by `python tests/requirements/report.py --write reports/requirements.md`, which runs the tests of
`tests/requirements/`. Expected figures are formulas, counts or plain NumPy, never from simpar. Where a test
is run with several numbers, the first case's figures stand here, and how many cases there are; all must pass.

| id | what was checked | cases | figure | expected | seen |
|---|---|---:|---|---:|---:|
"""


class Seen:
    """What the tests of a run came to."""

    def __init__(self) -> None:
        self.cases: dict[tuple[str, str], int] = {}
        self.figures: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of one test."""
        found = TEST.search(report.nodeid)
        if report.failed or report.skipped:
            self.failed.append(report.nodeid)
        if found is None or report.when != "call":
            return
        key = found[1].upper()[:-1] + found[1][-1], found[2].replace("_", " ")
        self.cases[key] = self.cases.get(key, 0) + 1
        figures = self.figures.setdefault(key, {})
        for name, value in report.user_properties:
            if name == "figure":
                what, expected, seen = value
                figures.setdefault(what, (expected, seen))

    def table(self) -> str:
        """Return the table, by id; of ids without a test it says so."""
        lines = []
        for (number, what), cases in sorted(self.cases.items(), key=lambda one: _place(one[0][0])):
            figures = self.figures[number, what] or {"": ("", "")}
            for place, (figure, (expected, seen)) in enumerate(figures.items()):
                begin = f"{number} | {what} | {cases}" if place == 0 else " | | "
                lines.append(f"| {begin} | {figure} | {expected} | {seen} |")
        checked = {number for number, _ in self.cases}
        without = [one for one in IDS if one not in checked]
        text = HEAD + "\n".join(lines) + "\n"
        return text + (f"\nWithout a test here so far: {', '.join(without)}.\n" if without else "")


def _place(number: str) -> tuple[int, str]:
    found = re.fullmatch(r"S([0-9]+)([a-h]?)", number)
    assert found is not None, f"{number} is no requirement"
    return int(found[1]), found[2]


def main() -> int:
    """Run the tests and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the table there")
    asked = parser.parse_args()
    seen = Seen()
    status = pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", str(HERE)], plugins=[seen])
    if status or seen.failed:
        print(f"nothing written: {len(seen.failed)} failed or were skipped", file=sys.stderr)
        return 1
    if asked.write is None:
        print(seen.table())
    else:
        part = asked.write.with_suffix(".part")
        part.write_text(seen.table())
        part.replace(asked.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
