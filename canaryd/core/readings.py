"""What was seen: one reading of one metric on one side, and readings added up over a stage.

A reading is a value, never an exception: numbers, or the absence of numbers with its cause. Counts and
buckets are always those of the time covered (``span_s`` seconds up to ``newest_at``), never running totals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise


class Side(StrEnum):
    """The two sides that are compared."""

    STABLE = "stable"
    CANARY = "canary"


class MetricKind(StrEnum):
    """What a metric gives, and so which statistics it has."""

    COUNTS = "counts"
    """Bad and total events: ``rate``, ``success``, ``count``."""
    HISTOGRAM = "histogram"
    """Cumulative buckets: ``p1`` to ``p99.9``, ``mean``, ``count``."""
    GAUGE = "gauge"
    """One number: the metric's name alone."""
    HEALTH = "health"
    """Up or down: the metric's name alone."""


class Absence(StrEnum):
    """Why there are no numbers although the source answered."""

    NO_TRAFFIC = "no_traffic"
    """The side served no request in the time covered."""
    NO_SERIES = "no_series"
    """The source knows no such series: nothing has reported yet, or the query is misspelt."""
    STALE = "stale"
    """The newest point is too old to speak of now."""
    NOT_A_NUMBER = "not_a_number"
    """NaN or infinite."""
    WARMING = "warming"
    """Too soon: the first look of a stage, or one that would reach back into the stage before."""
    BEYOND_BUCKETS = "beyond_buckets"
    """A percentile above the highest bucket bound: how far above, the histogram cannot tell."""
    TOO_FEW = "too_few"
    """Fewer events than the rule asks for; they are gathered further."""


class Fault(StrEnum):
    """Why the source could not be asked."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """The source said no: credentials, permissions, quota, a query it rejects."""
    BAD_ANSWER = "bad_answer"
    """An answer of the wrong form or size."""
    SEVERAL_SERIES = "several_series"
    """Several series where one number was expected; choosing one would be a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Events in the time covered: ``bad`` of ``total`` (requests; fractions come from extrapolating sources)."""

    bad: float
    total: float
    span_s: float
    newest_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Cumulative bucket counts in the time covered.

    ``buckets`` holds (upper bound in the metric's base unit, events at or below it), bounds rising, the
    last one infinite. ``total_value`` is the sum of all observed values, or None where the source has none.
    """

    buckets: tuple[tuple[float, float], ...]
    total_value: float | None
    span_s: float
    newest_at: float

    @property
    def count(self) -> float:
        """Events in the time covered."""
        return self.buckets[-1][1] if self.buckets else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One number in the metric's base unit. ``looks`` counts how many readings it is the mean of."""

    value: float
    newest_at: float
    looks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a side is up, with the reason in words when it is not, and the version it reports."""

    up: bool
    detail: str
    newest_at: float
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoData:
    """The source answered and there is nothing to judge."""

    why: Absence
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """The source could not be asked."""

    why: Fault
    detail: str


Known = Counts | Histogram | Gauge | Health
Reading = Known | NoData | Unread

ReadingKey = tuple[str, Side]
"""(metric name, side)."""


LARGEST = 1e18
"""No count, size or time is larger; below it the sums of a stage stay finite."""
MAX_WORDS = 500
"""Characters of a source's own words that are kept."""


def sound(reading: Reading) -> Reading:
    """Return a reading that can be judged: what is no number, or cannot be true, becomes an error value.

    Every reading passes here, whichever source it comes from.
    """
    reading = _in_sound_words(reading)
    if isinstance(reading, (NoData, Unread)):
        return reading
    numbers = _numbers(reading)
    if not all(math.isfinite(number) for number in numbers):
        return NoData(why=Absence.NOT_A_NUMBER, detail="the source answered NaN or an infinite number")
    if max(map(abs, numbers)) > LARGEST or not _is_possible(reading):
        detail = "numbers that cannot be true: negative, too large, or parts above the whole"
        return Unread(why=Fault.BAD_ANSWER, detail=detail)
    return reading


def _in_sound_words(reading: Reading) -> Reading:
    match reading:
        case Health():
            return replace(reading, detail=_words(reading.detail), version=_words(reading.version))
        case NoData() | Unread():
            return replace(reading, detail=_words(reading.detail))
        case _:
            return reading


def _words(text: str) -> str:
    """Return a source's words bounded and fit to be stored: JSON may bring half a character."""
    return text[:MAX_WORDS].encode(errors="replace").decode()


def _numbers(reading: Known) -> Sequence[float]:
    match reading:
        case Counts():
            return (reading.bad, reading.total, reading.span_s, reading.newest_at)
        case Histogram():
            counts = [count for _, count in reading.buckets]
            return (*counts, reading.total_value or 0.0, reading.span_s, reading.newest_at)
        case Gauge():
            return (reading.value, reading.newest_at)
        case Health():
            return (reading.newest_at,)


def _is_possible(reading: Known) -> bool:
    match reading:
        case Counts():
            return 0 <= reading.bad <= reading.total * (1 + 1e-9)
        case Histogram():
            bounds, counts = [bound for bound, _ in reading.buckets], [count for _, count in reading.buckets]
            rising = all(one < other for one, other in pairwise(bounds))
            growing = all(one <= other for one, other in pairwise(counts))
            return 2 <= len(bounds) <= MAX_BUCKETS and rising and growing and bounds[-1] == math.inf and counts[0] >= 0
        case _:
            return True


MAX_BUCKETS = 500
"""More bounds than any exporter needs; a larger histogram is refused as a bad answer."""


def quantile(histogram: Histogram, q: float) -> float:
    """Return the ``q`` quantile (0 < q < 1) of merged buckets by linear interpolation inside a bucket.

    The rule is that of Prometheus' ``histogram_quantile``: the lowest bucket starts at 0 (or at its own bound when
    that is not positive). A quantile in the infinite bucket is the number just above the highest finite bound, where
    Prometheus gives the bound itself: ``is_beyond`` tells the two apart. The histogram must not be empty.
    """
    rank = q * histogram.count
    lower_bound, lower_count = 0.0, 0.0
    for bound, count in histogram.buckets:
        if count >= rank and count > lower_count:
            if math.isinf(bound):
                break
            if bound <= 0:
                return bound
            return lower_bound + (bound - lower_bound) * (rank - lower_count) / (count - lower_count)
        if not math.isinf(bound):
            lower_bound = bound
        lower_count = count
    return math.nextafter(lower_bound, math.inf)


def is_beyond(histogram: Histogram, value: float) -> bool:
    """Whether a quantile lies above the highest finite bound, so that it is only known to be larger than that."""
    return len(histogram.buckets) > 1 and value > histogram.buckets[-2][0]


NOTHING_YET = NoData(why=Absence.WARMING, detail="nothing has been seen in this stage yet")


def add(so_far: Known | None, reading: Reading) -> Known | None:
    """Add one reading; one that brings no newer point than the last adds nothing (never counted twice).

    Where the time covered overlaps what is already there (a look-back window longer than the interval), counts
    enter by the share of the time that is new, so that sums stay true on average.
    """
    if isinstance(reading, (NoData, Unread)):
        return so_far
    if so_far is None:
        return reading
    newer_by_s = reading.newest_at - so_far.newest_at
    return _sum(so_far, reading, newer_by_s) if newer_by_s > 0 else so_far


def _sum(so_far: Known, reading: Known, newer_by_s: float) -> Known:
    if isinstance(reading, Counts) and isinstance(so_far, Counts):
        return _add_counts(so_far, reading, _fresh_share(reading.span_s, newer_by_s))
    if isinstance(reading, Histogram) and isinstance(so_far, Histogram):
        return _add_histogram(so_far, reading, _fresh_share(reading.span_s, newer_by_s))
    if isinstance(reading, Gauge) and isinstance(so_far, Gauge):
        return _add_gauge(so_far, reading)
    return reading


def _fresh_share(span_s: float, newer_by_s: float) -> float:
    return newer_by_s / span_s if newer_by_s < span_s else 1.0


def _add_counts(so_far: Counts, new: Counts, fresh: float) -> Counts:
    return Counts(
        bad=so_far.bad + fresh * new.bad,
        total=so_far.total + fresh * new.total,
        span_s=so_far.span_s + fresh * new.span_s,
        newest_at=new.newest_at,
    )


def _add_histogram(so_far: Histogram, new: Histogram, fresh: float) -> Histogram:
    """Merge the bounds that both have; with no finite one in common the new histogram takes the place of the old."""
    old = dict(so_far.buckets)
    merged = tuple([(bound, old[bound] + fresh * count) for bound, count in new.buckets if bound in old])
    if len(merged) < 2:
        return new
    values = (so_far.total_value, new.total_value)
    return Histogram(
        buckets=merged,
        total_value=None if values[0] is None or values[1] is None else values[0] + fresh * values[1],
        span_s=so_far.span_s + fresh * new.span_s,
        newest_at=new.newest_at,
    )


def _add_gauge(so_far: Gauge, new: Gauge) -> Gauge:
    looks = so_far.looks + new.looks
    mean = so_far.value + (new.value - so_far.value) * new.looks / looks
    return Gauge(value=mean, newest_at=new.newest_at, looks=looks)


@dataclass(frozen=True, slots=True)
class Readings:
    """The readings of one look, or of a stage so far, by metric and side."""

    by_key: Mapping[ReadingKey, Reading] = field(default_factory=dict)

    def get(self, metric: str, side: Side) -> Reading:
        """Return the reading; one that was never asked for is an error value, not an exception."""
        reading = self.by_key.get((metric, side))
        if reading is None:
            return Unread(why=Fault.BAD_ANSWER, detail=f"{metric} was not read on {side}")
        return reading
