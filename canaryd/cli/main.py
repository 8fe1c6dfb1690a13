"""The root of the command line: verbs by name, errors as one line, exit codes as documented."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from canaryd import __version__
from canaryd.cli import demo, edit, files, inspect, run
from canaryd.cli.exit_codes import Exit
from canaryd.errors import CanarydError

app = typer.Typer(
    name="canaryd",
    help="Move a release through traffic stages, watch it against stable, and take it back when it goes wrong.",
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
    if not arguments:
        arguments = ["--help"]
    try:
        return int(app(args=list(arguments), standalone_mode=False) or 0)
    except CanarydError as error:
        _say(str(error))
        return error.exit_code
    except TyperException as error:
        _say(error.format_message())
        return Exit.USAGE
    except (typer.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return Exit.OK
    except Exception as error:  # noqa: BLE001 - the last line of defence between a bug and a person
        cause = _innermost(error)
        _say(f"internal error, a bug in canaryd: {type(cause).__name__}: {' '.join(str(cause).split())}")
        return Exit.FAULT


def _innermost(error: BaseException) -> BaseException:
    """Return what a task group wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say(problem: str) -> None:
    typer.echo(f"canaryd: {problem}", err=True)
