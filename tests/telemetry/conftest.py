import asyncio
from dataclasses import dataclass, replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from canaryd.core.conditions import Absolute, Condition, Op, Signal, State, TimesStable, Unit
from canaryd.core.judge import check_gate, check_rule
from canaryd.core.model import (
    Action,
    CheckRole,
    Decision,
    Desired,
    Instant,
    IntervalStep,
    Metric,
    Observation,
    Policy,
    Reason,
    ReasonCode,
    RoleCheck,
    RolloutState,
    Rule,
    Stage,
    Traffic,
)
from canaryd.core.phases import Phase
from canaryd.core.readings import Counts, Gauge, Health, MetricKind, Readings, Side
from canaryd.ports import TickOutcome, TickReport
from canaryd.telemetry.instruments import Instruments
from canaryd.telemetry.recorder import MetricsRecorder

# Without this, Python 3.11 makes an event loop when the pytest plugin asks for the current one, and nobody closes it.
asyncio.set_event_loop(None)

ERRORS = Condition(Signal("errors", "rate"), Op.LT, Absolute(0.01), Unit.RATIO, "errors.rate < 1%")
MEMORY = Condition(Signal("memory"), Op.LT, TimesStable(1.5), Unit.RATIO, "memory < 1.5x stable")
TOO_MANY_ERRORS = Condition(Signal("errors", "rate"), Op.GT, Absolute(0.05), Unit.RATIO, "errors.rate > 5%")
DOWN = Condition(Signal("health"), Op.IS, State(up=False), Unit.STATE, "health is down")


class HandClock:
    """A clock that a test moves by hand."""

    def __init__(self):
        self.elapsed = 0.0

    def now(self):
        return Instant(wall=1_700_000_000.0 + self.elapsed, elapsed=self.elapsed, run="test")

    async def sleep(self, seconds):
        self.elapsed += seconds


@dataclass
class Page:
    """The metrics page as a scraper reads it."""

    text: str

    def value(self, name, **labels):
        found = [sample.value for sample in self.samples(name) if labels.items() <= sample.labels.items()]
        assert len(found) <= 1, f"several series of {name} match {labels}"
        return found[0] if found else None

    def samples(self, name):
        families = text_string_to_metric_families(self.text)
        return [sample for family in families for sample in family.samples if sample.name == name]

    def chosen(self, name, label):
        return [sample.labels[label] for sample in self.samples(name) if sample.value == 1]


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def policy():
    return Policy(
        rollout="shop",
        digest="d1",
        intervals=(IntervalStep(30),),
        metrics={
            "errors": Metric(name="errors", kind=MetricKind.COUNTS, unit=Unit.RATIO),
            "memory": Metric(name="memory", kind=MetricKind.GAUGE, unit=Unit.RATIO),
            "health": Metric(name="health", kind=MetricKind.HEALTH, unit=Unit.STATE),
        },
        stages=(
            Stage(weight=5, window_s=600, require=(ERRORS, MEMORY)),
            Stage(weight=100, rollback=(Rule(name="down", when=DOWN, streak=3),)),
        ),
        rollback=(Rule(name="too many errors", when=TOO_MANY_ERRORS, streak=2),),
    )


@pytest.fixture
def readings():
    """Canary: 2 errors in 100 requests; stable: none in 900. The canary's health is not asked for."""
    at = {"newest_at": 1_700_000_000.0}
    return Readings(
        {
            ("errors", Side.CANARY): Counts(bad=2, total=100, span_s=30, **at),
            ("errors", Side.STABLE): Counts(bad=0, total=900, span_s=30, **at),
            ("memory", Side.CANARY): Gauge(value=0.6, **at),
            ("memory", Side.STABLE): Gauge(value=0.5, **at),
            ("health", Side.CANARY): Health(up=True, detail="", **at),
        }
    )


@pytest.fixture
def state(clock):
    return RolloutState(
        rollout="shop",
        policy="d1",
        release="r7",
        attempt=2,
        phase=Phase.WATCHING,
        stage=1,
        epoch=4,
        watched_s=120.0,
    )


@pytest.fixture
def hold(clock, state, readings):
    """A tick that holds at stage 1 because of the window and of a gate."""
    checks = (
        RoleCheck(role=CheckRole.GATE_NOW, check=check_gate(ERRORS, readings)),
        RoleCheck(role=CheckRole.GATE_NOW, check=check_gate(MEMORY, readings)),
        RoleCheck(
            role=CheckRole.RULE,
            check=check_rule(TOO_MANY_ERRORS, readings),
            rule="too many errors",
            streak=1,
            streak_needed=2,
        ),
    )
    reasons = (Reason(code=ReasonCode.WINDOW, text="2 min of 10 min"), Reason(code=ReasonCode.GATE, text="errors"))
    return TickReport(
        rollout="shop",
        at=clock.now(),
        decision=Decision(action=Action.HOLD, state=state, reasons=reasons, checks=checks, next_look_s=30),
        observation=Observation(traffic=Traffic(weight=5.0, version="v1"), readings=readings),
        summary="Holding at stage 1.",
        outcome=TickOutcome.HELD,
        duration_s=0.2,
        desired=Desired(release="r7", stage=2, attempt=2),
    )


@pytest.fixture
def decide():
    """Return a report with another decision: its action, its state's fields, and what came of it."""

    def changed(report, action, outcome=TickOutcome.ACTED, **state_fields):
        state = replace(report.decision.state, **state_fields)
        return replace(report, decision=replace(report.decision, action=action, state=state), outcome=outcome)

    return changed


@pytest.fixture
def instruments():
    return Instruments(version="1.2.3")


@pytest.fixture
def recorder(policy, instruments):
    return MetricsRecorder(policy, instruments)


@pytest.fixture
def scrape(instruments):
    return lambda: Page(generate_latest(instruments.registry).decode())
