"""The command line. Nothing heavy is imported before a command needs it.

``simpar --help`` must stay quick: the commands are named here and loaded when they are called.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

import click

COMMANDS = {
    "compare": "Rank a scenario's strategies: step time, speedup, what holds each back",
    "whatif": "Compare a scenario's strategies at many settings: which wins where, what each is worth",
    "explain": "Show where one strategy's step goes, and its critical path",
    "replay": "Train for real in the order of a simulated run: what each strategy learns, and when",
    "validate": "Run each strategy for real on this machine and compare with its prediction",
    "check": "Check a scenario and list every problem with its line and column",
    "presets": "List models, devices, links and instances, every number with its source",
    "strategies": "List the ways of training, what each does and its options",
    "import": "Turn a measured profile into one that a scenario can name",
    "schema": "Print the JSON Schema of scenario files, for editors",
}
"""Commands in the order of the help, with their summaries."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that takes no more; of what is printed they name no file."""


class _Commands(click.Group):
    """A group whose commands live in modules of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"simpar.cli.{cmd_name}_")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Offer the nearest name for one that is not a command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"write one of: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  simpar compare scenarios/quickstart.yaml",
)
@click.version_option(package_name="simpar", message="simpar %(version)s")
def app() -> None:
    """Predict how fast training runs in parallel, before you buy or book anything

    Describe the model, the machines and the network in one file; simpar simulates each way of training event
    by event and says which is fastest, by how much, and what holds the others back.
    """


def main() -> None:
    """Run the command line and leave: 0 fine, 1 a bound was missed or nothing fits, 2 the input is wrong."""
    _make_streams_safe()
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = f" (see {context.command_path} --help)" if context else ""
        click.echo(f"simpar: {error.format_message()}{where}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)  # click has begun a new line
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone (`simpar ... | head`): not an error, and nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        click.echo("simpar: out of memory; try fewer steps, workers or strategies", err=True)
        sys.exit(2)
    except Exception as error:
        from simpar.errors import SimparError

        if isinstance(error, SimparError):
            from simpar.cli.common import report

            sys.exit(report(error))
        if isinstance(error, OSError) and error.strerror:
            nameless = "standard output, or a temporary file" if error.errno in FULL else ""
            name = error.filename or nameless
            place = f"{name}: " if name else ""
            click.echo(f"simpar: {place}{error.strerror}", err=True)
            sys.exit(2)
        raise


def _make_streams_safe() -> None:
    """Give a closed stream somewhere to go, and let no letter be too foreign for a terminal."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # lives as long as we do
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
