"""The decision: one pure function from what is wanted, remembered and seen to what is done and why.

``decide`` first brings the state up to date (``placing``: which rollout is this; ``looking``: what did this look
show), then asks each of ``MOVES`` in order; the first one with an answer wins. Safety comes before progress: going
back stands before putting things right, and climbing comes last.

The same input always gives the same output, so that any decision can be replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from canaryd.core.climbing import climb
from canaryd.core.looking import Tick, look
from canaryd.core.model import Decision, Desired, Instant, Observation, Policy, RolloutState
from canaryd.core.moving import (
    lower_as_desired,
    put_right,
    roll_back_blind,
    roll_back_by_rule,
    stand_by,
    wait_for_placing,
)
from canaryd.core.phases import Phase
from canaryd.core.placing import place

Move = Callable[[Tick], Decision | None]

MOVES: tuple[Move, ...] = (
    stand_by,
    wait_for_placing,
    roll_back_by_rule,
    roll_back_blind,
    lower_as_desired,
    put_right,
)


SETTLING_LOOK_S = 2.0
"""After a change the router is looked at again this soon, however long the interval."""
SETTLING_PATIENCE = 10.0
"""What is on its way for long is looked at less often: each wait is this part of the time since it was decided."""


def decide(
    policy: Policy, desired: Desired, state: RolloutState | None, observation: Observation, now: Instant
) -> Decision:
    """Return what to do now. Total: every input gets a decision, and a hold always has a reason.

    ``state`` is None on the very first tick. The decision's state is what must be remembered, whether or not
    the change is then carried out: the next look repairs what did not arrive.
    """
    placed = place(policy, desired, state, observation.traffic, now)
    tick = look(policy, desired, placed, observation, now)
    for move in MOVES:
        decision = move(tick)
        if decision is not None:
            return _finished(tick, decision)
    return _finished(tick, climb(tick))


def _finished(tick: Tick, decision: Decision) -> Decision:
    """Complete a decision with what every decision carries."""
    since = decision.state.opened or decision.state.entered or tick.now
    interval_s = tick.policy.interval_s(tick.now.seconds_since(since))
    return Decision(
        action=decision.action,
        state=replace(decision.state, sent=decision.change.weight) if decision.change else decision.state,
        reasons=decision.reasons,
        change=decision.change,
        checks=tick.checks,
        events=(*tick.events, *decision.events),
        watched=tick.watched,
        next_look_s=min(interval_s, _settling_look_s(tick, decision)),
    )


def _settling_look_s(tick: Tick, decision: Decision) -> float:
    """Return how soon to look whether a change has come through; an unwilling router is not asked without end."""
    state = decision.state
    if state.phase in (Phase.SETTLING, Phase.ROLLING_BACK) and state.entered is not None:
        return max(SETTLING_LOOK_S, tick.now.seconds_since(state.entered) / SETTLING_PATIENCE)
    return SETTLING_LOOK_S if decision.change is not None else math.inf
