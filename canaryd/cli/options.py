"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

PolicyArgument = Annotated[Path, typer.Argument(metavar="POLICY", help="The policy file.", show_default=False)]
StateDirOption = Annotated[
    Optional[Path],  # noqa: UP045 - read by typer at run time
    typer.Option("--state-dir", help="Where state is kept (default: $CANARYD_STATE_DIR, else .canaryd beside POLICY)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
