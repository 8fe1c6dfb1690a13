"""Short builders of what a tick leaves behind, for tests of stores and notifiers."""

from __future__ import annotations

from canaryd.core.model import (
    Action,
    Decision,
    Event,
    EventKind,
    Observation,
    Reason,
    ReasonCode,
    RolloutState,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.phases import Phase
from canaryd.core.readings import Readings
from canaryd.ports import TickRecord
from canaryd.testing import build

STATE = RolloutState(
    rollout="ion-api",
    policy="plan",
    release="rev-2",
    attempt=1,
    phase=Phase.WATCHING,
    stage=1,
    epoch=1,
    watched_s=120.0,
)


def record(
    state: str = "{}",
    *events: str,
    at_s: float = 0.0,
    decision: Decision | None = None,
    traffic: Traffic | TrafficUnreadable | None = None,
    readings: Readings | None = None,
) -> TickRecord:
    """Return one tick's record, with events of the named kinds."""
    return TickRecord(
        state=state,
        at=build.instant(at_s),
        decision=decision or hold(*events),
        observation=Observation(traffic=traffic or build.served(5.0), readings=readings or build.look_readings(at_s)),
        summary="Holding at stage 1.",
        document='{"rollout":"ion-api"}',
    )


def hold(*events: str, code: ReasonCode = ReasonCode.WINDOW) -> Decision:
    """Return a decision that holds for one reason, and tells the named events."""
    return Decision(
        action=Action.HOLD,
        state=STATE,
        reasons=(Reason(code=code, text=f"because of {code.value}"),),
        events=tuple(Event(kind=EventKind(kind), text=f"what happened: {kind}") for kind in events),
        watched=True,
    )
