"""Short builders of core values for tests: a condition, a policy, readings, a look."""

from __future__ import annotations

from collections.abc import Mapping

from canaryd.core.conditions import Absolute, Condition, Limit, Op, Signal, State, TimesStable, Unit
from canaryd.core.model import (
    Blind,
    Desired,
    Instant,
    IntervalStep,
    Mark,
    Metric,
    Observation,
    Policy,
    RollbackTarget,
    Rule,
    Stage,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.readings import Counts, Gauge, Health, Histogram, MetricKind, Reading, ReadingKey, Readings, Side

HOUR = 3600.0
INTERVAL_S = 600.0
"""Seconds between looks: long, so that a week is a thousand looks."""
RUN = "run-1"

METRICS = {
    "errors": Metric(name="errors", kind=MetricKind.COUNTS, unit=Unit.RATIO),
    "latency": Metric(name="latency", kind=MetricKind.HISTOGRAM, unit=Unit.SECONDS),
    "confidence": Metric(name="confidence", kind=MetricKind.GAUGE, unit=Unit.NUMBER),
    "memory": Metric(name="memory", kind=MetricKind.GAUGE, unit=Unit.RATIO),
    "health": Metric(name="health", kind=MetricKind.HEALTH, unit=Unit.STATE),
}


def condition(text: str) -> Condition:
    """Return a condition from ``errors.rate < 0.01``; base units, ``0.9x`` is times stable."""
    name, op, quantity = text.split(" ", 2)
    metric, _, stat = name.partition(".")
    limit: Limit
    if quantity in ("up", "down"):
        limit = State(up=quantity == "up")
    elif quantity.endswith("x"):
        limit = TimesStable(float(quantity[:-1]))
    else:
        limit = Absolute(float(quantity))
    unit = METRICS[metric].unit if not stat.startswith(("count",)) else Unit.NUMBER
    return Condition(signal=Signal(metric, stat), op=Op(op), limit=limit, unit=unit, text=text)


def rule(text: str, streak: int = 1, to: RollbackTarget | int = RollbackTarget.PREVIOUS, at_least: int = 0) -> Rule:
    """Return a rule named by its own text."""
    return Rule(name=text, when=condition(text), streak=streak, to=to, at_least=at_least)


def stage(
    weight: float, window_s: float | None = None, *require: str, at_least: int = 0, approval: bool = False
) -> Stage:
    """Return a stage whose gates are written as conditions."""
    gates = tuple(condition(text) for text in require)
    return Stage(weight=weight, window_s=window_s, require=gates, at_least=at_least, approval=approval)


def plan(
    *, interval_s: float = INTERVAL_S, digest: str = "plan", approval: bool = False, blind: Blind | None = None
) -> Policy:
    """Return the five-stage plan: 5/10/25/50/100 % for 24/24/48/72 hours, with its gates and rules."""
    return Policy(
        rollout="ion-api",
        digest=digest,
        intervals=(IntervalStep(interval_s),),
        metrics=METRICS,
        stages=(
            stage(5, 24 * HOUR, "errors.rate < 0.01", "latency.p95 < 15", "errors.success > 0.95", "confidence > 0.75"),
            stage(
                10, 24 * HOUR, "errors.rate < 0.015", "latency.p95 < 18", "errors.success > 0.93", "confidence > 0.73"
            ),
            stage(25, 48 * HOUR, "errors.rate < 0.02", "latency.p95 < 20", "errors.success > 0.91"),
            stage(50, 72 * HOUR, "errors.rate < 0.025", "latency.mean < 0.9x"),
            stage(100, None, approval=approval),
        ),
        rollback=(
            rule("errors.rate > 0.01", 3),
            rule("latency.p95 > 25", 3),
            rule("memory > 0.85", 2),
            rule("errors.rate > 0.05", 1, RollbackTarget.STABLE, at_least=20),
            rule("health is down", 3, RollbackTarget.STABLE),
        ),
        blind=blind or Blind(),
    )


def desired(stage: int = 5, **changes: object) -> Desired:
    """Return what people want."""
    return Desired(**{"release": "rev-2", "stage": stage, **changes})  # type: ignore[arg-type]


def instant(at_s: float, run: str = RUN) -> Instant:
    """Return a moment ``at_s`` seconds into the test."""
    return Instant(wall=at_s, elapsed=at_s, run=run)


def counts(at_s: float, total: float = 100.0, bad: float = 0.0, span_s: float = INTERVAL_S) -> Counts:
    """Return counts of the interval that ends at ``at_s``."""
    return Counts(bad=bad, total=total, span_s=span_s, newest_at=at_s)


def latencies(at_s: float, seconds: float, total: float = 100.0, span_s: float = INTERVAL_S) -> Histogram:
    """Return a histogram in which every request took about ``seconds``."""
    bounds = (0.1, 0.5, 1.0, 5.0, 10.0, 15.0, 20.0, 30.0, float("inf"))
    buckets = tuple((bound, total if bound >= seconds else 0.0) for bound in bounds)
    return Histogram(buckets=buckets, total_value=seconds * total, span_s=span_s, newest_at=at_s)


def look_readings(
    at_s: float,
    *,
    canary: Mapping[str, Reading] | None = None,
    stable: Mapping[str, Reading] | None = None,
) -> Readings:
    """Return a healthy look at both sides, with some readings replaced."""

    def side(latency_s: float, changes: Mapping[str, Reading] | None) -> dict[str, Reading]:
        healthy: dict[str, Reading] = {
            "errors": counts(at_s),
            "latency": latencies(at_s, latency_s),
            "confidence": Gauge(value=0.9, newest_at=at_s),
            "memory": Gauge(value=0.4, newest_at=at_s),
            "health": Health(up=True, detail="", newest_at=at_s),
        }
        return healthy | dict(changes or {})

    by_key: dict[ReadingKey, Reading] = {}
    by_key.update({(metric, Side.CANARY): reading for metric, reading in side(4.0, canary).items()})
    by_key.update({(metric, Side.STABLE): reading for metric, reading in side(8.0, stable).items()})
    return Readings(by_key)


def served(weight: float | None, mark: Mark | None = None, version: str = "v1", *, settled: bool = True) -> Traffic:
    """Return the router's traffic."""
    return Traffic(weight=weight, version=version, mark=mark, settled=settled)


def seen(traffic: Traffic | TrafficUnreadable, readings: Readings) -> Observation:
    """Return one observation."""
    return Observation(traffic=traffic, readings=readings)
