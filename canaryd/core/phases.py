"""The phases of a rollout and the only ways between them.

Rules of this file: every change of phase goes through ``TRANSITIONS``; a step that is not in the table is a bug
and raises. The table knows nothing of weights, files or time.

Theory of operation. A rollout is ``new`` until the router has been read once. From then on it is either at
rest at stage 0 (``idle``), on its way to a stage (``settling``: decided and written down, not yet served),
being looked at (``watching``), on its way back (``rolling_back``), taken back (``rolled_back``: latched, still
watched where it came to rest) or at the last stage with everything proven (``finished``, watched without end).
"""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where a rollout stands."""

    NEW = "new"
    IDLE = "idle"
    SETTLING = "settling"
    WATCHING = "watching"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    FINISHED = "finished"


class Step(StrEnum):
    """What moves a rollout from one phase to another."""

    PLACE = "place"
    """The router was read; canaryd moves it to a stage of its own (or finds it there)."""
    ADOPT_LATCHED = "adopt_latched"
    """The router was read and its mark says that this attempt was rolled back."""
    SERVED = "served"
    """The router serves a stage above 0."""
    SERVED_STABLE = "served_stable"
    """The router serves stage 0."""
    RAISE = "raise"
    LOWER = "lower"
    ROLL_BACK = "roll_back"
    FINISH = "finish"
    RETRY = "retry"
    START_OVER = "start_over"
    """Another release or policy: evidence is given up."""


TRANSITIONS: dict[Phase, dict[Step, Phase]] = {
    Phase.NEW: {
        Step.PLACE: Phase.SETTLING,
        Step.ADOPT_LATCHED: Phase.ROLLING_BACK,
        Step.START_OVER: Phase.NEW,
    },
    Phase.IDLE: {
        Step.RAISE: Phase.SETTLING,
        Step.START_OVER: Phase.SETTLING,
        Step.RETRY: Phase.SETTLING,
    },
    Phase.SETTLING: {
        Step.SERVED: Phase.WATCHING,
        Step.SERVED_STABLE: Phase.IDLE,
        Step.LOWER: Phase.SETTLING,
        Step.ROLL_BACK: Phase.ROLLING_BACK,
        Step.RETRY: Phase.SETTLING,
        Step.START_OVER: Phase.SETTLING,
    },
    Phase.WATCHING: {
        Step.RAISE: Phase.SETTLING,
        Step.LOWER: Phase.SETTLING,
        Step.ROLL_BACK: Phase.ROLLING_BACK,
        Step.FINISH: Phase.FINISHED,
        Step.RETRY: Phase.SETTLING,
        Step.START_OVER: Phase.SETTLING,
    },
    Phase.ROLLING_BACK: {
        Step.SERVED: Phase.ROLLED_BACK,
        Step.SERVED_STABLE: Phase.ROLLED_BACK,
        Step.ROLL_BACK: Phase.ROLLING_BACK,
        Step.LOWER: Phase.ROLLING_BACK,
        Step.RETRY: Phase.SETTLING,
        Step.START_OVER: Phase.SETTLING,
    },
    Phase.ROLLED_BACK: {
        Step.ROLL_BACK: Phase.ROLLING_BACK,
        Step.LOWER: Phase.ROLLING_BACK,
        Step.RETRY: Phase.SETTLING,
        Step.START_OVER: Phase.SETTLING,
    },
    Phase.FINISHED: {
        Step.LOWER: Phase.SETTLING,
        Step.ROLL_BACK: Phase.ROLLING_BACK,
        Step.RETRY: Phase.SETTLING,
        Step.START_OVER: Phase.SETTLING,
    },
}


class IllegalStep(ValueError):
    """A step that the table does not know: nothing has changed."""


def after(phase: Phase, step: Step) -> Phase:
    """Return the phase that follows, or raise ``IllegalStep``."""
    try:
        return TRANSITIONS[phase][step]
    except KeyError:
        raise IllegalStep(f"a rollout that is {phase} cannot {step}") from None


LATCHED_PHASES = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK})
"""Phases in which no raise is possible."""

OPEN_PHASES = frozenset({Phase.WATCHING, Phase.ROLLED_BACK, Phase.FINISHED})
"""Phases in which the router is expected to serve the stage, and looks are added up."""
