"""JSON Schemas of both files (draft 2020-12), so that editors complete and check what people write."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DictSchema

from canaryd.config.border import Border
from canaryd.config.models import DesiredModel, PolicyModel

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """Return the schema of policy files."""
    return _schema(PolicyModel, "canaryd policy")


def desired_schema() -> dict[str, Any]:
    """Return the schema of desired-state files."""
    return _schema(DesiredModel, "canaryd desired state")


class _WithClosedMappings(GenerateJsonSchema):
    """Names that do not follow their pattern are refused, not ignored."""

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        return {**described, "additionalProperties": False} if "patternProperties" in described else described


def _schema(model: type[Border], title: str) -> dict[str, Any]:
    return {
        "$schema": DRAFT,
        **model.model_json_schema(by_alias=True, schema_generator=_WithClosedMappings),
        "title": title,
    }
