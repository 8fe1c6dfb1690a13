"""The status document: one rollout after one tick, as JSON. HTTP, the store and ``canaryd status`` show this one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from canaryd.core.conditions import Unit
from canaryd.core.explain import NEXT_STEPS
from canaryd.core.judge import stable_value
from canaryd.core.model import Policy, RoleCheck, Stage, Traffic
from canaryd.core.readings import Counts, Gauge, Health, Histogram, NoData, Reading, Unread
from canaryd.ports import TickReport

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


def document(report: TickReport, policy: Policy) -> str:
    """Return the status document as one line of JSON."""
    return json.dumps(describe(report, policy), separators=(",", ":"), allow_nan=False)


def describe(report: TickReport, policy: Policy) -> dict[str, Json]:
    """Return the status of a rollout as plain data. Weights in percent, durations in seconds, times in Unix seconds."""
    decision, state, traffic = report.decision, report.decision.state, report.observation.traffic
    stage = policy.stages[state.stage - 1] if 0 < state.stage <= policy.last_stage else None
    return {
        "rollout": report.rollout,
        "release": state.release,
        "attempt": state.attempt,
        "phase": state.phase.value,
        "stage": state.stage,
        "last_stage": policy.last_stage,
        "stages": [_stage(number, one) for number, one in enumerate(policy.stages, start=1)],
        "desired_stage": report.desired.stage,
        "paused": report.desired.paused,
        "approved": [*sorted(report.desired.approved - state.spent_approvals)],
        "waived": [*sorted(report.desired.waived - state.spent_waivers)],
        "desired_error": report.desired_error,
        "weight": stage.weight if stage else 0.0,
        "observed_weight": traffic.weight if isinstance(traffic, Traffic) else None,
        "settled": isinstance(traffic, Traffic) and traffic.settled,
        "epoch": state.epoch,
        "healthy": is_healthy(report),
        "action": decision.action.value,
        "outcome": report.outcome.value,
        "summary": report.summary,
        "reasons": [{"code": reason.code.value, "text": reason.text} for reason in decision.reasons],
        "next_steps": _next_steps(report),
        "change": _change(report),
        "watched_s": state.watched_s,
        "window_s": stage.window_s if stage else None,
        "entered_at": state.entered.wall if state.entered else None,
        "opened_at": state.opened.wall if state.opened else None,
        "blind_since": state.blind_since.wall if state.blind_since else None,
        "powerless_since": state.powerless_since.wall if state.powerless_since else None,
        "latch": _latch(report),
        "checks": [_check(check, report) for check in decision.checks],
        "readings": [
            {"metric": metric, "side": side.value, **_reading(reading)}
            for (metric, side), reading in report.observation.readings.by_key.items()
        ],
        "journal": [
            {"at": line.at, "kind": line.kind, "text": line.text, "stage": line.stage, "release": line.release}
            for line in report.journal
        ],
        "at": report.at.wall,
        "next_look_s": decision.next_look_s,
        "duration_s": report.duration_s,
    }


def is_healthy(report: TickReport) -> bool:
    """Whether the release may go on as far as canaryd can tell: not taken back, nothing in breach, nothing unknown."""
    state = report.decision.state
    cannot = state.blind_since is not None or state.powerless_since is not None
    if state.latch is not None or cannot or report.desired_error:
        return False
    return not any(check.streak for check in report.decision.checks)


def _stage(number: int, stage: Stage) -> Json:
    return {
        "stage": number,
        "weight": stage.weight,
        "window_s": stage.window_s,
        "approval": stage.approval,
        "require": [condition.text for condition in stage.require],
    }


def _next_steps(report: TickReport) -> Json:
    """Return the exact commands with which a person can lift the holds."""
    verbs = dict.fromkeys(NEXT_STEPS[reason.code] for reason in report.decision.reasons if reason.code in NEXT_STEPS)
    return [f"canaryd {verb} {report.policy_file}" for verb in verbs]


def _change(report: TickReport) -> Json:
    change = report.decision.change
    return None if change is None else {"weight": change.weight, "epoch": change.mark.epoch}


def _latch(report: TickReport) -> Json:
    latch = report.decision.state.latch
    if latch is None:
        return None
    return {
        "reason": latch.reason,
        "rule": latch.rule,
        "from_stage": latch.from_stage,
        "to_stage": latch.to_stage,
        "at": latch.at,
    }


def _check(role_check: RoleCheck, report: TickReport) -> Json:
    check = role_check.check
    return {
        "role": role_check.role.value,
        "condition": check.condition.text,
        "signal": str(check.condition.signal),
        "unit": check.condition.unit.value,
        "outcome": check.outcome.value,
        "canary": _number(check.canary, check.condition.unit),
        "stable": _number(_stable_value(role_check, report), check.condition.unit),
        "limit": _number(check.limit, check.condition.unit),
        "detail": check.detail,
        "rule": role_check.rule,
        "streak": role_check.streak,
        "streak_needed": role_check.streak_needed,
    }


def _stable_value(role_check: RoleCheck, report: TickReport) -> float | None:
    return stable_value(role_check, report.decision.state, report.observation.readings)


def _number(value: float | None, unit: Unit) -> Json:
    return None if value is None else bool(value) if unit is Unit.STATE else value


def _reading(reading: Reading) -> Mapping[str, Json]:
    match reading:
        case Counts():
            return {"kind": "counts", "bad": reading.bad, "total": reading.total, "span_s": reading.span_s}
        case Histogram():
            return {"kind": "histogram", "count": reading.count, "sum": reading.total_value, "span_s": reading.span_s}
        case Gauge():
            return {"kind": "gauge", "value": reading.value}
        case Health():
            return {"kind": "health", "up": reading.up, "detail": reading.detail, "version": reading.version}
        case NoData() | Unread():
            return {"kind": "none", "why": reading.why.value, "detail": reading.detail}
