"""Help: every command has a sentence, an example, and a place in the README; and it costs nothing."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from simpar.cli import COMMANDS, app

ROOT = Path(__file__).parents[2]


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from simpar.cli import main\n"
        "sys.argv = ['simpar', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "heavy = {'numpy', 'pydantic', 'matplotlib', 'numba', 'simpy', 'yaml', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


def test_importing_simpar_imports_nothing_heavy():
    code = "import sys, simpar\nassert not {'numpy', 'pydantic', 'simpy', 'yaml'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_a_line_in_the_readme(name):
    context = click.Context(app, info_name="simpar")
    command = app.get_command(context, name)
    text = command.get_help(click.Context(command, info_name=name, parent=context))
    summary = command.help.splitlines()[0]
    assert not summary.endswith(".")
    assert f"simpar {name}" in (ROOT / "README.md").read_text(encoding="utf-8") or name == "presets"
    if isinstance(command, click.Group):
        command = command.commands["pipedream"]
        text = command.get_help(click.Context(command, info_name="pipedream", parent=context))
    assert "Examples:" in text


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "import"])
def test_the_summaries_agree(name):
    command = app.get_command(click.Context(app), name)
    assert command.help.splitlines()[0] == COMMANDS[name]


def test_a_misspelt_command_gets_the_nearest():
    done = subprocess.run(
        [sys.executable, "-m", "simpar", "compar"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "did you mean 'compare'?" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["presets"],
        ["presets", "--json"],
        ["presets", "models", "vgg-16"],
        ["presets", "devices", "v100"],
        ["presets", "devices"],
        ["presets", "links"],
        ["presets", "instances"],
        ["presets", "resnet-50"],
        ["presets", "a100-80"],
        ["presets", "ethernet-25"],
        ["strategies"],
        ["strategies", "pipeline"],
        ["strategies", "--json"],
        ["schema"],
        ["--version"],
    ],
)
def test_the_small_commands_answer(words):
    done = subprocess.run(
        [sys.executable, "-m", "simpar", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        ["presets", "models", "vgg"],
        ["presets", "devices", "v10"],
        ["presets", "resnet50"],
        ["strategies", "ps"],
    ],
)
def test_unknown_names_are_refused_with_the_nearest(words):
    done = subprocess.run(
        [sys.executable, "-m", "simpar", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "did you mean" in done.stderr or "write one of" in done.stderr


def test_the_words_that_an_option_takes_are_listed():
    words = [sys.executable, "-m", "simpar", "strategies", "ps-sync"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in said.splitlines() if line.lstrip().startswith("placement")]
    assert "(sliced, balanced, round_robin, hash, replicated)" in line
