"""``simpar strategies``: what each way of training does."""

from __future__ import annotations

import inspect
import sys
from typing import Any, Literal, get_args, get_origin

import click

from simpar.cli.common import examples, print_json


@click.command("strategies", epilog=examples("simpar strategies", "simpar strategies ps-async"))
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="print names, texts and options as JSON")
def command(name: str | None, as_json: bool) -> int:
    """List the ways of training, what each does and its options

    With a NAME: how it works, its formula, its paper, and every option with its default.
    """
    from simpar.strategies import KINDS

    if name is not None and name not in KINDS:
        import difflib

        near = difflib.get_close_matches(name, KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"write one of: {', '.join(KINDS)}"
        raise click.UsageError(f"no strategy {name!r}; {hint}")
    about = {kind: _about(kind) for kind in KINDS if name in (None, kind)}
    if as_json:
        print_json({"schema": 1, "strategies": list(about.values())})
        return 0
    if name is None:
        width = max(len(kind) for kind in about)
        for kind, told in about.items():
            click.echo(f"{kind:<{width}}   {told['summary']}")
        click.echo("\nsimpar strategies NAME tells more.")
        return 0
    told = about[name]
    click.echo(f"{name}: {told['text']}\n\nOptions")
    width = max(len(option["name"]) for option in told["options"])
    for option in told["options"]:
        click.echo(f"  {option['name']:<{width}}   {option['text']}  [default: {option['default']}]")
    return 0


def _about(kind: str) -> dict[str, Any]:
    """Return a strategy's text, which is its module's docstring, and its options."""
    from simpar.scenario import KINDS as OPTIONS
    from simpar.strategies import KINDS

    text = inspect.cleandoc(sys.modules[KINDS[kind].__module__].__doc__ or "").replace("``", "")
    text = text.replace(":mod:`", "").replace("`", "")
    options = [
        {
            "name": option,
            "text": (field.description or "").replace("\n", " ").rstrip(".") + _words(field.annotation),
            "default": _spelt(field.default),
        }
        for option, field in OPTIONS[kind].model_fields.items()
    ]
    return {"name": kind, "summary": text.partition(".\n")[0], "text": text, "options": options}


def _words(annotation: Any) -> str:
    """Return the words that an option takes, where it takes words, as the end of its text."""
    words = get_args(annotation) if get_origin(annotation) is Literal else ()
    return f" ({', '.join(words)})" if len(words) > 1 else ""


def _spelt(default: Any) -> str:
    """Return a default as a scenario writes it."""
    if default is None:
        return "-"
    return str(default).lower() if isinstance(default, bool) else str(default)
