"""The daemon, and one tick of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from canaryd.cli.exit_codes import Exit
from canaryd.cli.options import JsonOption, PolicyArgument, StateDirOption, settings_for


def run(
    policies: Annotated[list[Path], typer.Argument(metavar="POLICY...", help="One or more policy files.")],
    *,
    state_dir: StateDirOption = None,
    http_host: Annotated[Optional[str], typer.Option(help="Address of the read-only pages.")] = None,  # noqa: UP045
    http_port: Annotated[Optional[int], typer.Option(help="Port of the read-only pages; 0 is a free one.")] = None,  # noqa: UP045
    log_format: Annotated[Optional[str], typer.Option(help="auto, json or console.")] = None,  # noqa: UP045
    log_level: Annotated[Optional[str], typer.Option(help="debug, info, warning or error.")] = None,  # noqa: UP045
) -> None:
    """Run the daemon: look, decide, act, again and again, until SIGTERM or Ctrl-C."""
    import anyio  # noqa: PLC0415

    from canaryd.app import run_daemon  # noqa: PLC0415

    settings = settings_for(
        state_dir, http_host=http_host, http_port=http_port, log_format=log_format, log_level=log_level
    )
    anyio.run(run_daemon, policies, settings)


def once(policy: PolicyArgument, *, state_dir: StateDirOption = None, json: JsonOption = False) -> int:
    """Make one tick and end: for schedulers. The exit code tells what came of it."""
    import anyio  # noqa: PLC0415

    from canaryd.cli.show import show_status  # noqa: PLC0415
    from canaryd.one_shot import tick_once  # noqa: PLC0415

    settings = settings_for(state_dir)
    document = anyio.run(tick_once, policy, settings)
    show_status(document, json=json)
    return exit_code_of(document)


ONLY_TIME = frozenset({"window", "settling", "at_ceiling", "all_stable", "finished"})
"""Reasons to hold that nobody needs to do anything about."""


def exit_code_of(document: Mapping[str, Any]) -> Exit:
    """Return what a status means to a pipeline."""
    reasons = document["reasons"]
    if document["latch"] is not None:
        return Exit.ROLLED_BACK
    if document["action"] != "hold" or {reason["code"] for reason in reasons} <= ONLY_TIME:
        return Exit.OK
    return Exit.HELD


VERBS = (run, once)
