"""From the answers of one look to readings: how old they are first, then what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from canaryd.config.misfit import printable
from canaryd.core.readings import Absence, Gauge, MetricKind, NoData, Reading, Unread
from canaryd.core.wording import format_duration
from canaryd.metrics import series
from canaryd.metrics.prometheus_api import Vector
from canaryd.metrics.promql import selectors
from canaryd.ports import Query

LOOK_BACK_S = 300
"""How long Prometheus shows a series after its last sample."""

Answers = Mapping[str, Vector | Unread]
"""By the text that was asked."""
_Missing = NoData | Unread

_DECISIVE = {MetricKind.COUNTS: "total", MetricKind.HISTOGRAM: "histogram", MetricKind.GAUGE: "value"}
"""The expression whose samples say how old a reading is; ``bad`` may rightly have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What all questions of one look share."""

    evaluated_at: float
    window_s: float
    stale_after_s: float


@dataclass(frozen=True, slots=True)
class Question:
    """One query with its expressions rendered for its side."""

    query: Query
    expressions: Mapping[str, str]

    @property
    def decisive(self) -> str:
        """The expression without which there is no reading."""
        return self.expressions[_DECISIVE[self.query.kind]]

    def ages(self, moment: Moment) -> Sequence[str]:
        """Return what to ask for the newest sample of each selector."""
        return [_age_query(selector, moment.stale_after_s) for selector in selectors(self.decisive)]

    def texts(self, moment: Moment) -> Sequence[str]:
        """Return everything that must be asked."""
        return [*self.expressions.values(), *self.ages(moment)]


def _age_query(selector: str, stale_after_s: float) -> str:
    """Return PromQL for the Unix time of a selector's newest raw sample.

    ``timestamp`` of a plain selector is the sample's own time, but sees no further than the look-back. Beyond
    that, steps shorter than the look-back find each sample at some step.
    """
    newest = f"max(timestamp({selector}))"
    if stale_after_s <= LOOK_BACK_S:
        return newest
    return f"{newest} or max(max_over_time(timestamp({selector})[{math.ceil(stale_after_s)}s:{LOOK_BACK_S // 5}s]))"


def read(question: Question, answers: Answers, moment: Moment) -> Reading:
    """Return the reading of one question."""
    decisive = answers[question.decisive]
    if isinstance(decisive, Unread):
        return decisive
    newest_at = _newest_at(question, decisive, answers, moment)
    if isinstance(newest_at, (NoData, Unread)):
        return newest_at
    if not decisive:
        return _nothing(question.decisive, _hint(question, moment))
    match question.query.kind:
        case MetricKind.COUNTS:
            return _counts(question, answers, moment, newest_at)
        case MetricKind.HISTOGRAM:
            return _histogram(question, answers, moment, newest_at)
        case _:
            return _gauge(question, answers, newest_at)


# ---------------------------------------------------------------- age


def _newest_at(question: Question, decisive: Vector, answers: Answers, moment: Moment) -> float | _Missing:
    """Return the newest sample's time, of the selector where it is oldest; other selectors may have none."""
    ages = question.ages(moment)
    found = []
    for age in ages:
        answer = answers[age]
        if isinstance(answer, Unread):
            return answer
        found += [each.value for each in answer]
    newest_at = min(found) if found else moment.evaluated_at
    if ages and not found:
        return _stale(max(moment.stale_after_s, LOOK_BACK_S)) if decisive else _nothing(question.decisive)
    age_s = moment.evaluated_at - newest_at
    return newest_at if age_s <= moment.stale_after_s else _stale(age_s)


def _stale(age_s: float) -> NoData:
    return NoData(why=Absence.STALE, detail=f"the newest point is {format_duration(age_s)} old")


# ---------------------------------------------------------------- kinds


def _counts(question: Question, answers: Answers, moment: Moment, newest_at: float) -> Reading:
    total = _number(question.expressions["total"], answers)
    if isinstance(total, (NoData, Unread)):
        return total
    bad = _number(question.expressions["bad"], answers)
    if isinstance(bad, NoData) and bad.why is Absence.NO_SERIES:
        bad = 0.0  # a service that never failed has no series for failures
    if isinstance(bad, (NoData, Unread)):
        return bad
    return series.counts(bad, total, span_s=moment.window_s, newest_at=newest_at)


def _histogram(question: Question, answers: Answers, moment: Moment, newest_at: float) -> Reading:
    found = answers[question.expressions["histogram"]]
    if isinstance(found, Unread):
        return found
    if any(each.labels.keys() - {"le"} for each in found):
        return _mixed(found)
    buckets = series.buckets(found)
    if isinstance(buckets, Unread):
        return buckets
    total_value = _total_value(question, answers)
    if isinstance(total_value, (NoData, Unread)):
        return total_value
    return series.histogram(buckets, total_value, span_s=moment.window_s, newest_at=newest_at)


def _mixed(found: Vector) -> Unread:
    others = [series.Series({n: v for n, v in each.labels.items() if n != "le"}, each.value) for each in found]
    return series.several(others, "wrap the query in sum by (le)")


def _total_value(question: Question, answers: Answers) -> float | _Missing | None:
    if "sum" not in question.expressions:
        return None
    value = _number(question.expressions["sum"], answers)
    return None if isinstance(value, NoData) and value.why is Absence.NO_SERIES else value


def _gauge(question: Question, answers: Answers, newest_at: float) -> Reading:
    value = _number(question.expressions["value"], answers)
    return value if isinstance(value, (NoData, Unread)) else Gauge(value=value, newest_at=newest_at)


def _number(expression: str, answers: Answers) -> float | _Missing:
    """Return the one finite number that an expression gave."""
    found = answers[expression]
    if isinstance(found, Unread):
        return found
    if not found:
        return _nothing(expression)
    if len(found) > 1:
        return series.several(found, "wrap the query in sum()")
    return found[0].value if math.isfinite(found[0].value) else series.not_a_number()


def _nothing(expression: str, hint: str = "") -> NoData:
    return NoData(why=Absence.NO_SERIES, detail=f"the query returned nothing: {printable(expression)}{hint}")


def _hint(question: Question, moment: Moment) -> str:
    if not selectors(question.decisive) or question.query.kind is MetricKind.GAUGE:
        return ""
    return f" although its series have points: are there two of them within {moment.window_s:g} s?"
