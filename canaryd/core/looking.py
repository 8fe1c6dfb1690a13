"""What did this look show: the stage served or not, every check judged, watched time counted.

Only watched time counts. A look is credited when the router serves the stage, and every signal that the stage
depends on is known; the credit is the time since the last look of the same process, at most one and a half
intervals, and nothing after a gap of more than three.
"""

from __future__ import annotations

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
    Stage,
    Track,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.phases import OPEN_PHASES, Phase, Step, after
from canaryd.core.placing import Placed
from canaryd.core.readings import EMPTY_TALLY, Reading, ReadingKey, Readings, Side, Tally, add
from canaryd.core.wording import format_duration

MAX_CREDIT_INTERVALS = 1.5
MAX_GAP_INTERVALS = 3.0
SIDES = (Side.CANARY, Side.STABLE)
NO_STAGE = Stage(weight=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Everything the moves look at. ``state`` already includes this look."""

    policy: Policy
    desired: Desired
    state: RolloutState
    traffic: Traffic | TrafficUnreadable
    readings: Readings
    checks: tuple[RoleCheck, ...]
    watched: bool
    serves: bool
    """Whether the router serves the state's stage, settled."""
    events: tuple[Event, ...]
    now: Instant

    @property
    def stage(self) -> Stage:
        """The stage of the policy that the state is at."""
        return self.policy.stages[self.state.stage - 1] if self.state.stage else NO_STAGE


def look(policy: Policy, desired: Desired, placed: Placed, observation: Observation, now: Instant) -> Tick:
    """Bring the state up to date with one observation and judge every check of its stage."""
    state, events, traffic = placed.state, placed.events, observation.traffic
    serves = _serves(policy, state, traffic)
    state, opened_now, opened = _settle(policy, state, serves=serves, now=now)
    tracks, rule_checks = _follow_rules(policy, state, observation.readings)
    gates_now = _gates(_conditions(policy, state), CheckRole.GATE_NOW, observation.readings)
    clear = not any(blinds(check) for check in (*rule_checks, *gates_now))
    open_before = serves and state.phase in OPEN_PHASES and not opened_now
    if open_before:
        state = replace(state, tallies=_add_up(policy, state, observation.readings))
    watched = open_before and clear and state.stage > 0
    state, blind_events = _follow_blindness(policy, state, clear=clear, now=now)
    state = replace(
        state,
        tracks=tracks,
        watched_s=state.watched_s + (_credit_s(policy, state, now) if watched else 0.0),
    )
    so_far = Readings(_so_far(policy, state))
    return Tick(
        policy=policy,
        desired=desired,
        state=state,
        traffic=traffic,
        readings=observation.readings,
        checks=(*rule_checks, *gates_now, *_gates(_conditions(policy, state), CheckRole.GATE_SO_FAR, so_far)),
        watched=watched,
        serves=serves,
        events=(*events, *opened, *blind_events),
        now=now,
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
) -> tuple[RolloutState, bool, tuple[Event, ...]]:
    """Note that the router serves what was decided: from now on the stage's window runs."""
    if not serves or state.phase not in (Phase.SETTLING, Phase.ROLLING_BACK):
        return state, False, ()
    phase = after(state.phase, Step.SERVED if state.stage else Step.SERVED_STABLE)
    served = replace(state, phase=phase, opened=now, raised_from=None)
    if phase is not Phase.WATCHING:
        return served, True, ()
    window_s = policy.stages[state.stage - 1].window_s
    window = format_duration(window_s) if window_s is not None else "no end"
    text = f"Stage {state.stage} is served; its window of {window} begins"
    return served, True, (Event(kind=EventKind.WINDOW_OPENED, text=text),)


def _follow_rules(
    policy: Policy, state: RolloutState, readings: Readings
) -> tuple[Mapping[str, Track], tuple[RoleCheck, ...]]:
    tracks: dict[str, Track] = {}
    checks: list[RoleCheck] = []
    for rule in policy.rules_at(_stage_within(policy, state)):
        tracks[rule.name], check = follow(rule, state.tracks.get(rule.name, NEW_TRACK), readings)
        checks.append(check)
    return tracks, tuple(checks)


def _stage_within(policy: Policy, state: RolloutState) -> int:
    return min(state.stage, policy.last_stage)


def _conditions(policy: Policy, state: RolloutState) -> tuple[Condition, ...]:
    stage = _stage_within(policy, state)
    return policy.stages[stage - 1].require if stage else ()


def _gates(conditions: Iterable[Condition], role: CheckRole, readings: Readings) -> tuple[RoleCheck, ...]:
    return tuple(RoleCheck(role=role, check=check_gate(condition, readings)) for condition in conditions)


def counted_metrics(policy: Policy, stage: int) -> tuple[str, ...]:
    """Return the metrics whose sums over the stage are needed to leave it: those its gates name."""
    if not stage:
        return ()
    return tuple(dict.fromkeys(condition.signal.metric for condition in policy.stages[stage - 1].require))


def _add_up(policy: Policy, state: RolloutState, readings: Readings) -> Mapping[str, Tally]:
    tallies = dict(state.tallies)
    for metric in counted_metrics(policy, _stage_within(policy, state)):
        for side in SIDES:
            key = f"{metric}/{side}"
            tallies[key] = add(tallies.get(key, EMPTY_TALLY), readings.get(metric, side))
    return tallies


def _so_far(policy: Policy, state: RolloutState) -> dict[ReadingKey, Reading]:
    metrics = counted_metrics(policy, _stage_within(policy, state))
    return {(metric, side): state.tally(metric, side).reading() for metric in metrics for side in SIDES}


def _credit_s(policy: Policy, state: RolloutState, now: Instant) -> float:
    """Return the seconds this look adds to the window."""
    last = state.last_look
    if last is None or last.run != now.run or state.opened is None:
        return 0.0
    gap = now.seconds_since(last)
    interval = policy.interval_s(last.seconds_since(state.opened))
    return 0.0 if gap > MAX_GAP_INTERVALS * interval else min(gap, MAX_CREDIT_INTERVALS * interval)


def _follow_blindness(
    policy: Policy, state: RolloutState, *, clear: bool, now: Instant
) -> tuple[RolloutState, tuple[Event, ...]]:
    """Note since when there are no usable samples, and say so once when it lasts too long."""
    if clear or not state.stage:
        return (replace(state, blind_since=None) if state.blind_since else state), ()
    since = state.blind_since or now
    state = replace(state, blind_since=since)
    page_after_s = policy.blind.page_after_s
    paged = state.last_look is not None and state.last_look.seconds_since(since) >= page_after_s
    if paged or now.seconds_since(since) < page_after_s:
        return state, ()
    text = f"No usable samples for {format_duration(now.seconds_since(since))}; the traffic stays as it is"
    return state, (Event(kind=EventKind.BLIND, text=text),)


def knows_now(checks: Iterable[RoleCheck]) -> bool:
    """Whether every check of this look is known (gathering towards ``at_least`` aside)."""
    return not any(blinds(check) for check in checks if check.role is not CheckRole.GATE_SO_FAR)


def is_in_breach(check: RoleCheck) -> bool:
    """Whether this look shows something that must not be."""
    return check.role is not CheckRole.GATE_SO_FAR and check.check.outcome is Outcome.FAIL
