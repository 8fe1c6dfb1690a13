"""Decisions in plain words: short phrases for reasons, and one sentence for a whole decision.

A sentence says what canaryd does, where, and what is missing or wrong, with numbers and limits, so that a person
knows what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence

from canaryd.core.conditions import Absolute, Condition, Op, State, TimesStable
from canaryd.core.model import Action, Check, Decision, Desired, Outcome, Policy, Reason, ReasonCode, RoleCheck
from canaryd.core.wording import format_duration, format_quantity

MUST = {Op.LT: "under", Op.LE: "at most", Op.GT: "over", Op.GE: "at least"}
MAX_PHRASES = 4
"""A sentence names this many reasons; the rest are counted and stand in ``reasons``."""


def stage_name(policy: Policy, stage: int) -> str:
    """Return ``stage 2 (10 %)``, or ``stable`` for stage 0; a stage of an older policy has no weight here."""
    if not stage:
        return "stable"
    return f"stage {stage} ({format_weight(policy.weight(stage))})" if stage <= policy.last_stage else f"stage {stage}"


def format_weight(weight: float | None) -> str:
    """Return a weight as people write it."""
    return "unknown" if weight is None else f"{weight:g} %"


def limit_in_words(condition: Condition, limit: float | None) -> str:
    """Return ``under 18 s`` or ``under 0.9x stable (14.2 s)``."""
    match condition.limit:
        case State(up):
            return "up" if up else "down"
        case Absolute(value):
            return f"{MUST[condition.op]} {format_quantity(value, condition.unit)}"
        case TimesStable(factor):
            number = "" if limit is None else f" ({format_quantity(limit, condition.unit)})"
            return f"{MUST[condition.op]} {factor:g}x stable{number}"


def gate_in_words(check: Check) -> str:
    """Return what a gate still needs: ``latency.p95 is 19.1 s on canary, must be under 18 s``."""
    if check.outcome in (Outcome.NO_DATA, Outcome.ERROR):
        return unknown_in_words(check)
    must = limit_in_words(check.condition, check.limit)
    return f"{seen_in_words(check)}, must be {must}"


def rule_in_words(role_check: RoleCheck) -> str:
    """Return a rule's breach: ``errors.rate is 3.2 % on canary (rule: errors.rate > 1%, 2 of 3 in a row)``."""
    check = role_check.check
    times = f", {role_check.streak} of {role_check.streak_needed} in a row" if role_check.streak_needed > 1 else ""
    return f"{seen_in_words(check)} (rule: {check.condition.text}{times})"


def seen_in_words(check: Check) -> str:
    """Return ``errors.rate is 3.2 % on canary``."""
    condition = check.condition
    if isinstance(condition.limit, State):
        state = "up" if check.canary else "down"
        return f"{condition.signal} is {state} on canary" + (f" ({check.detail})" if check.detail else "")
    value = "unknown" if check.canary is None else format_quantity(check.canary, condition.unit)
    return f"{condition.signal} is {value} on canary"


def unknown_in_words(check: Check) -> str:
    """Return why a signal is not known: ``errors.rate is not known: canary: no requests``."""
    return f"{check.condition.signal} is not known: {check.detail}"


def listed_once(names: Sequence[str]) -> str:
    """Return ``errors.rate is`` or ``errors.rate and latency.p95 are``, each name once."""
    once = list(dict.fromkeys(names))
    if len(once) == 1:
        return f"{once[0]} is"
    return f"{', '.join(once[:-1])} and {once[-1]} are"


def window_in_words(watched_s: float, window_s: float) -> str:
    """Return ``3 h 12 min of 24 h watched``."""
    return f"{format_duration(watched_s)} of {format_duration(window_s)} watched"


def sentence(policy: Policy, desired: Desired, decision: Decision, stage_before: int) -> str:
    """Return the whole decision as one sentence."""
    here = stage_name(policy, decision.state.stage)
    there = stage_name(policy, stage_before)
    match decision.action:
        case Action.HOLD:
            start = f"Holding at {here}"
        case Action.PROMOTE:
            start = f"Promoting {desired.release} from {there} to {here}"
        case Action.ROLL_BACK:
            start = f"Rolling back {decision.state.release} from {there} to {here}"
        case Action.LOWER:
            start = f"Going down from {there} to {here}"
        case Action.RESTORE:
            start = f"Setting the traffic to {here}"
        case Action.FINISH:
            start = f"Finished at {here}"
    return f"{start}: {join_phrases(decision.reasons)}."


def join_phrases(reasons: Sequence[Reason]) -> str:
    """Return the first few reasons, each only once, and how many more there are."""
    texts = list(dict.fromkeys(reason.text for reason in reasons))
    more = len(texts) - MAX_PHRASES
    shown = "; ".join(texts[:MAX_PHRASES])
    return f"{shown}; and {more} more" if more > 0 else shown


NEXT_STEPS = {
    ReasonCode.PAUSED: "resume",
    ReasonCode.APPROVAL: "approve",
    ReasonCode.LATCHED: "retry",
    ReasonCode.AT_CEILING: "promote",
    ReasonCode.ALL_STABLE: "promote",
    ReasonCode.LOWERED_BY_OTHERS: "retry",
    ReasonCode.FOREIGN_TRAFFIC: "rollback",
}
"""The command of ``canaryd`` that lifts a hold. Other holds end by themselves, or outside canaryd."""
