"""One tick as gauges: a pure function from policy and report to values.

What is not known is left out rather than set to a number that means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from canaryd.core.conditions import Condition, Signal
from canaryd.core.judge import stable_value, value_of
from canaryd.core.model import Action, Outcome, Policy, ReasonCode, RoleCheck, Traffic
from canaryd.core.phases import Phase
from canaryd.core.readings import NoData, Readings, Side, Unread
from canaryd.ports import TickReport
from canaryd.telemetry import catalogue
from canaryd.telemetry.catalogue import MetricSpec
from canaryd.telemetry.instruments import LabelValues

Series = dict[LabelValues, float]
Gauges = dict[MetricSpec, Series]


def gauges_of(policy: Policy, report: TickReport) -> Gauges:
    """Return every gauge of a rollout after one tick."""
    return (
        _standing(policy, report)
        | _weights(policy, report)
        | _progress(policy, report)
        | _signals(policy, report)
        | _checks(report)
        | _daemon(report)
    )


def conditions_of(policy: Policy) -> Iterator[Condition]:
    """Yield every condition that the policy may ever judge."""
    for stage in policy.stages:
        yield from stage.require
        yield from (rule.when for rule in stage.rollback)
    yield from (rule.when for rule in policy.rollback)


def _single(rollout: str, values: Mapping[MetricSpec, float | None]) -> Gauges:
    return {spec: {(rollout,): float(value)} for spec, value in values.items() if value is not None}


def _one_of(rollout: str, words: Iterable[str], present: Iterable[str]) -> Series:
    chosen = set(present)
    return {(rollout, word): float(word in chosen) for word in words}


def _standing(policy: Policy, report: TickReport) -> Gauges:
    state, rollout = report.decision.state, report.rollout
    words: Gauges = {
        catalogue.ROLLOUT_INFO: {(rollout, state.release, state.phase): 1.0},
        catalogue.PHASE: _one_of(rollout, Phase, [state.phase]),
    }
    numbers = {
        catalogue.STAGE: state.stage,
        catalogue.DESIRED_STAGE: report.desired.stage,
        catalogue.LAST_STAGE: policy.last_stage,
        catalogue.ATTEMPT: state.attempt,
        catalogue.EPOCH: state.epoch,
        catalogue.LATCHED: state.latch is not None,
        catalogue.FINISHED: state.phase is Phase.FINISHED,
    }
    return words | _single(rollout, numbers)


def _weights(policy: Policy, report: TickReport) -> Gauges:
    traffic = report.observation.traffic
    observed = traffic.weight if isinstance(traffic, Traffic) else None
    return _single(
        report.rollout,
        {
            catalogue.DESIRED_WEIGHT: policy.weight(report.decision.state.stage) / 100,
            catalogue.OBSERVED_WEIGHT: None if observed is None else observed / 100,
        },
    )


def _progress(policy: Policy, report: TickReport) -> Gauges:
    decision, rollout = report.decision, report.rollout
    state = decision.state
    reasons = [reason.code for reason in decision.reasons] if decision.action is Action.HOLD else []
    holds: Gauges = {catalogue.HOLD: _one_of(rollout, ReasonCode, reasons)}
    seconds = {
        catalogue.WINDOW_WATCHED: state.watched_s,
        catalogue.WINDOW_REQUIRED: policy.stages[state.stage - 1].window_s if state.stage else None,
        catalogue.BLIND: report.at.seconds_since(state.blind_since) if state.blind_since else 0.0,
    }
    return holds | _single(rollout, seconds)


def _signals(policy: Policy, report: TickReport) -> Gauges:
    units = {condition.signal: condition.unit for condition in conditions_of(policy)}
    rollout, readings = report.rollout, report.observation.readings
    values: Series = {
        (rollout, str(signal), side): value
        for signal in units
        for side in Side
        if (value := _last_value(signal, readings, side)) is not None
    }
    return {
        catalogue.SIGNAL_INFO: {(rollout, str(signal), unit): 1.0 for signal, unit in units.items()},
        catalogue.SIGNAL_VALUE: values,
    }


def _last_value(signal: Signal, readings: Readings, side: Side) -> float | None:
    value = value_of(signal, readings.get(signal.metric, side))
    return None if isinstance(value, (NoData, Unread)) else value


def _checks(report: TickReport) -> Gauges:
    checks, rollout = report.decision.checks, report.rollout
    rules = [item for item in checks if item.rule]
    return {
        catalogue.CHECK_VALUE: {
            (*_identity(rollout, item), side): value
            for item in checks
            for side, value in _both_sides(item, report)
            if value is not None
        },
        catalogue.CHECK_LIMIT: {
            _identity(rollout, item): item.check.limit for item in checks if item.check.limit is not None
        },
        catalogue.CHECK_OUTCOME: {
            (rollout, item.check.condition.text, item.role, outcome): float(outcome is item.check.outcome)
            for item in checks
            for outcome in Outcome
        },
        catalogue.RULE_STREAK: {(rollout, item.rule): item.streak for item in rules},
        catalogue.RULE_STREAK_LIMIT: {(rollout, item.rule): item.streak_needed for item in rules},
    }


def _identity(rollout: str, item: RoleCheck) -> LabelValues:
    condition = item.check.condition
    return rollout, str(condition.signal), condition.text, item.role


def _both_sides(item: RoleCheck, report: TickReport) -> tuple[tuple[Side, float | None], ...]:
    stable = stable_value(item, report.decision.state, report.observation.readings)
    return (Side.CANARY, item.check.canary), (Side.STABLE, stable)


def _daemon(report: TickReport) -> Gauges:
    return _single(
        report.rollout,
        {
            catalogue.LAST_TICK: report.at.wall,
            catalogue.INTERVAL: report.decision.next_look_s,
            catalogue.DESIRED_FILE_ERROR: bool(report.desired_error),
        },
    )
