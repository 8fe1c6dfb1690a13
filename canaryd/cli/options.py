"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from canaryd.settings import Settings

PolicyArgument = Annotated[Path, typer.Argument(metavar="POLICY", help="The policy file.", show_default=False)]
StateDirOption = Annotated[
    Optional[Path],  # noqa: UP045 - read by typer at run time
    typer.Option("--state-dir", help="Where state is kept (default: $CANARYD_STATE_DIR, else .canaryd beside POLICY)."),
]
QUIET = "error"
"""Commands that only look print their answer; warnings of adapters belong to the daemon's log."""
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def settings_for(state_dir: Path | None, **given: object) -> Settings:
    """Return the settings of this call: options before environment. Logging follows them."""
    from canaryd.settings import load_settings  # noqa: PLC0415 - imported when a command runs
    from canaryd.telemetry import logging  # noqa: PLC0415

    named = {"state_dir": state_dir, **given}
    settings = load_settings(**{name: value for name, value in named.items() if value is not None})
    logging.configure(settings.log_format, settings.log_level)
    return settings
