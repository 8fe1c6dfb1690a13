"""Starter files and schemas."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from canaryd.cli.exit_codes import Exit
from canaryd.cli.show import show_json


class SchemaOf(StrEnum):
    """The files that have a schema."""

    POLICY = "policy"
    DESIRED = "desired"


def init(
    rollout: Annotated[str, typer.Argument(help="The rollout's name, usually the service's.")] = "my-service",
) -> int:
    """Write an annotated starter pair into the current folder, never over an existing file."""
    from canaryd.config.starter import write_starter  # noqa: PLC0415

    for path in write_starter(Path.cwd(), rollout):
        typer.echo(f"wrote {path.name}")
    typer.echo(f"Next: edit them, then canaryd check {rollout}.yaml")
    return Exit.OK


def schema(
    of: Annotated[SchemaOf, typer.Argument(help="Which file.")] = SchemaOf.POLICY,
) -> int:
    """Print a JSON Schema, so that editors complete and check the files."""
    from canaryd.config.schema import desired_schema, policy_schema  # noqa: PLC0415

    show_json(policy_schema() if of is SchemaOf.POLICY else desired_schema())
    return Exit.OK


VERBS = (init, schema)
