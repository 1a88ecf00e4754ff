"""``simpar import``: profiles measured by other tools."""

from __future__ import annotations

import sys

import click

from simpar.cli.common import examples
from simpar.errors import InputError


@click.group("import")
def command() -> None:
    """Turn a measured profile into one that a scenario can name

    A profile says how long each layer takes on a real device, what it outputs and what it must
    remember; a scenario takes it with 'model: {profile: FILE}'.
    """


@command.command(
    "pipedream",
    epilog=examples(
        "simpar import pipedream tests/data/pipedream/vgg16.graph.txt --out vgg16.yaml",
        "simpar import pipedream tests/data/pipedream/vgg16.graph.txt --batch 128",
    ),
)
@click.argument("graph", metavar="FILE")
@click.option("--batch", type=click.IntRange(1, 10**9), metavar="N", help="samples in the profiled minibatch")
@click.option("--name", metavar="NAME", help="what the model is called in tables; by default the file's name")
@click.option("--out", metavar="FILE", help="write the profile here (.yaml); by default to stdout")
@click.option("--force", is_flag=True, help="replace FILE where it exists")
def pipedream(graph: str, batch: int | None, name: str | None, out: str | None, force: bool) -> int:
    """Read a PipeDream profile: a graph.txt with times, activations and parameters a layer

    The batch is worked out from the last linear layer where that is possible. Input nodes are data loading
    and left out.
    """
    from pathlib import Path

    from simpar.errors import Problem
    from simpar.show.files import check_writable, write_atomically
    from simpar.workload.import_pipedream import dump, read

    problems = []
    if out is not None:
        wrong = check_writable(out, (".yaml", ".yml"), "--out")
        if wrong is None and Path(out).exists() and not force:
            wrong = Problem("", 0, 0, "--out", f"{out} exists", "add --force to replace it")
        problems += [wrong] if wrong else []
    try:
        profile = read(graph, batch, name=name)
    except InputError as error:
        raise InputError([*problems, *error.problems]) from None
    if problems:
        raise InputError(problems)
    text = dump(profile)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomically(out, text.encode())
        click.echo(
            f"wrote {out}: {len(profile.layers)} layers, batch {profile.batch}\n"
            f"name it in a scenario:  model: {{profile: {out}}}",
            err=True,
        )
    return 0
