"""Data flows one way: a room imports only rooms above it."""

import ast
from pathlib import Path

import pytest

ROOMS = [
    "units",
    "errors",
    "scenario",
    "workload",
    "hardware",
    "cost",
    "program",
    "trace",
    "strategies",
    "simulate",
    "execute",
    "calibrate",
    "result",
    "study",
    "show",
    "cli",
]
"""From the source of the data to its end."""

WITHOUT_PYDANTIC = {"cost", "program", "trace", "simulate", "execute"}
"""Rooms that must run where only NumPy and SimPy are."""

PACKAGE = Path(__file__).parents[1] / "simpar"


def imports(file):
    """Return (module, whether only for type checking) of every import statement in *file*."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    checking = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and getattr(test.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in checking
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import hides its room"
            yield node.module, id(node) in checking
            if node.module == "simpar":
                yield from ((f"simpar.{alias.name}", id(node) in checking) for alias in node.names)


def room_of(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE or room_of(file) in ROOMS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_above_it(file):
    here = ROOMS.index(room_of(file))
    for module, _ in imports(file):
        if module.startswith("simpar."):
            there = module.split(".")[1]
            if there in ROOMS:
                assert ROOMS.index(there) <= here, f"{room_of(file)} imports {module}, which is below it"


@pytest.mark.parametrize(
    "file", [file for file in FILES if room_of(file) in WITHOUT_PYDANTIC], ids=lambda file: file.stem
)
def test_what_runs_in_a_bare_image_imports_no_pydantic(file):
    names = {module.split(".")[0] for module, _ in imports(file)}
    assert not names & {"pydantic", "yaml", "click", "matplotlib"}
    rooms = {module.split(".")[1] for module, _ in imports(file) if module.startswith("simpar.")}
    assert not rooms & {"scenario", "workload", "hardware", "strategies"}


def test_every_room_is_in_the_list():
    rooms = {room_of(file) for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE}
    rooms |= {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert rooms <= set(ROOMS)


def test_this_test_sees_an_arrow_that_points_backwards(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text("from simpar.cli import main\nimport simpar.show.table\nfrom simpar import study\n")
    assert {module for module, _ in imports(file)} >= {"simpar.cli", "simpar.show.table", "simpar.study"}
