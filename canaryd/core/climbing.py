"""Climbing: promote when nothing stands in the way, otherwise hold and name everything that does.

Promote only if green now and the window is watched and there is enough data and every gate holds. What is unknown is
in the way like what is bad, and is called by its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from canaryd.core.explain import (
    gate_in_words,
    listed_once,
    rule_in_words,
    stage_name,
    unknown_in_words,
    window_in_words,
)
from canaryd.core.judge import events_in, is_blind, is_error
from canaryd.core.looking import Tick, knows_now
from canaryd.core.model import (
    Action,
    CheckRole,
    Decision,
    Event,
    EventKind,
    Outcome,
    Reason,
    ReasonCode,
    TrafficUnreadable,
)
from canaryd.core.moving import change_to, hold, move_to
from canaryd.core.phases import LATCHED_PHASES, Phase, Step, after
from canaryd.core.readings import Health, MetricKind, NoData, Side, Unread

Obstacle = Callable[[Tick], Iterator[Reason]]


def climb(tick: Tick) -> Decision:
    """Promote, finish, or hold with every obstacle named, the most urgent first."""
    obstacles = tuple(reason for obstacle in _asked(tick) for reason in obstacle(tick))
    if obstacles:
        return hold(tick, *obstacles)
    return _finish(tick) if tick.state.stage == tick.policy.last_stage else _promote(tick)


def _promote(tick: Tick) -> Decision:
    assert not isinstance(tick.traffic, TrafficUnreadable)
    here, target = tick.state.stage, tick.state.stage + 1
    state = replace(move_to(tick, target, Step.RAISE, None), raised_from=tick.traffic.weight)
    there = stage_name(tick.policy, target)
    kind = EventKind.PROMOTED if here else EventKind.STARTED
    return Decision(
        action=Action.PROMOTE,
        state=state,
        reasons=(Reason(code=ReasonCode.GATES_HOLD, text=_grounds(tick)),),
        change=change_to(tick, state, tick.policy.weight(target)),
        events=(Event(kind=kind, text=f"{state.release} goes to {there}: {_grounds(tick)}"),),
    )


def _finish(tick: Tick) -> Decision:
    state = replace(tick.state, phase=after(tick.state.phase, Step.FINISH))
    text = f"{state.release} is finished at {stage_name(tick.policy, state.stage)}: {_grounds(tick)}"
    return Decision(
        action=Action.FINISH,
        state=state,
        reasons=(Reason(code=ReasonCode.GATES_HOLD, text=_grounds(tick)),),
        events=(Event(kind=EventKind.FINISHED, text=text),),
    )


def _grounds(tick: Tick) -> str:
    stage = tick.stage
    if not tick.state.stage:
        return "the canary is ready to be looked at"
    if stage.window_s is None:
        watched = "served and looking well"
    elif _is_waived(tick):
        watched = f"{window_in_words(tick.state.watched_s, stage.window_s)}, the rest waived by a person"
    else:
        watched = window_in_words(tick.state.watched_s, stage.window_s)
    gates = len(stage.require)
    return f"{watched}, {gates} of {gates} gates hold" if gates else watched


# ---------------------------------------------------------------- what can stand in the way


def _latch(tick: Tick) -> Iterator[Reason]:
    state = tick.state
    if state.phase in LATCHED_PHASES:
        why = f": {state.latch.reason}" if state.latch else ""
        text = f"{state.release} was rolled back and stays so until attempt is raised above {state.attempt}{why}"
        yield Reason(code=ReasonCode.LATCHED, text=text)


def _breaches(tick: Tick) -> Iterator[Reason]:
    for check in tick.troubles:
        if check.role is CheckRole.RULE and check.check.outcome is Outcome.FAIL:
            yield Reason(code=ReasonCode.BREACH, text=rule_in_words(check))


def _health_at_start(tick: Tick) -> Iterator[Reason]:
    """Before the first raise the canary must be up wherever its health is looked at."""
    if tick.state.stage:
        return
    for metric in tick.policy.metrics.values():
        reading = tick.readings.get(metric.name, Side.CANARY)
        if metric.kind is not MetricKind.HEALTH or (isinstance(reading, Health) and reading.up):
            continue
        detail = reading.detail if isinstance(reading, (Health, NoData, Unread)) else "no health document"
        yield Reason(code=ReasonCode.GATE, text=f"{metric.name} is not up on canary: {detail}")


def _unknowns(tick: Tick) -> Iterator[Reason]:
    """What cannot be seen now. A canary without traffic has nothing to show yet: at stage 0 only errors count."""
    signals: dict[tuple[ReasonCode, str], list[str]] = {}
    for role, check, *_ in tick.troubles:
        if role is CheckRole.GATE_SO_FAR or not is_blind(check) or (not tick.state.stage and not is_error(check)):
            continue
        code = ReasonCode.ERROR if is_error(check) else ReasonCode.NO_DATA
        signals.setdefault((code, check.detail), []).append(str(check.condition.signal))
    for (code, detail), names in signals.items():
        yield Reason(code=code, text=f"{listed_once(names)} not known: {detail}")


def _unreadable_at_start(tick: Tick) -> Iterator[Reason]:
    """Before the first raise every source must answer, whether or not a rule needs it yet."""
    if tick.state.stage:
        return
    for (metric, side), reading in tick.readings.by_key.items():
        if isinstance(reading, Unread):
            yield Reason(code=ReasonCode.ERROR, text=f"{metric} cannot be read on {side}: {reading.detail}")


def _gates(tick: Tick) -> Iterator[Reason]:
    """Gates that do not hold, over the stage so far or now. What is unknown now was named above.

    A stage so far that is unknown was never watched, and then the window is in the way.
    """
    for role, check, *_ in tick.troubles:
        if role is CheckRole.RULE or check.outcome is Outcome.PASS:
            continue
        if check.outcome is Outcome.FAIL:
            words = gate_in_words(check)
            text = words.replace(" is ", " is now ", 1) if role is CheckRole.GATE_NOW else words
            yield Reason(code=ReasonCode.GATE, text=text)
        elif tick.watched:
            yield Reason(code=ReasonCode.NO_DATA, text=unknown_in_words(check))


def _too_few(tick: Tick) -> Iterator[Reason]:
    needed = tick.stage.at_least
    if not needed:
        return
    for side in (Side.CANARY, Side.STABLE):
        served = max((events_in(tick.state.so_far(metric, side)) for metric in tick.policy.metrics), default=0.0)
        if served < needed:
            text = f"{served:.0f} of {needed} requests served on {side} in this stage"
            yield Reason(code=ReasonCode.TOO_FEW, text=text)


def _window(tick: Tick) -> Iterator[Reason]:
    """The window must be watched; at the least one look must have been, even where a person waived the rest."""
    stage, state = tick.stage, tick.state
    if not state.stage or state.phase is not Phase.WATCHING:
        return
    required_s = 0.0 if stage.window_s is None or _is_waived(tick) else stage.window_s
    if state.watched_s < required_s:
        words = window_in_words(state.watched_s, required_s)
        yield Reason(code=ReasonCode.WINDOW, text=f"{words}; {FIRST_LOOK}" if _is_first_look(tick) else words)
    elif not tick.watched:
        yield Reason(
            code=ReasonCode.WINDOW, text=FIRST_LOOK if _is_first_look(tick) else "newer samples are waited for"
        )


FIRST_LOOK = "this look does not count: it is the first after a start, or after a gap of more than three intervals"


def _is_first_look(tick: Tick) -> bool:
    """Whether a look at an open stage brought no time although everything was known."""
    state = tick.state
    return not tick.watched and not state.unproven_s and state.opened is not tick.now and knows_now(tick.checks)


def _is_waived(tick: Tick) -> bool:
    state = tick.state
    return state.stage in tick.desired.waived and state.stage not in state.spent_waivers


def _finished_already(tick: Tick) -> Iterator[Reason]:
    if tick.state.phase is Phase.FINISHED:
        yield Reason(code=ReasonCode.FINISHED, text=f"{tick.state.release} is finished and watched without end")


def _ceiling(tick: Tick) -> Iterator[Reason]:
    state, wanted = tick.state, tick.desired.stage
    if state.stage == tick.policy.last_stage or state.stage < wanted:
        return
    if not state.stage:
        yield Reason(code=ReasonCode.ALL_STABLE, text="the desired state asks for stage 0: all stable")
    else:
        text = f"the desired state asks for stage {wanted} and no higher"
        yield Reason(code=ReasonCode.AT_CEILING, text=text)


def _approval(tick: Tick) -> Iterator[Reason]:
    target = tick.state.stage + 1
    if target > tick.policy.last_stage or not tick.policy.stages[target - 1].approval:
        return
    if target in tick.state.spent_approvals:
        text = f"the approval of stage {target} was given for something else; take it out and approve again"
        yield Reason(code=ReasonCode.APPROVAL, text=text)
    elif target not in tick.desired.approved:
        name = stage_name(tick.policy, target)
        yield Reason(code=ReasonCode.APPROVAL, text=f"{name} wants a person's approval")


def _paused(tick: Tick) -> Iterator[Reason]:
    if tick.desired.paused:
        yield Reason(code=ReasonCode.PAUSED, text="paused by a person")


OBSTACLES: tuple[Obstacle, ...] = (
    _breaches,
    _health_at_start,
    _unknowns,
    _unreadable_at_start,
    _paused,
    _window,
    _gates,
    _too_few,
    _approval,
    _ceiling,
)
"""What can keep a rollout from climbing, most urgent first: the sentence of a hold names them in this order."""

AT_REST: tuple[Obstacle, ...] = (_latch, _finished_already, _breaches, _unknowns)
"""A rollout that is not to climb is told of for what it is, and for how it looks now."""


def _asked(tick: Tick) -> tuple[Obstacle, ...]:
    if tick.state.phase in LATCHED_PHASES and not tick.state.stage:
        return (_latch,)  # all stable: how the canary looks now is in nobody's way
    return AT_REST if tick.state.phase in (*LATCHED_PHASES, Phase.FINISHED) else OBSTACLES
