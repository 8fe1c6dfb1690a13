"""Four-valued checks: pass, fail, no data, error.

A gate passes when its condition holds; a rule fails when its condition holds. No data and error are neither
good nor bad: they never promote and never count as a breach. Each sample is judged once: a reading that
brings no newer point than the last leaves a streak as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from canaryd.core.conditions import COMPARISONS, Absolute, Condition, Signal, State
from canaryd.core.model import Check, CheckRole, Outcome, RoleCheck, RolloutState, Rule, Track
from canaryd.core.readings import (
    NOTHING_YET,
    Absence,
    Counts,
    Fault,
    Gauge,
    Health,
    Histogram,
    NoData,
    Reading,
    Readings,
    Side,
    Unread,
    add,
    is_beyond,
    quantile,
)

NEW_TRACK = Track()


Value = float | NoData | Unread
"""A signal's number in its base unit (up is 1, down is 0), or why there is none."""

NO_REQUESTS = NoData(why=Absence.NO_TRAFFIC, detail="no requests")


def value_of(signal: Signal, reading: Reading) -> Value:
    """Return a signal's value in one reading."""
    evaluate = EVALUATORS.get(type(reading))
    return evaluate(signal.stat, reading) if evaluate else reading  # type: ignore[return-value]


def _count_value(stat: str, counts: Counts) -> Value:
    if stat == "count":
        return counts.total
    if counts.total <= 0:
        return NO_REQUESTS
    rate = counts.bad / counts.total
    return rate if stat == "rate" else 1.0 - rate


def _histogram_value(stat: str, histogram: Histogram) -> Value:
    if stat == "count":
        return histogram.count
    if histogram.count <= 0:
        return NO_REQUESTS
    if stat == "mean":
        if histogram.total_value is None:
            return Unread(why=Fault.BAD_ANSWER, detail="the source gives no sum, so there is no mean")
        return histogram.total_value / histogram.count
    return quantile(histogram, percentile(stat))


@cache
def percentile(stat: str) -> float:
    """Return 0.95 for ``p95``."""
    return float(stat[1:]) / 100


EVALUATORS: Mapping[type, Callable[[str, Any], Value]] = {
    Counts: _count_value,
    Histogram: _histogram_value,
    Gauge: lambda _stat, gauge: gauge.value,
    Health: lambda _stat, health: float(health.up),
}


def events_in(reading: Reading) -> float:
    """Return how many requests a reading speaks of."""
    match reading:
        case Counts():
            return reading.total
        case Histogram():
            return reading.count
        case _:
            return 0.0


def check_gate(condition: Condition, readings: Readings) -> Check:
    """Judge a gate: PASS when its condition holds."""
    return _check(condition, readings, Outcome.PASS, Outcome.FAIL)


def check_rule(condition: Condition, readings: Readings) -> Check:
    """Judge a rule: FAIL when its condition holds."""
    return _check(condition, readings, Outcome.FAIL, Outcome.PASS)


def _check(condition: Condition, readings: Readings, when_held: Outcome, otherwise: Outcome) -> Check:
    signal = condition.signal
    reading = readings.get(signal.metric, Side.CANARY)
    canary = value_of(signal, reading)
    limit = _limit(condition, readings)
    if isinstance(canary, (NoData, Unread)):
        return _unknown(condition, Side.CANARY, canary)
    if isinstance(limit, (NoData, Unread)):
        return _unknown(condition, Side.STABLE, limit, canary=canary)
    if isinstance(reading, Histogram) and limit > canary and _is_beyond(signal, reading, canary):
        return _unknown(condition, Side.CANARY, _beyond(signal, reading), canary=canary)
    held = COMPARISONS[condition.op](canary, limit)
    detail = reading.detail if isinstance(reading, Health) else ""
    return Check(condition, when_held if held else otherwise, canary, limit, detail)


def _limit(condition: Condition, readings: Readings) -> float | NoData | Unread:
    """Return the number to compare with; a limit relative to stable is as unknown as stable is."""
    wanted = condition.limit
    if isinstance(wanted, Absolute):
        return wanted.value
    if isinstance(wanted, State):
        return float(wanted.up)
    reading = readings.get(condition.signal.metric, Side.STABLE)
    stable = value_of(condition.signal, reading)
    if isinstance(stable, (NoData, Unread)):
        return stable
    if isinstance(reading, Histogram) and _is_beyond(condition.signal, reading, stable):
        return _beyond(condition.signal, reading)
    return wanted.factor * stable


def _is_beyond(signal: Signal, histogram: Histogram, value: float) -> bool:
    return signal.stat.startswith("p") and is_beyond(histogram, value)


def _beyond(signal: Signal, histogram: Histogram) -> NoData:
    highest = histogram.buckets[-2][0]
    detail = f"{signal.stat} is above the histogram's highest bucket bound ({highest:g}), and nobody knows by how much"
    return NoData(why=Absence.BEYOND_BUCKETS, detail=detail)


def _unknown(
    condition: Condition,
    side: Side,
    cause: NoData | Unread,
    *,
    canary: float | None = None,
) -> Check:
    return Check(
        condition=condition,
        outcome=Outcome.NO_DATA if isinstance(cause, NoData) else Outcome.ERROR,
        canary=canary,
        detail=f"{side}: {cause.detail}",
        absence=cause.why,
    )


def follow(rule: Rule, track: Track, readings: Readings, spacing_s: float = 0.0) -> tuple[Track, RoleCheck]:
    """Judge a rule on one look and return its memory afterwards.

    The streak grows with a breach, ends with a pass, and stays as it is when nothing new is known. A breach less than
    ``spacing_s`` after the one counted last is still the same.
    """
    if rule.at_least:
        return _follow_gathering(rule, track, readings)
    check = check_rule(rule.when, readings)
    reading = readings.get(rule.when.signal.metric, Side.CANARY)
    if check.absence or isinstance(reading, (NoData, Unread)) or reading.newest_at <= track.newest_at:
        return track, _rule_check(rule, track, check)
    if track.streak and check.outcome is Outcome.FAIL and reading.newest_at - track.newest_at < spacing_s:
        return track, _rule_check(rule, track, check)
    track = Track(streak=_streak_after(track, check), newest_at=reading.newest_at)
    return track, _rule_check(rule, track, check)


def _follow_gathering(rule: Rule, track: Track, readings: Readings) -> tuple[Track, RoleCheck]:
    """Add looks up until each side that the condition reads has ``at_least`` events; judge them as one."""
    if (unreadable := _unreadable(rule, readings)) is not None:
        return track, _rule_check(rule, track, unreadable)
    gathered = _gather(rule, track, readings)
    sides = (gathered.canary, gathered.stable) if rule.when.needs_stable else (gathered.canary,)
    events = min(events_in(batch or NOTHING_YET) for batch in sides)
    if events < rule.at_least:
        too_few = NoData(why=Absence.TOO_FEW, detail=f"{events:.0f} of {rule.at_least} requests gathered")
        return gathered, _rule_check(rule, gathered, _unknown(rule.when, Side.CANARY, too_few))
    check = check_rule(rule.when, _batch(rule, gathered))
    judged = Track(streak=_streak_after(track, check), newest_at=gathered.newest_at)
    return judged, _rule_check(rule, judged, check)


def _gather(rule: Rule, track: Track, readings: Readings) -> Track:
    metric = rule.when.signal.metric
    canary, stable = readings.get(metric, Side.CANARY), readings.get(metric, Side.STABLE)
    if isinstance(canary, (NoData, Unread)) or canary.newest_at <= track.newest_at:
        return track
    return Track(
        streak=track.streak,
        newest_at=canary.newest_at,
        canary=add(track.canary, canary),
        stable=add(track.stable, stable),
    )


def _batch(rule: Rule, track: Track) -> Readings:
    metric = rule.when.signal.metric
    return Readings(
        {(metric, Side.CANARY): track.canary or NOTHING_YET, (metric, Side.STABLE): track.stable or NOTHING_YET}
    )


def _unreadable(rule: Rule, readings: Readings) -> Check | None:
    """Return the check of a look that cannot be used at all; no traffic is merely nothing to gather."""
    metric = rule.when.signal.metric
    for side in (Side.CANARY, Side.STABLE) if rule.when.needs_stable else (Side.CANARY,):
        reading = readings.get(metric, side)
        if isinstance(reading, Unread) or (isinstance(reading, NoData) and reading.why is not Absence.NO_TRAFFIC):
            return _unknown(rule.when, side, reading)
    return None


def _streak_after(track: Track, check: Check) -> int:
    return track.streak + 1 if check.outcome is Outcome.FAIL else 0


def _rule_check(rule: Rule, track: Track, check: Check) -> RoleCheck:
    return RoleCheck(CheckRole.RULE, check, rule.name, track.streak, rule.streak)


def is_error(check: Check) -> bool:
    """Whether the source could not be asked."""
    return check.outcome is Outcome.ERROR


def is_blind(check: Check) -> bool:
    """Whether a check's missing numbers make the look blind. Gathering towards ``at_least`` does not."""
    return bool(check.absence) and check.absence != Absence.TOO_FEW


def blinds(role_check: RoleCheck) -> bool:
    """Whether a check with its role makes the look blind."""
    return is_blind(role_check.check)


def has_fired(role_check: RoleCheck) -> bool:
    """Whether a rule has been broken often enough in a row."""
    return role_check.role is CheckRole.RULE and role_check.streak >= role_check.streak_needed


def stable_value(role_check: RoleCheck, state: RolloutState, readings: Readings) -> float | None:
    """Return a check's signal on stable over the same time as on canary; None where it is not known.

    A check itself looks at stable only when its limit does; this is for showing both sides.
    """
    signal = role_check.check.condition.signal
    so_far = role_check.role is CheckRole.GATE_SO_FAR
    value = value_of(signal, (state.so_far if so_far else readings.get)(signal.metric, Side.STABLE))
    return None if isinstance(value, (NoData, Unread)) else value
