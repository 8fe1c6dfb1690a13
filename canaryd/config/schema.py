"""JSON Schemas of both files (draft 2020-12), so that editors complete and check what people write."""

from __future__ import annotations

from typing import Any

from canaryd.config.border import Border
from canaryd.config.models import DesiredModel, PolicyModel

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """Return the schema of policy files."""
    return _schema(PolicyModel, "canaryd policy")


def desired_schema() -> dict[str, Any]:
    """Return the schema of desired-state files."""
    return _schema(DesiredModel, "canaryd desired state")


def _schema(model: type[Border], title: str) -> dict[str, Any]:
    return {"$schema": DRAFT, **model.model_json_schema(by_alias=True), "title": title}
