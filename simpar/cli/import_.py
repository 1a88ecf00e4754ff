"""``simpar import``: models measured or described by other tools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from simpar.cli.common import examples, not_the_input
from simpar.errors import InputError, Problem

_DTYPES = ("float64", "float32", "float16", "bfloat16")

Profile = TypeVar("Profile")


@click.group("import")
def command() -> None:
    """Turn a measured profile into one that a scenario can name

    A profile says how long each layer takes on a real device, what it outputs and what it must
    remember; a scenario takes it with 'model: {profile: FILE}'. One that was counted rather than
    measured has FLOPs in place of times.
    """


def _written(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every importer that say where the profile goes."""
    for option in (
        click.option("--force", is_flag=True, help="replace FILE where it exists"),
        click.option("--out", metavar="FILE", help="write the profile here (.yaml); by default to stdout"),
    ):
        wrapped = option(wrapped)
    return wrapped


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
@_written
def pipedream(graph: str, batch: int | None, name: str | None, out: str | None, force: bool) -> int:
    """Read a PipeDream profile: a graph.txt with times, activations and parameters a layer

    The batch is worked out from the last linear layer where that is possible. Input nodes are data loading
    and left out.
    """
    from simpar.workload.import_pipedream import dump, read

    profile = _read(lambda: read(graph, batch, name=name), graph, out, force)
    _write(dump(profile), out, f"{len(profile.layers)} layers, batch {profile.batch}")
    return 0


@command.command(
    "csv",
    epilog=examples(
        "simpar import csv tests/data/layers.csv --batch 32 --out mine.yaml",
        "simpar import csv tests/data/layers.csv --batch 32 --dtype float16",
    ),
)
@click.argument("table", metavar="FILE")
@click.option(
    "--batch", type=click.IntRange(1, 10**9), required=True, metavar="N", help="samples in the measured batch"
)
@click.option(
    "--dtype", type=click.Choice(_DTYPES), default="float32", help="element type  [default: float32]"
)
@click.option("--name", metavar="NAME", help="what the model is called in tables; by default the file's name")
@_written
def csv(table: str, batch: int, dtype: str, name: str | None, out: str | None, force: bool) -> int:
    """Read a table of measured layers: comma-separated, one line a layer, in the order of the forward pass

    The columns are name, forward_s, backward_s, param_bytes, activation_bytes and, if you like, kind and
    inputs. Times are seconds; times and activations are those of one batch. Inputs are names of earlier
    layers with semicolons between them; an empty cell is the layer before, 'data' is the data.
    """
    from simpar.workload.import_csv import dump, read

    profile = _read(lambda: read(table, batch, dtype=dtype, name=name), table, out, force)
    _write(dump(profile), out, f"{len(profile.layers)} layers, batch {profile.batch}")
    return 0


@command.command(
    "hf",
    epilog=examples(
        "simpar import hf tests/data/hf/gpt2.json --seq 1024 --batch 8 --out gpt2.yaml",
        "simpar import hf tests/data/hf/mixtral.json --seq 4096 --batch 1 --dtype bfloat16",
    ),
)
@click.argument("config", metavar="FILE")
@click.option(
    "--seq", type=click.IntRange(1, 10**7), required=True, metavar="N", help="tokens in a sequence, a sample"
)
@click.option(
    "--batch", type=click.IntRange(1, 10**9), required=True, metavar="N", help="sequences in a batch"
)
@click.option(
    "--dtype", type=click.Choice(_DTYPES), help="element type; by default the file's, or else float32"
)
@click.option("--name", metavar="NAME", help="what the model is called in tables; by default as in the file")
@_written
def hf(
    config: str, seq: int, batch: int, dtype: str | None, name: str | None, out: str | None, force: bool
) -> int:
    """Read a Hugging Face config.json: GPT-2, GPT-NeoX, BERT, Llama or Mixtral, of any size

    Nothing is measured: the layers get the FLOPs, parameters and activations that follow from the shape, and
    the scenario needs a device with a rate. Mixtral's layers have the parameters of all experts and the FLOPs
    of those that a token takes.
    """
    from simpar.show.words import grouped
    from simpar.workload.import_hf import dump, read

    profile = _read(lambda: read(config, seq, batch, dtype=dtype, name=name), config, out, force)
    said = f"{len(profile.layers)} layers, {grouped(profile.parameters)} parameters"
    _write(dump(profile), out, f"{said}, {profile.dtype}, sequences of {seq} tokens, batch {batch}")
    return 0


def _read(read: Callable[[], Profile], given: str, out: str | None, force: bool) -> Profile:
    """Return what *read* returns; raise its problems together with those of the file to be written.

    Args:
        given: the file that is read.
        out: the file to be written, which must be another one.
        force: whether it may exist already.

    Raises:
        InputError: anything is wrong with either.
    """
    from pathlib import Path

    from simpar.show.files import check_writable

    problems = []
    if out is not None:
        wrong = check_writable(out, (".yaml", ".yml"), "--out") or not_the_input(given, out, "--out")
        if wrong is None and Path(out).exists() and not force:
            wrong = Problem("", 0, 0, "--out", f"{out} exists", "add --force to replace it")
        problems += [wrong] if wrong else []
    try:
        profile = read()
    except InputError as error:
        raise InputError([*problems, *error.problems]) from None
    if problems:
        raise InputError(problems)
    return profile


def _write(text: str, out: str | None, said: str) -> None:
    """Write a profile to the file *out*, or to stdout where there is none."""
    from simpar.show.files import write_atomically

    if out is None:
        sys.stdout.write(text)
        return
    write_atomically(out, text.encode())
    click.echo(f"wrote {out}: {said}\nname it in a scenario:  model: {{profile: {out}}}", err=True)
