"""From the JSON Schemas of both files to tables of keys: what a value looks like, its default, its limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from canaryd.config.conditions import PATTERN as CONDITION_PATTERN
from canaryd.config.fields import NAME_PATTERN, RELEASE_PATTERN, ROLLOUT_PATTERN, TARGET_PATTERN
from canaryd.config.quantities import COUNT_PATTERN, DURATION_PATTERN

Schema = Mapping[str, Any]

FORMS = {
    CONDITION_PATTERN: "condition",
    NAME_PATTERN: "name",
    ROLLOUT_PATTERN: "name with -",
    RELEASE_PATTERN: "text without spaces",
    TARGET_PATTERN: "`previous`, `stable`, `stage N`",
    COUNT_PATTERN: "count",
    DURATION_PATTERN: "duration",
}
TITLES = {
    "IntervalModel": "In `interval`, when it is a list",
    "SectionModel": "In `router`, `state`, each of `sources` and `notify`: also the adapter's own options",
    "CountsMetric": "In `metrics`: counts",
    "HistogramMetric": "In `metrics`: a histogram",
    "GaugeMetric": "In `metrics`: a gauge",
    "HealthMetric": "In `metrics`: health",
    "StageModel": "In `stages`",
    "RuleModel": "In `rollback`, of the policy or of a stage",
    "BlindModel": "In `blind`",
}


def key_table(schema: Schema) -> str:
    """Return one table for the file's own keys and one for each kind of mapping in it."""
    definitions = schema.get("$defs", {})
    inner = [f"**{title}**\n\n{_table(definitions[name])}" for name, title in TITLES.items() if name in definitions]
    return "\n\n".join([_table(schema), *inner])


def _table(schema: Schema) -> str:
    required = schema.get("required", [])
    rows = [_row(key, each, required=key in required) for key, each in schema["properties"].items()]
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows])


def _row(key: str, schema: Schema, *, required: bool) -> str:
    default = "required" if required else _default(schema.get("default"))
    return f"| `{key}` | {_value(schema)} | {default} | {schema['description'].replace('``', '`')} |"


def _default(value: object) -> str:
    if value is None:
        return "none"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _value(schema: Schema) -> str:
    """Return what a value looks like and how large it may be."""
    for key in ("anyOf", "oneOf"):
        if key in schema:
            forms = [_value(each) for each in schema[key] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(forms))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "$ref" in schema:
        return "mapping, see below"
    return _plain(schema)


def _plain(schema: Schema) -> str:
    kind = schema["type"]
    if isinstance(kind, list):
        return " or ".join(_plain({"type": each}) for each in kind if each != "null")
    if kind == "array":
        return f"list of {_items(schema['items'])}{_at_most(schema, 'maxItems')}"
    if kind == "object":
        return f"mapping{_at_most(schema, 'maxProperties')}"
    if kind == "string":
        return FORMS.get(schema.get("pattern", ""), "text")
    return {"integer": "whole number", "number": "number", "boolean": "`true` or `false`"}[kind] + _range(schema)


def _items(schema: Schema) -> str:
    value = _value(schema)
    return "mappings" if value.startswith("mapping") else value.replace("condition", "conditions")


def _at_most(schema: Schema, key: str) -> str:
    return f", at most {schema[key]}" if key in schema else ""


def _range(schema: Schema) -> str:
    low = f"over {schema['exclusiveMinimum']:g}" if "exclusiveMinimum" in schema else ""
    low = f"from {schema['minimum']}" if "minimum" in schema else low
    high = f"to {schema['maximum']}" if "maximum" in schema else ""
    return f", {low} {high}".rstrip() if low or high else ""
