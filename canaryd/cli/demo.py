"""A small real world to watch canaryd in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def demo(
    *,
    break_at: Annotated[
        Optional[str],  # noqa: UP045 - read by typer at run time
        typer.Option(
            "--break",
            metavar="KIND[@STAGE]",
            help="Let the canary go wrong: errors, latency, crash, health or silence, at a stage (default 2).",
        ),
    ] = None,
    folder: Annotated[
        Optional[Path],  # noqa: UP045 - read by typer at run time
        typer.Option("--dir", help="Keep files and state here; the same command carries on after a crash."),
    ] = None,
    speed: Annotated[float, typer.Option(min=0.1, max=4.0, help="How fast the windows pass.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the traffic and the services' small faults.")] = 1,
) -> int:
    """Roll out a release before your eyes: two services, a router, real requests and the daemon, all on 127.0.0.1."""
    from canaryd.lab.breaking import parse_break  # noqa: PLC0415
    from canaryd.lab.demo import run_demo  # noqa: PLC0415
    from canaryd.lab.demo_files import LAST_STAGE  # noqa: PLC0415

    wanted = parse_break(break_at, LAST_STAGE) if break_at else None
    return run_demo(wanted, folder, seed=seed, speed=speed)


VERBS = (demo,)
