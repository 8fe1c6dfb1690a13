"""What did this look show: the stage served or not, every check judged, watched time counted.

Only watched time counts. A look is credited when the router serves the stage, and every signal that the stage
depends on is known; the credit is the time since the last look of the same process, at most one and a half
intervals, and nothing after a gap of more than three: no look alone lets a rollout go on. Time in which no metric
brought a newer sample is held back until one does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from canaryd.core.conditions import Condition
from canaryd.core.judge import NEW_TRACK, blinds, check_gate, follow
from canaryd.core.model import (
    WEIGHT_TOLERANCE,
    CheckRole,
    Desired,
    Event,
    EventKind,
    Instant,
    Observation,
    Outcome,
    Policy,
    RoleCheck,
    RolloutState,
    Rule,
    Scope,
    Stage,
    Track,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.phases import OPEN_PHASES, Phase, Step, after
from canaryd.core.placing import Placed
from canaryd.core.readings import Absence, Counts, Histogram, Known, NoData, Reading, Readings, Side, Unread, add
from canaryd.core.wording import format_duration

MAX_CREDIT_INTERVALS = 1.5
MAX_GAP_INTERVALS = 3.0
LEAST_SPACING_INTERVALS = 0.5
"""Looks made sooner, after a change or an edit, do not lengthen a streak."""
TOLERATED_SKEW_S = 60.0
"""A source's clock may be ahead of this machine's by this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Everything the moves look at. ``state`` already includes this look."""

    policy: Policy
    desired: Desired
    state: RolloutState
    traffic: Traffic | TrafficUnreadable
    readings: Readings
    checks: tuple[RoleCheck, ...]
    troubles: tuple[RoleCheck, ...]
    """The checks that did not pass, and the rules with a streak; in a good look there are none."""
    watched: bool
    events: tuple[Event, ...]
    now: Instant

    @property
    def stage(self) -> Stage:
        """The stage of the policy that the state is at."""
        return self.policy.scope(self.state.stage).stage


def look(policy: Policy, desired: Desired, placed: Placed, observation: Observation, now: Instant) -> Tick:
    """Bring the state up to date with one observation and judge every check of its stage."""
    traffic, readings = observation.traffic, observation.readings
    state = _forget_times_to_come(placed.state, now)
    serves = _serves(policy, state, traffic)
    state, opened = _settle(policy, state, serves=serves, now=now)
    scope = policy.scope(state.stage)
    gates = scope.stage.require
    spacing_s = LEAST_SPACING_INTERVALS * policy.interval_s(_age_s(state, now))
    tracks, rule_checks = _follow_rules(scope.rules, state.tracks, readings, spacing_s)
    checks_now = [*rule_checks, *_gates(gates, CheckRole.GATE_NOW, readings)]
    missing = {check.check.absence for check in checks_now if blinds(check)}
    counts = serves and state.phase in OPEN_PHASES and state.opened is not now
    credit_s = _credit_s(policy, state, now) if counts and not missing and state.stage else 0.0
    on_canary = [readings.get(metric, Side.CANARY) for metric in scope.metrics]
    credit_s = min(credit_s, MAX_CREDIT_INTERVALS * _covered_s(on_canary))
    watched, watched_s, unproven_s, proven_at = _credit(state, credit_s, _proof(on_canary))
    blind_since, blind = _follow_blindness(policy, state, blind=bool(missing - {Absence.WARMING}), now=now)
    powerless_since, powerless = _follow_power(policy, state, traffic, now)
    state = replace(
        state,
        tracks=tracks,
        tallies=_add_up(scope, state.tallies, readings) if counts else state.tallies,
        blind_since=blind_since,
        powerless_since=powerless_since,
        watched_s=watched_s,
        unproven_s=unproven_s,
        proven_at=proven_at,
        last_look=now,
        read_router_in=now.run if isinstance(traffic, Traffic) else state.read_router_in,
    )
    checks = (*checks_now, *_gates(gates, CheckRole.GATE_SO_FAR, _so_far(scope, state)))
    return Tick(
        policy=policy,
        desired=desired,
        state=state,
        traffic=traffic,
        readings=readings,
        checks=checks,
        troubles=tuple([check for check in checks if check.streak or check.check.outcome is not Outcome.PASS]),
        watched=watched,
        events=(*placed.events, *opened, *blind, *powerless),
        now=now,
    )


def _forget_times_to_come(state: RolloutState, now: Instant) -> RolloutState:
    """After a restart, forget points from the future: the wall clock was set back while nobody was looking.

    Otherwise every sample would look old until the clock has caught up. Ticks of a scheduler are one run whose elapsed
    time is the wall clock's: there it shows as time that went back.
    """
    last = state.last_look
    if last is None or (last.run == now.run and last.elapsed <= now.elapsed):
        return state
    latest = now.wall + TOLERATED_SKEW_S
    return replace(
        state,
        proven_at=-math.inf if state.proven_at > latest else state.proven_at,
        tracks={
            name: replace(track, newest_at=-math.inf) if track.newest_at > latest else track
            for name, track in state.tracks.items()
        },
        tallies={
            key: replace(tally, newest_at=-math.inf) if tally and tally.newest_at > latest else tally
            for key, tally in state.tallies.items()
        },
    )


def same_weight(one: float, other: float) -> bool:
    """Whether two weights are the same to a router."""
    return abs(one - other) <= WEIGHT_TOLERANCE


def _serves(policy: Policy, state: RolloutState, traffic: Traffic | TrafficUnreadable) -> bool:
    if isinstance(traffic, TrafficUnreadable) or traffic.weight is None or not traffic.settled:
        return False
    if state.stage > policy.last_stage:
        return False  # the policy changed and the router could not be read yet
    return state.phase is not Phase.NEW and same_weight(traffic.weight, policy.weight(state.stage))


def _settle(
    policy: Policy, state: RolloutState, *, serves: bool, now: Instant
) -> tuple[RolloutState, tuple[Event, ...]]:
    """Note that the router serves what was decided: from now on the stage's window runs."""
    if not serves or state.phase not in (Phase.SETTLING, Phase.ROLLING_BACK):
        return state, ()
    phase = after(state.phase, Step.SERVED if state.stage else Step.SERVED_STABLE)
    served = replace(state, phase=phase, opened=now, raised_from=None)
    if phase is not Phase.WATCHING:
        return served, ()
    window_s = policy.stages[state.stage - 1].window_s
    window = f"its window of {format_duration(window_s)} begins" if window_s else "it is watched without end"
    return served, (Event(kind=EventKind.WINDOW_OPENED, text=f"Stage {state.stage} is served; {window}"),)


def _age_s(state: RolloutState, now: Instant) -> float:
    since = state.opened or state.entered
    return now.seconds_since(since) if since else 0.0


def _follow_rules(
    rules: Iterable[Rule], tracks: Mapping[str, Track], readings: Readings, spacing_s: float
) -> tuple[Mapping[str, Track], list[RoleCheck]]:
    followed: dict[str, Track] = {}
    checks: list[RoleCheck] = []
    for rule in rules:
        followed[rule.name], check = follow(rule, tracks.get(rule.name, NEW_TRACK), readings, spacing_s)
        checks.append(check)
    return followed, checks


def _gates(conditions: Iterable[Condition], role: CheckRole, readings: Readings) -> list[RoleCheck]:
    return [RoleCheck(role, check_gate(condition, readings)) for condition in conditions]


def _add_up(scope: Scope, tallies: Mapping[str, Known | None], readings: Readings) -> Mapping[str, Known | None]:
    return {key: add(tallies.get(key), readings.get(metric, side)) for key, metric, side in scope.sums}


def _so_far(scope: Scope, state: RolloutState) -> Readings:
    """Return the stage so far of every metric that a gate names, on both sides as far as they were added up."""
    return Readings({(metric, side): state.so_far(metric, side) for metric in scope.gate_metrics for side in Side})


def _proof(found: Iterable[Reading]) -> float | None:
    """Return the time of the newest points, of the metric that is farthest behind; None where there are none.

    Every metric that a gate or a rule reads must bring new points before a look counts: the same samples seen again
    are no watched time. What has no numbers has nothing to prove; whether that makes a look blind is said elsewhere.
    """
    return min([each.newest_at for each in found if not isinstance(each, (NoData, Unread))], default=None)


def _covered_s(found: Iterable[Reading]) -> float:
    """Return the seconds that the counts of this look cover: no look proves more time than its samples speak of."""
    return min([each.span_s for each in found if isinstance(each, (Counts, Histogram))], default=math.inf)


def _credit(state: RolloutState, credit_s: float, newest_at: float | None) -> tuple[bool, float, float, float]:
    """Return whether the look counts, and the state's watched and unproven seconds and newest proof after it."""
    if not credit_s:
        return False, state.watched_s, 0.0, state.proven_at
    looked_s = state.unproven_s + credit_s
    if newest_at is None:
        return True, state.watched_s + looked_s, 0.0, state.proven_at
    if newest_at > state.proven_at:
        return True, state.watched_s + looked_s, 0.0, newest_at
    return False, state.watched_s, looked_s, state.proven_at


def _credit_s(policy: Policy, state: RolloutState, now: Instant) -> float:
    """Return the seconds between the last look and this one, as far as they were really looked at."""
    last = state.last_look
    if last is None or last.run != now.run or state.opened is None:
        return 0.0
    gap = now.seconds_since(last)
    interval = policy.interval_s(last.seconds_since(state.opened))
    return 0.0 if gap > MAX_GAP_INTERVALS * interval else min(gap, MAX_CREDIT_INTERVALS * interval)


def _follow_blindness(
    policy: Policy, state: RolloutState, *, blind: bool, now: Instant
) -> tuple[Instant | None, tuple[Event, ...]]:
    """Return since when there are no usable samples, and say so once when it lasts too long.

    A source that is warming up does what it should: each change of stage is followed by its look-back and its delay.
    """
    if not blind or not state.stage:
        return None, ()
    since = state.blind_since or now
    if not _is_time_to_page(policy, state, since, now):
        return since, ()
    text = f"No usable samples for {format_duration(now.seconds_since(since))}; the traffic stays as it is"
    return since, (Event(kind=EventKind.BLIND, text=text),)


def _follow_power(
    policy: Policy, state: RolloutState, traffic: Traffic | TrafficUnreadable, now: Instant
) -> tuple[Instant | None, tuple[Event, ...]]:
    """Return since when nothing can be carried out, and say so once when it lasts too long."""
    if isinstance(traffic, TrafficUnreadable):
        cause = f"the router cannot be read: {traffic.detail}"
    elif is_ahead(traffic, state):
        cause = "another canaryd moves the traffic, and this one stands by"
    else:
        return None, ()
    since = state.powerless_since or now
    if not _is_time_to_page(policy, state, since, now):
        return since, ()
    waiting = "; a rollback is waiting" if state.phase is Phase.ROLLING_BACK else ""
    text = f"Nothing could be carried out for {format_duration(now.seconds_since(since))}: {cause}{waiting}"
    return since, (Event(kind=EventKind.POWERLESS, text=text),)


def _is_time_to_page(policy: Policy, state: RolloutState, since: Instant, now: Instant) -> bool:
    """Whether this is the first look at which something has lasted for as long as is borne."""
    page_after_s = policy.blind.page_after_s
    paged = state.last_look is not None and state.last_look.seconds_since(since) >= page_after_s
    return not paged and now.seconds_since(since) >= page_after_s


def is_ahead(traffic: Traffic, state: RolloutState) -> bool:
    """Whether another daemon of the same rollout has moved the traffic since this one did."""
    mark = traffic.mark
    return mark is not None and mark.rollout == state.rollout and mark.epoch > state.epoch


def knows_now(checks: Iterable[RoleCheck]) -> bool:
    """Whether every check of this look is known (gathering towards ``at_least`` aside)."""
    return not any(blinds(check) for check in checks if check.role is not CheckRole.GATE_SO_FAR)


def is_in_breach(check: RoleCheck) -> bool:
    """Whether this look shows something that must not be."""
    return check.role is not CheckRole.GATE_SO_FAR and check.check.outcome is Outcome.FAIL
