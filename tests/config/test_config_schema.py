"""Editors are told the same as canaryd checks, as far as a schema can say it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from canaryd.config.document import read_document
from canaryd.config.policy import parse_policy
from canaryd.config.schema import desired_schema, policy_schema
from canaryd.config.starter import write_starter
from canaryd.errors import InvalidFile

Validator = jsonschema.Draft202012Validator


def accepts(schema: dict[str, object], text: str) -> bool:
    return Validator(schema).is_valid(read_document(text, "f").data)


@pytest.mark.parametrize("schema", [policy_schema(), desired_schema()], ids=["policy", "desired"])
def test_the_schema_is_a_valid_schema_that_describes_every_key(schema: dict[str, object]) -> None:
    Validator.check_schema(schema)
    models = [schema, *schema.get("$defs", {}).values()]
    keys = [key for model in models for key in model.get("properties", {}).values()]
    assert len(keys) >= 6
    assert all(key.get("description") for key in keys)


def test_what_is_accepted_fits_the_schema(tmp_path: Path, policy_text: str, desired_text: str) -> None:
    policy_path, desired_path = write_starter(tmp_path, "r")
    assert accepts(policy_schema(), policy_text)
    assert accepts(policy_schema(), policy_path.read_text())
    assert accepts(desired_schema(), desired_text)
    assert accepts(desired_schema(), desired_path.read_text())


VARIATIONS = [
    ("interval: [{every: 30s, until: 15m}, {every: 5m}]", "interval: 1h30m"),
    ("at_least: 500 requests", "at_least: 500"),
    ("for: 3}", "for: 3, to: stage 2, at_least: 20 requests, name: mine}"),
    ("errors.rate < 1%", "errors.rate ≤ 0.5 %"),
    ("roll_back_after: never", "roll_back_after: 1h"),
    ("status: healthy", "status: 1"),
]


@pytest.mark.parametrize(("old", "new"), VARIATIONS)
def test_every_way_to_write_a_value_fits_the_schema(policy_text: str, old: str, new: str) -> None:
    text = policy_text.replace(old, new, 1)
    assert parse_policy(text, Path("p.yaml"))
    assert accepts(policy_schema(), text)


BROKEN = [
    ("weight: 5,", "weight: 0,"),
    ("weight: 5,", 'weight: "5",'),
    ("window: 24h", "window: 24"),
    ("window: 24h", "window: long"),
    ("errors.rate < 1%", "errors.rate == 1%"),
    ("for: 3}", "for: 0}"),
    ("to: stable", "to: stage zero"),
    ("router:", "rooter:"),
    ("  errors: ", "  Errors: "),
    ("unit: s}", "unit: ms}"),
    ("unit: ratio", "bad: x"),
    ("approval: required", "approval: yes"),
    ("rollout: ion-api", "rollout: Ion"),
    ("blind:", "warn: []\nblind:"),
]


@pytest.mark.parametrize(("old", "new"), BROKEN)
def test_what_a_schema_can_tell_is_told_in_the_editor_too(policy_text: str, old: str, new: str) -> None:
    text = policy_text.replace(old, new, 1)
    assert text != policy_text
    assert not accepts(policy_schema(), text)
    with pytest.raises(InvalidFile):
        parse_policy(text, Path("p.yaml"))


@pytest.mark.parametrize(
    "text", ["stage: 1", "{release: a b, stage: 1}", "{release: a, stage: -1}", "{release: a, stage: 1, x: 1}"]
)
def test_a_wrong_desired_state_does_not_fit_its_schema(text: str) -> None:
    assert not accepts(desired_schema(), text)
