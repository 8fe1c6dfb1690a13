"""What is asked of a signal: ``signal op quantity``, already parsed and in base units.

The text grammar lives in ``config/conditions.py``; here is only what it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """The base unit of a signal; quantities are converted to it when files are read."""

    RATIO = "ratio"
    """0 to 1, written as a percentage or a plain number."""
    SECONDS = "seconds"
    BYTES = "bytes"
    NUMBER = "number"
    """A plain number without a unit."""
    STATE = "state"
    """Up or down."""


class Op(StrEnum):
    """The comparisons of the grammar."""

    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IS = "is"


@dataclass(frozen=True, slots=True)
class Signal:
    """One statistic of one metric, ``errors.rate``; a gauge or health metric has its name alone."""

    metric: str
    stat: str = ""

    def __str__(self) -> str:
        """Return the name as it is written in policies."""
        return f"{self.metric}.{self.stat}" if self.stat else self.metric


@dataclass(frozen=True, slots=True)
class Absolute:
    """A fixed limit in the signal's base unit."""

    value: float


@dataclass(frozen=True, slots=True)
class TimesStable:
    """A limit relative to the same signal on stable, over the same time: ``0.9x stable``."""

    factor: float


@dataclass(frozen=True, slots=True)
class State:
    """The limit of ``health is up``."""

    up: bool


Limit = Absolute | TimesStable | State


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; ``text`` is what the person wrote, for every message about it."""

    signal: Signal
    op: Op
    limit: Limit
    unit: Unit
    text: str

    @property
    def needs_stable(self) -> bool:
        """Whether the condition cannot be judged without the stable side."""
        return isinstance(self.limit, TimesStable)


def holds(op: Op, value: float, limit: float) -> bool:
    """Compare as written. NaN never gets here: readings refuse it at the border."""
    match op:
        case Op.LT:
            return value < limit
        case Op.LE:
            return value <= limit
        case Op.GT:
            return value > limit
        case Op.GE:
            return value >= limit
        case Op.IS:
            return value == limit
