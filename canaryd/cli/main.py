"""The root of the command line: verbs by name, errors as one line, exit codes as documented."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import structlog
import typer

from canaryd import __version__
from canaryd.cli import demo, edit, files, inspect, run
from canaryd.cli.exit_codes import Exit
from canaryd.errors import CanarydError

app = typer.Typer(
    name="canaryd",
    help="Move a release through traffic stages, watch it against stable, and take it back when it goes wrong.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"canaryd {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    pass


for family in (run, inspect, edit, files, demo):
    for verb in family.VERBS:
        app.command()(verb)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever happens, a person gets one line and no traceback."""
    try:
        code = app(args=list(arguments), standalone_mode=False)
    except CanarydError as error:
        _say(str(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.format_message())
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return Exit.OK
    except Exception as error:  # noqa: BLE001 - the last line of defence between a bug and a person
        structlog.get_logger(__name__).debug("command.failed", exc_info=True)
        _say(f"internal error, a bug in canaryd: {type(error).__name__}: {error}")
        return Exit.FAULT
    return int(code or 0)


def _say(problem: str) -> None:
    typer.echo(f"canaryd: {problem}", err=True)
