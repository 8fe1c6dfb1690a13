"""A policy file becomes the core's policy; what does not fit is told in one line at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from canaryd.config.border import Border
from canaryd.config.policy import PolicyFile, load_policy, parse_policy
from canaryd.core.conditions import Absolute, TimesStable, Unit
from canaryd.core.model import IntervalStep, RollbackTarget
from canaryd.core.readings import MetricKind, Side
from canaryd.errors import InvalidFile, Location

HERE = Path("ion-api.yaml")


def parse(text: str) -> PolicyFile:
    return parse_policy(text, HERE)


# ---------------------------------------------------------------- what is right


def test_the_ladder_is_read(policy_file: PolicyFile) -> None:
    stages = policy_file.policy.stages
    assert [stage.weight for stage in stages] == [5, 10, 50, 100]
    assert [stage.window_s for stage in stages] == [86400, 86400, 259200, None]
    assert [stage.at_least for stage in stages] == [500, 0, 0, 0]
    assert [stage.approval for stage in stages] == [False, False, False, True]
    assert [condition.limit for condition in stages[0].require] == [Absolute(0.01), Absolute(15), Absolute(0.75)]
    assert stages[2].require[0].limit == TimesStable(0.9)


def test_rules_are_named_by_their_condition(policy_file: PolicyFile) -> None:
    rules = policy_file.policy.rollback
    assert [(rule.name, rule.streak, rule.to) for rule in rules] == [
        ("errors.rate > 1%", 3, RollbackTarget.PREVIOUS),
        ("memory > 85%", 2, RollbackTarget.PREVIOUS),
        ("errors.rate > 5%", 1, RollbackTarget.STABLE),
        ("health is down", 3, RollbackTarget.STABLE),
    ]


def test_rules_of_a_stage_carry_its_number(policy_text: str) -> None:
    rule = "{when: errors.rate > 1%, to: stage 1, at_least: 20 requests}"
    text = policy_text.replace("- {weight: 50,", f"- {{weight: 50, rollback: [{rule}],")
    (rule_at_3,) = parse(text).policy.stages[2].rollback
    assert (rule_at_3.name, rule_at_3.to, rule_at_3.at_least) == ("errors.rate > 1% at stage 3", 1, 20)


def test_metrics_get_their_kind_and_unit(policy_file: PolicyFile) -> None:
    metrics = policy_file.policy.metrics
    assert {name: (metric.kind, metric.unit) for name, metric in metrics.items()} == {
        "errors": (MetricKind.COUNTS, Unit.NUMBER),
        "latency": (MetricKind.HISTOGRAM, Unit.SECONDS),
        "confidence": (MetricKind.GAUGE, Unit.NUMBER),
        "memory": (MetricKind.GAUGE, Unit.RATIO),
        "health": (MetricKind.HEALTH, Unit.STATE),
    }


def test_every_metric_is_asked_for_on_both_sides_in_order(policy_file: PolicyFile) -> None:
    queries = policy_file.queries
    names = [name for name in policy_file.policy.metrics for _ in Side]
    assert [query.metric for query in queries] == names
    assert [query.side for query in queries] == [Side.STABLE, Side.CANARY] * 5
    assert queries[0].expressions.keys() == {"bad", "total"}
    assert queries[0].target == {"service": "ion-api", "url": "http://127.0.0.1:9001", "port": "9001"}
    assert queries[-1].target["service"] == "ion-api-canary"
    assert queries[-1].expressions == {"path": "/health"}
    assert queries[-1].up == {"status": "healthy", "pipeline_ready": True}


def test_the_interval_may_change_with_a_stages_age(policy_file: PolicyFile) -> None:
    assert policy_file.policy.intervals == (IntervalStep(30, 900), IntervalStep(300))


def test_what_is_left_out_has_a_default(policy_text: str) -> None:
    lines = [line for line in policy_text.splitlines(keepends=True) if not line.startswith(("interval", "blind"))]
    loaded = parse("".join(lines))
    assert loaded.policy.intervals == (IntervalStep(30),)
    assert (loaded.policy.blind.page_after_s, loaded.policy.blind.roll_back_after_s) == (120, None)
    assert loaded.state.type == "sqlite"
    assert [section.type for section in loaded.notify] == ["log"]


def test_being_blind_may_roll_back(policy_text: str) -> None:
    loaded = parse(policy_text.replace("roll_back_after: never", "roll_back_after: 1h"))
    assert loaded.policy.blind.roll_back_after_s == 3600


def test_a_policy_is_loaded_from_its_path(tmp_path: Path, policy_text: str) -> None:
    (tmp_path / "ion-api.yaml").write_text(policy_text)
    loaded = load_policy(tmp_path / "ion-api.yaml")
    assert (loaded.path, loaded.desired) == (tmp_path / "ion-api.yaml", "ion-api.desired.yaml")


# ---------------------------------------------------------------- the digest

JUDGES_OR_ROUTES = [
    ("weight: 5,", "weight: 6,"),
    ("window: 72h", "window: 71h"),
    ("errors.rate > 5%, to: stable", "errors.rate > 5%"),
    ("page_after: 2m", "page_after: 3m"),
    ("path: canary.json", "path: other.json"),
    ("127.0.0.1:9090", "127.0.0.1:9091"),
    ("service: ion-api,", "service: ion-apj,"),
    ("approval: required", "window: 1h"),
    ("every: 5m", "every: 6m"),
]
NEITHER = [
    ("# a path", "# another comment"),
    ("desired: ion-api.desired.yaml", "desired: elsewhere.yaml"),
    ("blind: {page_after: 2m, roll_back_after: never}", "blind: {roll_back_after: never, page_after: 120s}"),
    ("rollback:\n", "state: {type: sqlite, path: x.db}\nnotify: []\nrollback:\n"),
    ("unit: s}", "'unit': 's' }"),
    ("window: 72h", "window: 3d"),
]


@pytest.mark.parametrize(("old", "new"), JUDGES_OR_ROUTES)
def test_the_digest_changes_with_what_judges_or_routes(policy_text: str, old: str, new: str) -> None:
    assert old in policy_text
    assert parse(policy_text.replace(old, new)).policy.digest != parse(policy_text).policy.digest


@pytest.mark.parametrize(("old", "new"), NEITHER)
def test_the_digest_does_not_change_with_anything_else(policy_text: str, old: str, new: str) -> None:
    assert old in policy_text
    assert parse(policy_text.replace(old, new)).policy.digest == parse(policy_text).policy.digest


# ---------------------------------------------------------------- sections


class Options(Border):
    url: str
    retries: int = Field(0, ge=0)


def test_a_section_becomes_the_adapters_own_options(policy_file: PolicyFile) -> None:
    prom = policy_file.sources["prom"]
    assert (prom.type, prom.name) == ("prometheus", "prom")
    assert prom.parse(Options).url == "http://127.0.0.1:9090"
    assert prom.at("url") == Location("ion-api.yaml", 8, 33)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{type: p, urk: x}", "8:19: unknown key urk; expected one of url, retries. Did you mean url?"),
        ("{type: p}", "8:9: the key url is missing"),
        ("{type: p, url: 3}", "8:24: the key url has a wrong value; found the number 3; expected text"),
        ("{type: p, url: x, retries: -1}", "8:36: the key retries has a wrong value; found the number -1; expected at"),
    ],
)
def test_an_adapters_options_are_refused_at_their_own_line(policy_text: str, section: str, message: str) -> None:
    loaded = parse(policy_text.replace("{type: prometheus, url: http://127.0.0.1:9090}", section))
    with pytest.raises(InvalidFile) as caught:
        loaded.sources["prom"].parse(Options)
    assert str(caught.value).startswith(f"ion-api.yaml:{message}")
