"""Which rollout is this: first contact, another release, another policy, another attempt.

Evidence never crosses any of these. Traffic that canaryd did not set is never taken for its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from canaryd.core.model import (
    MAX_TAKEN_BACK,
    WEIGHT_TOLERANCE,
    Desired,
    Event,
    EventKind,
    Instant,
    Latch,
    Mark,
    Policy,
    RolloutState,
    TakenBack,
    Track,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.phases import LATCHED_PHASES, Phase, Step, after


@dataclass(frozen=True, slots=True)
class Placed:
    """A state that belongs to this release, policy and attempt, and what had to happen for that."""

    state: RolloutState
    events: tuple[Event, ...] = field(default=())


def place(
    policy: Policy,
    desired: Desired,
    state: RolloutState | None,
    traffic: Traffic | TrafficUnreadable,
    now: Instant,
) -> Placed:
    """Return the state to go on with. Nothing is adopted or started over while the router is unreadable."""
    placed = Placed(state or _unplaced(policy, desired))
    if isinstance(traffic, Traffic):
        placed = _adopt(placed, policy, desired, traffic, now)
        placed = _start_over(placed, policy, desired, traffic, now)
    placed = _retry(placed, policy, desired, traffic, now)
    return replace(placed, state=_remember_desired(placed.state, desired))


def without_evidence(state: RolloutState) -> RolloutState:
    """Return the state with everything forgotten that was gathered in its stage.

    Rules still know which samples they have judged: the one that sent a release back must not do so a second time.
    """
    return replace(
        state,
        opened=None,
        watched_s=0.0,
        unproven_s=0.0,
        proven_at=-math.inf,
        blind_since=None,
        tallies={},
        tracks={name: Track(newest_at=track.newest_at) for name, track in state.tracks.items()},
        raised_from=None,
    )


def highest_stage_within(policy: Policy, weight: float) -> int:
    """Return the highest stage whose weight is at most ``weight``; 0 if there is none."""
    stages = range(policy.last_stage, 0, -1)
    return next((stage for stage in stages if policy.weight(stage) <= weight + WEIGHT_TOLERANCE), 0)


def _unplaced(policy: Policy, desired: Desired) -> RolloutState:
    return RolloutState(rollout=policy.rollout, policy=policy.digest, release=desired.release, attempt=desired.attempt)


# ---------------------------------------------------------------- first contact


def _adopt(placed: Placed, policy: Policy, desired: Desired, traffic: Traffic, now: Instant) -> Placed:
    """Take over from the router what the state does not know: first contact, or a state older than the router's."""
    state, mark = placed.state, traffic.mark
    if mark is not None and mark.rollout == policy.rollout and _is_news(state, mark, now):
        return _adopt_mark(state, mark, policy, traffic, now)
    if state.phase is not Phase.NEW:
        return placed
    if traffic.weight and desired.stage > 0:
        return placed  # somebody else's traffic: a person has to say what it means
    return replace(placed, state=replace(state, phase=after(Phase.NEW, Step.PLACE), entered=now))


def _is_news(state: RolloutState, mark: Mark, now: Instant) -> bool:
    """Whether the router knows more than the state: it was lost, or written by a daemon that ran in between.

    Only the first look of a process that reads the router may conclude that. Later on, a larger epoch means that
    another daemon is at work, and this one stands by.
    """
    if state.phase is Phase.NEW:
        return True
    return state.read_router_in != now.run and mark.epoch > state.epoch


def _adopt_mark(state: RolloutState, mark: Mark, policy: Policy, traffic: Traffic, now: Instant) -> Placed:
    """Go on from the stage in the mark; a lower weight is respected, a higher one was not set by canaryd."""
    stage = min(mark.stage, highest_stage_within(policy, traffic.weight or 0.0))
    step = Step.ADOPT_LATCHED if mark.latched else Step.PLACE
    latch = Latch(
        reason="the router's own record says that this attempt was rolled back",
        rule="",
        from_stage=stage,
        to_stage=stage,
        at=now.wall,
    )
    adopted = replace(
        without_evidence(state),
        phase=after(Phase.NEW, step),
        release=mark.release,
        attempt=mark.attempt,
        stage=stage,
        weight=policy.weight(stage),
        epoch=mark.epoch,
        latch=(state.latch or latch) if mark.latched else None,
        entered=now,
    )
    text = f"Took over {mark.release} at stage {stage} from the router's own record; its window starts anew"
    return Placed(adopted, (Event(kind=EventKind.RESTARTED, text=text),))


# ---------------------------------------------------------------- another release or policy


def _start_over(placed: Placed, policy: Policy, desired: Desired, traffic: Traffic, now: Instant) -> Placed:
    state = placed.state
    if state.release != desired.release:
        return _with_release(placed, policy, desired, now)
    if state.policy != policy.digest:
        return _with_policy(placed, policy, traffic, now)
    return placed


def _with_release(placed: Placed, policy: Policy, desired: Desired, now: Instant) -> Placed:
    """Another release starts from stable; nothing of the old one's evidence or latch is its own.

    One that was rolled back earlier is still latched, unless the attempt was raised for it.
    """
    old = placed.state
    taken_back = _remember_taken_back(old)
    again = taken_back.get(desired.release)
    latched = again is not None and desired.attempt <= again.attempt
    phase = after(old.phase, Step.START_OVER)
    state = replace(
        _spend_consents(without_evidence(old)),
        policy=policy.digest,
        release=desired.release,
        attempt=again.attempt if again and latched else desired.attempt,
        phase=after(phase, Step.ROLL_BACK) if latched else phase,
        stage=0,
        weight=0.0,
        latch=again.latch if again and latched else None,
        taken_back={name: kept for name, kept in taken_back.items() if name != desired.release},
        entered=now,
    )
    start = "was rolled back before and stays on stable" if latched else "starts from stable"
    text = f"{desired.release} takes the place of {old.release} and {start}"
    return Placed(state, (*placed.events, Event(kind=EventKind.RESTARTED, text=text)))


def _remember_taken_back(state: RolloutState) -> Mapping[str, TakenBack]:
    if state.latch is None:
        return state.taken_back
    kept = {**state.taken_back, state.release: TakenBack(attempt=state.attempt, latch=state.latch)}
    return dict(list(kept.items())[-MAX_TAKEN_BACK:])


def _with_policy(placed: Placed, policy: Policy, traffic: Traffic, now: Instant) -> Placed:
    """Another policy keeps what is served where its ladder has that weight, and never goes higher for it."""
    old = placed.state
    if old.phase is Phase.NEW:
        return replace(placed, state=replace(old, policy=policy.digest))
    phase = after(old.phase, Step.ROLL_BACK if old.phase in LATCHED_PHASES else Step.START_OVER)
    served = old.weight if traffic.weight is None else min(traffic.weight, old.weight)
    stage = highest_stage_within(policy, served)
    state = replace(
        _spend_consents(without_evidence(old)),
        policy=policy.digest,
        phase=phase,
        stage=stage,
        weight=policy.weight(stage),
        entered=now,
    )
    text = f"The policy changed: evidence starts anew at stage {stage}"
    return Placed(state, (*placed.events, Event(kind=EventKind.RESTARTED, text=text)))


# ---------------------------------------------------------------- another attempt


def _retry(
    placed: Placed, policy: Policy, desired: Desired, traffic: Traffic | TrafficUnreadable, now: Instant
) -> Placed:
    """A raised attempt lifts the latch; the climb goes on from what is served, with a fresh window."""
    old = placed.state
    if desired.attempt <= old.attempt or old.release != desired.release or old.policy != policy.digest:
        return placed
    served = traffic.weight if isinstance(traffic, Traffic) else None
    stage = old.stage if served is None else min(old.stage, highest_stage_within(policy, served))
    if old.latch is None and stage == old.stage:
        return replace(placed, state=replace(old, attempt=desired.attempt))
    state = replace(
        _spend_consents(without_evidence(old)),
        attempt=desired.attempt,
        phase=after(old.phase, Step.RETRY),
        stage=stage,
        weight=policy.weight(stage),
        latch=None,
        entered=now,
    )
    text = f"Attempt {desired.attempt} of {desired.release} starts at stage {stage}"
    return Placed(state, (*placed.events, Event(kind=EventKind.RETRIED, text=text)))


# ---------------------------------------------------------------- approvals and waivers


def _spend_consents(state: RolloutState) -> RolloutState:
    """What a person agreed to for something else counts no more, until it is taken out and given again."""
    if state.desired is None:
        return state
    return replace(
        state,
        spent_approvals=state.spent_approvals | state.desired.approved,
        spent_waivers=state.spent_waivers | state.desired.waived,
    )


def _remember_desired(state: RolloutState, desired: Desired) -> RolloutState:
    if state.desired == desired:
        return state
    return replace(
        state,
        desired=desired,
        spent_approvals=state.spent_approvals & desired.approved,
        spent_waivers=state.spent_waivers & desired.waived,
    )
