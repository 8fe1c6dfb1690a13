"""What is asked of a signal: ``signal op quantity``, already parsed and in base units.

The text grammar lives in ``config/conditions.py``; here is only what it means.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
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


COMPARISONS: Mapping[Op, Callable[[float, float], bool]] = {
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
    Op.IS: operator.eq,
}
"""What each comparison means. NaN never gets here: readings refuse it at the border."""
