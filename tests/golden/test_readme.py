"""What the README shows in its console blocks is what the commands print, byte for byte.

``python tests/golden/test_readme.py`` writes the blocks anew; read the difference before you commit it.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n\$ (simpar [^\n]*)\n(.*?)```", re.DOTALL)


def run(command):
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stderr + done.stdout


BLOCKS = BLOCK.findall(README.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_the_readme_shows_what_the_command_prints(command, shown):
    assert run(command) == shown


def test_the_readme_shows_the_quickstart_as_it_is():
    shown = re.search(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert shown == (ROOT / "scenarios" / "quickstart.yaml").read_text(encoding="utf-8")


def test_the_schema_beside_the_scenarios_is_the_one_that_is_printed():
    assert run("simpar schema") == (ROOT / "scenarios" / "schema.json").read_text(encoding="utf-8")


def test_the_readme_names_every_setting():
    """Every key of the sections that people write stands in the table of settings."""
    import simpar.scenario as scenario

    text = README.read_text(encoding="utf-8")
    table = text[text.index("| setting |") : text.index("## What it can compare")]
    sections = {
        "model": scenario.ModelSpec,
        "cluster": scenario.ClusterSpec,
        "network": scenario.NetworkSpec,
        "run": scenario.RunSpec,
    }
    later = {"model.name", "model.unit"}
    for section, model in sections.items():
        for key in model.model_fields:
            assert key in table or f"{section}.{key}" in later, f"{section}.{key}"


def test_the_readme_has_its_blocks():
    assert [command.split()[1] for command, _ in BLOCKS] == [
        "compare",
        "explain",
        "explain",
        "compare",
        "whatif",
        "compare",
        "compare",
        "compare",
        "check",
        "strategies",
    ]


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    fresh = BLOCK.sub(lambda block: f"```console\n$ {block[1]}\n{run(block[1])}```", text)
    README.write_text(fresh, encoding="utf-8")
