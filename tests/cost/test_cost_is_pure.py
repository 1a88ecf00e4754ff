"""cost/ is pure functions of numbers: the standard library and NumPy, inside a bare GPU image too."""

import ast
import sys
from pathlib import Path

import simpar.cost


def test_cost_imports_only_itself_numpy_and_the_standard_library():
    (folder,) = simpar.cost.__path__
    for path in sorted(Path(folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                pure = top in sys.stdlib_module_names or top == "numpy" or name.startswith("simpar.cost")
                assert pure, f"{path.name} imports {name}"
