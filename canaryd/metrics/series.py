"""Series into numbers: one where one is expected, buckets by their bound, and a name for each way it can fail."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from canaryd.config.misfit import printable
from canaryd.core.readings import MAX_BUCKETS, Absence, Counts, Fault, Histogram, NoData, Unread

_SHOWN_SERIES = 3
_TOLERANCE = 1e-9
"""Relative: sums of the same floats in another order differ in their last digits."""

Buckets = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One series at one moment."""

    labels: Mapping[str, str]
    value: float


def several(found: Sequence[Series], remedy: str) -> Unread:
    """Return the error that names some of the series and says what to do."""
    varying = [name for name in _names(found) if len({series.labels.get(name) for series in found}) > 1]
    shown = ", ".join(_braced(series.labels, varying) for series in found[:_SHOWN_SERIES])
    more = " …" if len(found) > _SHOWN_SERIES else ""
    return Unread(
        why=Fault.SEVERAL_SERIES,
        detail=f"{len(found)} series where one number was expected: {shown}{more}: {remedy}",
    )


def _names(found: Iterable[Series]) -> list[str]:
    return sorted({name for series in found for name in series.labels})


def _braced(labels: Mapping[str, str], names: Iterable[str]) -> str:
    return "{" + ", ".join(f'{name}="{printable(labels[name])}"' for name in names if name in labels) + "}"


def counts(bad: float, total: float, *, span_s: float, newest_at: float) -> Counts | NoData | Unread:
    """Return events of the time covered; numbers that cannot be true are errors."""
    if not (math.isfinite(bad) and math.isfinite(total)):
        return not_a_number()
    if bad < 0 or total < 0 or bad > total * (1 + _TOLERANCE):
        return Unread(why=Fault.BAD_ANSWER, detail=f"{bad:g} bad of {total:g} in total cannot be true")
    if total == 0:
        return no_traffic(span_s)
    return Counts(bad=min(bad, total), total=total, span_s=span_s, newest_at=newest_at)


def histogram(
    buckets: Buckets, total_value: float | None, *, span_s: float, newest_at: float
) -> Histogram | NoData | Unread:
    """Return the histogram of the time covered, or what is missing."""
    if not all(math.isfinite(count) for _, count in buckets) or not math.isfinite(total_value or 0.0):
        return not_a_number()
    if buckets[-1][1] == 0:
        return no_traffic(span_s)
    return Histogram(buckets=buckets, total_value=total_value, span_s=span_s, newest_at=newest_at)


def buckets(found: Iterable[Series]) -> Buckets | Unread:
    """Return (bound, events at or below) from series with ``le``: sorted, summed by bound, never falling.

    Counts that fall from one bound to the next come from scrapes that are not atomic; the running maximum is
    what Prometheus' own ``histogram_quantile`` uses.
    """
    by_bound: defaultdict[float, float] = defaultdict(float)
    for series in found:
        bound = _bound(series.labels)
        if bound is None:
            return Unread(
                why=Fault.BAD_ANSWER, detail="buckets need a numeric le label: keep it, as in sum by (le) (…)"
            )
        by_bound[bound] += series.value
    if math.inf not in by_bound:
        return Unread(why=Fault.BAD_ANSWER, detail='the histogram has no bucket with le="+Inf"')
    if len(by_bound) > MAX_BUCKETS:
        return Unread(why=Fault.BAD_ANSWER, detail=f"the histogram has more than {MAX_BUCKETS} buckets")
    return _never_falling(sorted(by_bound.items()))


def _bound(labels: Mapping[str, str]) -> float | None:
    try:
        bound = float(labels["le"])
    except (KeyError, ValueError):
        return None
    return None if math.isnan(bound) else bound


def _never_falling(rising: Iterable[tuple[float, float]]) -> Buckets:
    highest = -math.inf
    result = []
    for bound, count in rising:
        highest = count if math.isnan(count) else max(highest, count)
        result.append((bound, highest))
    return tuple(result)


def not_a_number() -> NoData:
    """Return the absence of a number where there is one in name only."""
    return NoData(why=Absence.NOT_A_NUMBER, detail="the answer is NaN or infinite")


def no_traffic(span_s: float) -> NoData:
    """Return the absence of requests."""
    return NoData(why=Absence.NO_TRAFFIC, detail=f"no request in the last {span_s:.0f} s")
