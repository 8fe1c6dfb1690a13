"""Everything but climbing: standing by, going back, and putting the router right.

Each function answers with a decision, or with None when it has nothing to say. A change is always conditional on
what was read in this very look, and each change has an epoch of its own.
"""

from __future__ import annotations

from dataclasses import replace

from canaryd.core.explain import format_weight, rule_in_words, stage_name
from canaryd.core.judge import has_fired
from canaryd.core.looking import Tick, is_ahead, is_in_breach, knows_now, same_weight
from canaryd.core.model import (
    Action,
    Change,
    Decision,
    Event,
    EventKind,
    Latch,
    Mark,
    Reason,
    ReasonCode,
    RoleCheck,
    RollbackTarget,
    RolloutState,
    Rule,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.phases import Phase, Step, after
from canaryd.core.placing import highest_stage_within, without_evidence
from canaryd.core.wording import format_duration


def hold(tick: Tick, *reasons: Reason) -> Decision:
    """Return a decision that keeps the traffic as it is."""
    return Decision(action=Action.HOLD, state=tick.state, reasons=reasons)


def change_to(tick: Tick, state: RolloutState, weight: float) -> Change | None:
    """Return the change that brings the router to ``weight``; None when the router could not be read."""
    if isinstance(tick.traffic, TrafficUnreadable):
        return None
    mark = Mark(
        rollout=state.rollout,
        release=state.release,
        attempt=state.attempt,
        stage=state.stage,
        epoch=state.epoch,
        latched=state.latch is not None,
    )
    return Change(weight=weight, mark=mark, version=tick.traffic.version)


def go_down(tick: Tick, state: RolloutState) -> Change | None:
    """Return the change down to the state's stage; where somebody else went lower already, it stays as low."""
    weight = tick.policy.weight(state.stage)
    if isinstance(tick.traffic, TrafficUnreadable) or tick.traffic.weight is None:
        return change_to(tick, state, weight)
    return change_to(tick, state, min(weight, tick.traffic.weight))


def move_to(tick: Tick, stage: int, step: Step, latch: Latch | None) -> RolloutState:
    """Return the state on its way to another stage: a new epoch, and none of the old stage's evidence."""
    state = tick.state
    return replace(
        without_evidence(state),
        phase=after(state.phase, step),
        stage=stage,
        weight=tick.policy.weight(stage),
        epoch=state.epoch + 1,
        latch=latch,
        entered=tick.now,
    )


# ---------------------------------------------------------------- not ours to act


def stand_by(tick: Tick) -> Decision | None:
    """Keep out of the way of a newer daemon of this rollout, and of another rollout on the same router."""
    if isinstance(tick.traffic, TrafficUnreadable) or tick.traffic.mark is None:
        return None
    mark, state = tick.traffic.mark, tick.state
    if is_ahead(tick.traffic, state):
        text = (
            f"another canaryd moved the traffic (epoch {mark.epoch}, mine is {state.epoch}); standing by, "
            "restart this one to take over"
        )
        return hold(tick, Reason(code=ReasonCode.NEWER_DAEMON, text=text))
    if mark.rollout != state.rollout and tick.traffic.weight and state.phase is not Phase.NEW:
        text = f"the router's record says that it belongs to rollout {mark.rollout}; two rollouts cannot share a router"
        return hold(tick, Reason(code=ReasonCode.FOREIGN_TRAFFIC, text=text))
    return None


def wait_for_placing(tick: Tick) -> Decision | None:
    """Hold until the router was read once, and until a person says what traffic of others means."""
    traffic = tick.traffic
    out_of_place = tick.state.phase is Phase.NEW or tick.state.policy != tick.policy.digest
    if isinstance(traffic, TrafficUnreadable):
        if not out_of_place:
            return None
        return hold(tick, _unreadable(traffic))
    if tick.state.phase is not Phase.NEW:
        return None
    text = (
        f"the router already sends {format_weight(traffic.weight)} to the canary and canaryd did not set that; "
        "set stage: 0 to start from stable"
    )
    return hold(tick, Reason(code=ReasonCode.FOREIGN_TRAFFIC, text=text))


def _unreadable(traffic: TrafficUnreadable) -> Reason:
    return Reason(code=ReasonCode.ROUTER_UNREADABLE, text=f"the router cannot be read: {traffic.detail}")


# ---------------------------------------------------------------- going back


def roll_back_by_rule(tick: Tick) -> Decision | None:
    """Go back as far as the farthest rule that was broken often enough in a row."""
    fired = [check for check in tick.troubles if has_fired(check)]
    if not fired:
        return None
    rules = {rule.name: rule for rule in tick.policy.rules_at(tick.state.stage)}
    targets = [(check, _target(tick, rules[check.rule])) for check in fired]
    back = [(check, target) for check, target in targets if target < tick.state.stage]
    if not back:
        return None
    lowest = min(target for _, target in back)
    grounds = [check for check, target in back if target == lowest]
    reasons = tuple(Reason(code=ReasonCode.RULE, text=rule_in_words(check)) for check in grounds)
    return _roll_back(tick, lowest, reasons, grounds[0])


def _target(tick: Tick, rule: Rule) -> int:
    """Return the stage a rule goes back to, never above one below where it broke."""
    here = _broken_stage(tick)
    if rule.to is RollbackTarget.STABLE:
        return 0
    if rule.to is RollbackTarget.PREVIOUS:
        return max(0, here - 1)
    return min(int(rule.to), max(0, here - 1))


def _broken_stage(tick: Tick) -> int:
    """Return the stage that the looks of now speak of: the one served, while the one decided is not yet there."""
    state = tick.state
    if state.phase is Phase.ROLLING_BACK and state.latch is not None:
        return state.latch.from_stage
    if state.raised_from is None:
        return state.stage
    seen = tick.traffic.weight if isinstance(tick.traffic, Traffic) else None
    return min(state.stage, highest_stage_within(tick.policy, state.raised_from if seen is None else seen))


def roll_back_blind(tick: Tick) -> Decision | None:
    """Go back to stable after being blind for too long, where the policy says so."""
    limit_s, since = tick.policy.blind.roll_back_after_s, tick.state.blind_since
    if limit_s is None or since is None or not tick.state.stage:
        return None
    blind_s = tick.now.seconds_since(since)
    if blind_s < limit_s:
        return None
    text = f"no usable samples for {format_duration(blind_s)}, the policy allows {format_duration(limit_s)}"
    return _roll_back(tick, 0, (Reason(code=ReasonCode.BLIND, text=text),), None)


def _roll_back(tick: Tick, target: int, reasons: tuple[Reason, ...], ground: RoleCheck | None) -> Decision:
    text = "; ".join(reason.text for reason in reasons)
    latch = Latch(
        reason=text,
        rule=ground.rule if ground else ReasonCode.BLIND.value,
        from_stage=tick.state.stage,
        to_stage=target,
        at=tick.now.wall,
    )
    state = move_to(tick, target, Step.ROLL_BACK, latch)
    names = f"from {stage_name(tick.policy, tick.state.stage)} to {stage_name(tick.policy, target)}"
    event = Event(kind=EventKind.ROLLED_BACK, text=f"{state.release} rolled back {names}: {text}")
    return Decision(
        action=Action.ROLL_BACK,
        state=state,
        reasons=reasons,
        change=go_down(tick, state),
        events=(event,),
    )


def lower_as_desired(tick: Tick) -> Decision | None:
    """Go down to the stage a person asks for. That is no rollback: a higher stage may be asked for again."""
    wanted = tick.desired.stage
    if wanted >= tick.state.stage:
        return None
    state = move_to(tick, wanted, Step.LOWER, tick.state.latch)
    there = stage_name(tick.policy, wanted)
    reason = Reason(code=ReasonCode.DESIRED_LOWER, text=f"the desired state asks for {there}")
    return Decision(
        action=Action.LOWER,
        state=state,
        reasons=(reason,),
        change=go_down(tick, state),
        events=(Event(kind=EventKind.LOWERED, text=f"{state.release} lowered to {there} as desired"),),
    )


# ---------------------------------------------------------------- putting the router right


def put_right(tick: Tick) -> Decision | None:
    """Bring the router to what was decided, without ever raising what was not granted or undoing a person."""
    traffic, state = tick.traffic, tick.state
    if isinstance(traffic, TrafficUnreadable):
        return hold(tick, _unreadable(traffic))
    expected = tick.policy.weight(state.stage)
    if traffic.weight is None:
        return _restore_unknown(tick, traffic.detail)
    if same_weight(traffic.weight, expected):
        return _await_settled(tick) if not traffic.settled else _put_mark_right(tick)
    if traffic.weight > expected:
        return _lower_to_stage(tick, traffic.weight)
    return _raise_again(tick, traffic.weight)


def _restore_unknown(tick: Tick, detail: str) -> Decision:
    """Write again what was served last: an unknown weight is never a reason to go higher."""
    expected = tick.policy.weight(tick.state.stage)
    served = expected if tick.state.raised_from is None else min(expected, tick.state.raised_from)
    text = f"the router's weight is unknown ({detail}); writing {format_weight(served)}"
    return _restore(tick, served, Reason(code=ReasonCode.ROUTER_UNKNOWN, text=text))


def _restore(tick: Tick, weight: float, reason: Reason) -> Decision:
    state = replace(tick.state, epoch=tick.state.epoch + 1)
    return Decision(
        action=Action.RESTORE,
        state=state,
        reasons=(reason,),
        change=change_to(tick, state, weight),
        events=(Event(kind=EventKind.RESTORED, text=reason.text),),
    )


def _await_settled(tick: Tick) -> Decision:
    text = f"the router accepted {format_weight(tick.policy.weight(tick.state.stage))} and does not serve it yet"
    return hold(tick, Reason(code=ReasonCode.SETTLING, text=text))


def _put_mark_right(tick: Tick) -> Decision | None:
    """Record a latch in the router too, so that it outlives the loss of the state."""
    assert not isinstance(tick.traffic, TrafficUnreadable)
    mark = tick.traffic.mark
    if tick.state.latch is None or (mark is not None and mark.latched):
        return None
    reason = Reason(code=ReasonCode.NOT_APPLIED, text="recording the rollback beside the weight")
    return _restore(tick, tick.policy.weight(tick.state.stage), reason)


def _lower_to_stage(tick: Tick, seen: float) -> Decision:
    expected = format_weight(tick.policy.weight(tick.state.stage))
    if tick.state.phase in (Phase.SETTLING, Phase.ROLLING_BACK):
        text = f"the router still sends {format_weight(seen)} to the canary, {expected} was decided"
        code = ReasonCode.NOT_APPLIED
    else:
        text = f"somebody else raised the canary to {format_weight(seen)}; back to {expected}"
        code = ReasonCode.RAISED_BY_OTHERS
    return _restore(tick, tick.policy.weight(tick.state.stage), Reason(code=code, text=text))


def _raise_again(tick: Tick, seen: float) -> Decision:
    """Repeat a granted raise that never arrived, if the canary still looks well; otherwise respect the lower weight."""
    state = tick.state
    expected = tick.policy.weight(state.stage)
    if state.raised_from is None or not same_weight(seen, state.raised_from) or _was_edited(tick, seen):
        text = (
            f"somebody else lowered the canary to {format_weight(seen)}, canaryd had set {format_weight(expected)}; "
            "set stage to accept that, or raise attempt to climb again from there"
        )
        return hold(tick, Reason(code=ReasonCode.LOWERED_BY_OTHERS, text=text))
    text = f"the raise to {format_weight(expected)} did not arrive"
    reason = Reason(code=ReasonCode.NOT_APPLIED, text=text)
    obstacle = _obstacle_to_repeating(tick)
    return hold(tick, reason, obstacle) if obstacle else _restore(tick, expected, reason)


def _was_edited(tick: Tick, seen: float) -> bool:
    """Whether the last change did arrive, as the epoch in the router shows, and its weight was changed since."""
    assert not isinstance(tick.traffic, TrafficUnreadable)
    mark, state = tick.traffic.mark, tick.state
    arrived = mark is not None and mark.rollout == state.rollout and mark.epoch == state.epoch
    return arrived and state.sent is not None and not same_weight(seen, state.sent)


def _obstacle_to_repeating(tick: Tick) -> Reason | None:
    if tick.desired.paused:
        return Reason(code=ReasonCode.PAUSED, text="paused by a person")
    known = knows_now(tick.troubles) or tick.state.stage == 1  # without traffic the canary has nothing to show yet
    if known and not any(is_in_breach(check) for check in tick.troubles):
        return None
    return Reason(code=ReasonCode.SETTLING, text="the canary must look well before it is repeated")
