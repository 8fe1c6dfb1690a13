"""The shape of both files as pydantic models: the source of checks and of the JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from canaryd.config.border import Border
from canaryd.config.fields import (
    ConditionText,
    Count,
    DurationOrNever,
    ExpectedValue,
    Expression,
    Interval,
    Label,
    Line,
    Name,
    Release,
    RolloutName,
    Target,
    Window,
)
from canaryd.config.misfit import Misfit, shown

MAX_STAGES = 50
MAX_RULES = 100
MAX_METRICS = 50
MAX_SOURCES = 20
MAX_NOTIFIERS = 20
MAX_LABELS = 50
MAX_REQUIRED = 50
MAX_INTERVALS = 20

UnitName = Literal["s", "bytes", "ratio", "number"]


class SectionModel(Border):
    """A part of the policy that an adapter reads: its type, and options that only the adapter knows."""

    model_config = ConfigDict(extra="allow")

    type: Name = Field(description="Which adapter: the name it is registered under.")


class IntervalModel(Border):
    """How often to look while a stage is younger than ``until``."""

    every: Interval = Field(description="Time between two looks.")
    until: Window | None = Field(None, description="Age of the stage up to which this holds; only the last has none.")


class CountsMetric(Border):
    """Bad and total events: gives ``rate``, ``success`` and ``count``."""

    source: Name = Field(description="One of the sources.")
    bad: Expression = Field(description="What counts the failures.")
    total: Expression = Field(description="What counts all events.")
    path: Line | None = Field(None, description="Path to read instead of the source's own.")


class HistogramMetric(Border):
    """Cumulative buckets: gives ``p1`` to ``p99.9``, ``mean`` and ``count``."""

    source: Name = Field(description="One of the sources.")
    histogram: Expression = Field(description="What gives the buckets, by ``le``.")
    sum: Expression | None = Field(None, description="What gives the sum of all values, for ``mean``.")
    unit: UnitName = Field("s", description="Unit of the observed values.")
    path: Line | None = Field(None, description="Path to read instead of the source's own.")


class GaugeMetric(Border):
    """One number, judged by the metric's name alone."""

    source: Name = Field(description="One of the sources.")
    value: Expression = Field(description="What gives the number.")
    unit: UnitName = Field("number", description="Unit of the number.")
    path: Line | None = Field(None, description="Path to read instead of the source's own.")


class HealthMetric(Border):
    """Up or down, judged by the metric's name alone."""

    source: Name = Field(description="One of the sources.")
    up: dict[Line, ExpectedValue] = Field(description="What the health document must say.", max_length=MAX_LABELS)
    path: Line | None = Field(None, description="Path to read instead of the source's own.")


_KIND_BY_KEY = {
    "bad": "CountsMetric",
    "total": "CountsMetric",
    "histogram": "HistogramMetric",
    "sum": "HistogramMetric",
    "value": "GaugeMetric",
    "up": "HealthMetric",
}
_KEYS = {
    "CountsMetric": "bad and total",
    "HistogramMetric": "histogram (and sum)",
    "GaugeMetric": "value",
    "HealthMetric": "up",
}


def _kinds(value: Mapping[str, object]) -> list[str]:
    """Return the kinds of metric whose keys a mapping has."""
    return list(dict.fromkeys(kind for key, kind in _KIND_BY_KEY.items() if key in value))


def _of_one_kind(value: object) -> object:
    if not isinstance(value, dict):
        raise Misfit("not a metric", found=shown(value), expected="a mapping with source")
    kinds = _kinds(value)
    if len(kinds) == 1:
        return value
    keys = ", ".join(key for key in _KIND_BY_KEY if key in value)
    problem = "the keys of several kinds of metric are mixed" if kinds else "a metric needs something to read"
    expected = "; or ".join(_KEYS[kind] for kind in kinds or _KEYS)
    raise Misfit(problem, found=keys, expected=f"either {expected}")


def _tag(value: object) -> str:
    return f"<{_kinds(value)[0]}>" if isinstance(value, dict) else f"<{type(value).__name__}>"


MetricModel = Annotated[
    Annotated[CountsMetric, Tag("<CountsMetric>")]
    | Annotated[HistogramMetric, Tag("<HistogramMetric>")]
    | Annotated[GaugeMetric, Tag("<GaugeMetric>")]
    | Annotated[HealthMetric, Tag("<HealthMetric>")],
    Discriminator(_tag),
    BeforeValidator(_of_one_kind),
]


class RuleModel(Border):
    """What sends a release back: a condition that holds several looks in a row."""

    when: ConditionText = Field(description="The condition, judged on the last look.")
    streak: int = Field(1, alias="for", ge=1, le=1000, description="Looks in a row that must break it.")
    to: Target = Field("previous", validate_default=True, description="previous, stable or stage N.")
    at_least: Count | None = Field(None, description="Requests to gather before a look is judged.")
    name: Line | None = Field(None, description="A name for reports; the condition if left out.")


class StageModel(Border):
    """One step of the ladder."""

    weight: float = Field(gt=0, le=100, description="Percent of requests sent to the canary.")
    window: Window | None = Field(None, description="Time to be watched here; only the last stage has none.")
    require: list[ConditionText] = Field([], max_length=MAX_REQUIRED, description="What must hold to leave the stage.")
    at_least: Count | None = Field(None, description="Requests that each side must have served here.")
    approval: Literal["required"] | None = Field(None, description="A person must agree before it is entered.")
    rollback: list[RuleModel] = Field([], max_length=MAX_RULES, description="Rules of this stage alone.")


class BlindModel(Border):
    """What to do about time without usable samples."""

    page_after: Window = Field("2m", validate_default=True, description="Tell people after this long.")
    roll_back_after: DurationOrNever = Field("never", validate_default=True, description="Go back after this long.")


def _interval_tag(value: object) -> str:
    return "<list>" if isinstance(value, list) else "<duration>"


class PolicyModel(Border):
    """A policy: how to judge a release and how to climb."""

    rollout: RolloutName = Field(description="The service being moved.")
    desired: Line = Field(description="The desired-state file; a relative path starts at this file.")
    interval: Annotated[
        Annotated[list[IntervalModel], Field(min_length=1, max_length=MAX_INTERVALS), Tag("<list>")]
        | Annotated[Interval, Tag("<duration>")],
        Discriminator(_interval_tag),
    ] = Field("30s", validate_default=True, description="How often to look.")
    stable: dict[Name, Label] = Field(max_length=MAX_LABELS, description="Labels of the stable side.")
    canary: dict[Name, Label] = Field(max_length=MAX_LABELS, description="Labels of the canary side.")
    router: SectionModel = Field(description="What moves the traffic.")
    state: SectionModel = Field({"type": "sqlite"}, validate_default=True, description="Where state is kept.")
    notify: list[SectionModel] = Field(
        [{"type": "log"}], validate_default=True, max_length=MAX_NOTIFIERS, description="Who is told."
    )
    sources: dict[Name, SectionModel] = Field(max_length=MAX_SOURCES, description="Where metrics come from.")
    metrics: dict[Name, MetricModel] = Field(min_length=1, max_length=MAX_METRICS, description="What is measured.")
    stages: list[StageModel] = Field(min_length=1, max_length=MAX_STAGES, description="The ladder, lowest first.")
    rollback: list[RuleModel] = Field([], max_length=MAX_RULES, description="What sends a release back.")
    blind: BlindModel = Field({}, validate_default=True, description="What to do without samples.")


StageNumber = Annotated[int, Field(ge=1, le=MAX_STAGES)]


class DesiredModel(Border):
    """What people want: which release, and how far it may go."""

    release: Release = Field(description="What is being rolled out: a revision or an image tag.")
    stage: int = Field(ge=0, le=MAX_STAGES, description="Climb no higher; lower it to go back, 0 is all stable.")
    attempt: int = Field(1, ge=1, le=10**6, description="Raise it to try a rolled-back release again.")
    paused: bool = Field(False, description="Hold where it is.")
    approved: list[StageNumber] = Field([], max_length=MAX_STAGES, description="Stages a person agrees to enter.")
    waived: list[StageNumber] = Field(
        [], max_length=MAX_STAGES, description="Stages whose remaining window need not be waited for."
    )
