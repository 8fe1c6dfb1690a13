"""What the pages list is what the code has: nothing missing, nothing made up."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from canaryd.cli.exit_codes import Exit
from canaryd.cli.main import app
from canaryd.cli.run import exit_code_of
from canaryd.config.models import DesiredModel, PolicyModel
from canaryd.core.explain import NEXT_STEPS
from canaryd.core.model import EventKind, ReasonCode
from canaryd.plugins import Group, registered
from canaryd.telemetry.catalogue import CATALOGUE

HOLDS_ONLY_AS_MOVES = {
    "gates_hold",
    "rule",
    "blind",
    "desired_lower",
    "raised_by_others",
    "router_unknown",
}


def test_the_generated_parts_are_up_to_date(root):
    done = subprocess.run(
        [sys.executable, "scripts/reference.py", "--check"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_that_fell_behind_is_noticed(root, tmp_path):
    for name in ("scripts", "docs", "README.md"):
        source = root / name
        subprocess.run(["cp", "-r", str(source), str(tmp_path)], check=True)
    page = tmp_path / "docs" / "metrics.md"
    page.write_text(page.read_text().replace("canaryd_stage", "canaryd_stairs"))
    done = subprocess.run(
        [sys.executable, "scripts/reference.py", "--check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "docs/metrics.md is out of date" in done.stdout


@pytest.mark.parametrize("verb", [command.callback.__name__ for command in app.registered_commands])
def test_every_verb_has_its_help_on_the_page_and_a_line_in_the_changes(verb, text_of):
    assert f"\n## {verb}\n" in text_of("docs/cli.md")
    assert f"`{verb}`" in text_of("CHANGELOG.md")


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.name)
def test_every_metric_is_on_the_page(spec, text_of):
    assert f"`{spec.name}`" in text_of("docs/metrics.md")


def test_every_metric_that_any_page_names_exists(page):
    known = {spec.name for spec in CATALOGUE}
    for name in re.findall(r"\bcanaryd_[a-z_]+\b", page.read_text(encoding="utf-8")):
        assert name in known, f"{page.name} names {name}"


@pytest.mark.parametrize(("model", "name"), [(PolicyModel, "docs/policy.md"), (DesiredModel, "docs/desired.md")])
def test_every_key_is_on_its_page(model, name, text_of):
    for key in model.model_fields:
        assert f"| `{key}` |" in text_of(name)


@pytest.mark.parametrize("group", list(Group))
def test_every_adapter_is_described(group, text_of):
    page = text_of("docs/policy.md")
    for name in registered(group):
        assert re.search(rf"^##+ .*\b{name}$", page, re.MULTILINE), f"{name} has no heading"


def test_exit_codes_are_those_of_the_program(text_of, table_in):
    rows = table_in(text_of("docs/exit-codes.md"), "# Exit codes")
    assert {(int(code), name.strip("`")) for code, name, _ in rows} == {(code.value, code.name) for code in Exit}


# ---------------------------------------------------------------- why it holds


def test_every_reason_is_explained(text_of):
    page = text_of("docs/decisions.md")
    for code in ReasonCode:
        assert f"`{code.value}`" in page


def test_reasons_end_once_with_the_code_in_the_table(text_of, table_in):
    rows = table_in(text_of("docs/decisions.md"), "| reason | means |")
    assert {row[0].strip("`") for row in rows} == {code.value for code in ReasonCode} - HOLDS_ONLY_AS_MOVES
    for reason, _, _, code in rows:
        word = reason.strip("`")
        document = {"latch": {} if word == "latched" else None, "action": "hold", "reasons": [{"code": word}]}
        assert exit_code_of(document) == int(code), word


def test_the_command_that_lifts_a_hold_is_the_one_that_explain_names(text_of, table_in):
    for reason, _, lifted_by, _ in table_in(text_of("docs/decisions.md"), "| reason | means |"):
        verb = NEXT_STEPS.get(ReasonCode(reason.strip("`")))
        assert verb is None or f"`{verb}`" in lifted_by, reason


# ---------------------------------------------------------------- the log


def test_every_log_message_of_the_code_is_on_the_page_and_no_other(root, text_of):
    code = "\n".join(path.read_text(encoding="utf-8") for path in (root / "canaryd").rglob("*.py"))
    written = set(re.findall(r"\b(?:log|context)\.\w+\(\s*\"([a-z_]+\.[a-z_]+)\"", code))
    written |= {f"rollout.{kind.value}" for kind in EventKind}
    section = text_of("docs/operations.md").partition("\n## Log\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", section))
    actions = {word for word in named if word.startswith("decision.")}
    assert written == named - actions
    assert len(actions) == 6


def test_every_page_of_the_http_surface_is_in_the_table(root, text_of):
    web = (root / "canaryd" / "telemetry" / "web.py").read_text(encoding="utf-8")
    for path in {"/api/v1/rollouts", *re.findall(r'"(/[a-z0-9/]*)"', web)}:
        assert f"| `{path}` |" in text_of("docs/operations.md")
