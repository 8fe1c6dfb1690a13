"""How commands print: JSON for programs, a few lines for people."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from typing import Any

import typer


def show_json(document: Mapping[str, Any]) -> None:
    """Print one document as indented JSON."""
    typer.echo(json_format.dumps(document, indent=2, ensure_ascii=False))


def show_status(document: Mapping[str, Any], *, json: bool) -> None:
    """Print a status document."""
    if json:
        show_json(document)
        return
    from rich.console import Console  # noqa: PLC0415

    from canaryd.lab.ladder_view import render  # noqa: PLC0415

    Console().print(render(document))
