"""Running totals into increases: what counters remember between two looks at the same traffic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from canaryd.core.model import Instant
from canaryd.core.readings import Absence, NoData
from canaryd.core.wording import format_duration
from canaryd.metrics.series import Series
from canaryd.ports import Look

INTERVALS_KEPT = 3
"""An older snapshot is not compared with: what happened in such a gap was not watched."""

SeriesKey = tuple[str, frozenset[tuple[str, str]]]
"""(which expression, its labels)."""
Totals = Mapping[SeriesKey, float]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    totals: Totals
    stint: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Increase:
    """How much each series grew in the time between two looks."""

    series: Mapping[str, tuple[Series, ...]]
    """By expression."""
    span_s: float

    def total(self, expression: str) -> float:
        """Return the growth of all series of one expression together."""
        return sum(each.value for each in self.series.get(expression, ()))


class CounterMemory:
    """The last totals of each metric and side. As large as the last pages, never larger."""

    def __init__(self) -> None:
        self._snapshots: dict[object, _Snapshot] = {}

    def increase(self, key: object, found: Mapping[str, Iterable[Series]], look: Look) -> Increase | NoData:
        """Return the increase since the last look of the same stint, and remember the new totals.

        A counter that fell was reset, and one that is new began at zero: both grew by their whole value.
        """
        last = self._snapshots.get(key)
        if last and last.stint == look.stint and look.at.seconds_since(last.at) == 0:
            return _warming("no time has passed since the last look")
        now = _Snapshot(
            {_key(name, each): each.value for name, all_ in found.items() for each in all_}, look.stint, look.at
        )
        self._snapshots[key] = now
        if last is None or last.stint != look.stint:
            return _warming("counting starts with this first look at the stage")
        span_s = look.at.seconds_since(last.at)
        if span_s > INTERVALS_KEPT * look.interval_s:
            return _warming(f"counting starts again: the last look was {format_duration(span_s)} ago")
        return Increase({name: _grown(name, all_, last.totals) for name, all_ in found.items()}, span_s)


def _warming(detail: str) -> NoData:
    return NoData(why=Absence.WARMING, detail=detail)


def _key(expression: str, series: Series) -> SeriesKey:
    return expression, frozenset(series.labels.items())


def _grown(expression: str, found: Iterable[Series], before: Totals) -> tuple[Series, ...]:
    return tuple(Series(each.labels, _growth(before.get(_key(expression, each), 0.0), each.value)) for each in found)


def _growth(before: float, now: float) -> float:
    return now if now < before else now - before
