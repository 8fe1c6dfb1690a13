"""The grammar of conditions: ``signal op quantity``, for example ``latency.p95 < 15s`` or ``health is up``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from canaryd.config.misfit import Misfit, listed, nearest, printable
from canaryd.config.quantities import NUMBER, parse_count, parse_quantity
from canaryd.core.conditions import Absolute, Condition, Limit, Op, Signal, State, TimesStable, Unit
from canaryd.core.model import Metric
from canaryd.core.readings import MetricKind

MAX_LENGTH = 200
COMPARISONS = (Op.LT, Op.LE, Op.GT, Op.GE)
STATES = {"up": True, "down": False}
PATTERN = (
    rf"^\s*[a-z][a-z0-9_]*(\.[a-z][a-z0-9.]*)?\s*"
    rf"((<=?|>=?|≤|≥)\s*-?{NUMBER}\s*(%|[x\u00d7]\s*stable|[A-Za-z]+\s*({NUMBER}\s*[a-z]+\s*)*)?|is\s+(up|down))\s*$"
)
"""The outer form, for editors; units and signals are checked when the file is read."""

_SPELLINGS = {"≤": Op.LE, "≥": Op.GE}
_PARTS = re.compile(r"\s*(?P<signal>[^\s<>=!≤≥]+)\s*(?P<op>[<>=!≤≥]+|is\b|[^\s\d]*)\s*(?P<limit>.*?)\s*", re.DOTALL)
_RELATIVE = re.compile(rf"(?P<factor>[-+]?{NUMBER})\s*[x\u00d7]\s*(?P<side>[A-Za-z]*)", re.ASCII)
_PERCENTILE = re.compile(r"p(?P<number>[0-9]{1,2}(?:\.[0-9]{1,3})?)", re.ASCII)
_EXAMPLE = "signal op quantity, such as errors.rate < 1%"
_UNITS_OF_COUNTS = {"rate": Unit.RATIO, "success": Unit.RATIO, "count": Unit.NUMBER}


def parse_condition(text: str, metrics: Mapping[str, Metric]) -> Condition:
    """Return the condition that a person wrote.

    Args:
        text: The condition.
        metrics: The metrics that signals may name.

    Raises:
        Misfit: It does not follow the grammar; ``offset`` says where in the text.
    """
    if len(text) > MAX_LENGTH:
        raise Misfit("the condition is too long", found=printable(text), expected=f"at most {MAX_LENGTH} characters")
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise Misfit("not a condition", found=printable(text) or "nothing", expected=_EXAMPLE)
    with _starting_at(parts.start("signal")):
        signal, unit = parse_signal(parts["signal"], metrics)
    with _starting_at(parts.start("op")):
        op = _parse_op(parts["op"], unit)
    with _starting_at(parts.start("limit")):
        limit = _parse_limit(parts["limit"], unit, signal)
    return Condition(signal=signal, op=op, limit=limit, unit=unit, text=" ".join(text.split()))


def parse_signal(text: str, metrics: Mapping[str, Metric]) -> tuple[Signal, Unit]:
    """Return a signal and its base unit.

    Raises:
        Misfit: No metric of that name, or the metric has no such statistic.
    """
    name, _, stat = text.partition(".")
    metric = metrics.get(name)
    if metric is None:
        known = [signal for each in metrics.values() for signal in signals_of(each)]
        raise Misfit("unknown signal", found=printable(text), expected=listed(known), nearest=nearest(text, known))
    unit = _unit_of(metric, stat)
    if unit is None or text.endswith("."):
        known = signals_of(metric)
        raise Misfit("unknown signal", found=printable(text), expected=listed(known), nearest=nearest(text, known))
    return Signal(name, stat), unit


def signals_of(metric: Metric) -> list[str]:
    """Return the signals that a metric offers, with the percentiles most used."""
    match metric.kind:
        case MetricKind.COUNTS:
            stats = list(_UNITS_OF_COUNTS)
        case MetricKind.HISTOGRAM:
            stats = ["p50", "p90", "p95", "p99", "mean", "count"]
        case _:
            return [metric.name]
    return [f"{metric.name}.{stat}" for stat in stats]


def _unit_of(metric: Metric, stat: str) -> Unit | None:
    match metric.kind:
        case MetricKind.COUNTS:
            return _UNITS_OF_COUNTS.get(stat)
        case MetricKind.HISTOGRAM if stat == "count":
            return Unit.NUMBER
        case MetricKind.HISTOGRAM:
            return metric.unit if stat == "mean" or _is_percentile(stat) else None
        case MetricKind.HEALTH:
            return None if stat else Unit.STATE
        case MetricKind.GAUGE:
            return None if stat else metric.unit


def _is_percentile(stat: str) -> bool:
    match = _PERCENTILE.fullmatch(stat)
    return match is not None and 1 <= float(match["number"]) <= 99.9


def _parse_op(text: str, unit: Unit) -> Op:
    allowed = (Op.IS,) if unit is Unit.STATE else COMPARISONS
    op = _SPELLINGS.get(text) or next((op for op in Op if op == text), None)
    if op is not None and op in allowed:
        return op
    expected = "such as health is up" if unit is Unit.STATE else f"one of {' '.join(COMPARISONS)}"
    if not text:
        raise Misfit("a comparison is missing", expected=expected)
    problem = "no such comparison" if op is None else "the comparison does not fit the signal"
    raise Misfit(problem, found=printable(text), expected=expected)


def _parse_limit(text: str, unit: Unit, signal: Signal) -> Limit:
    if unit is Unit.STATE:
        return _parse_state(text)
    if (relative := _RELATIVE.fullmatch(text)) is not None:
        return _parse_relative(relative)
    if signal.stat == "count" and " " in text:
        return Absolute(float(parse_count(text)))
    value = parse_quantity(text, unit)
    if value < 0 and signal.stat:
        raise Misfit("a limit cannot be negative here", found=printable(text), expected="a number from 0")
    return Absolute(value)


def _parse_state(text: str) -> State:
    if text not in STATES:
        raise Misfit(
            "not a state", found=printable(text) or "nothing", expected="up or down", nearest=nearest(text, STATES)
        )
    return State(STATES[text])


def _parse_relative(match: re.Match[str]) -> TimesStable:
    if match["side"] != "stable":
        raise Misfit(
            "a limit is relative to stable only",
            found=printable(match[0]),
            expected="such as 0.9x stable",
            nearest=f"{match['factor']}x stable",
        )
    factor = float(match["factor"])
    if factor <= 0:
        raise Misfit("the factor must be over 0", found=printable(match[0]), expected="such as 0.9x stable")
    return TimesStable(factor)


@contextmanager
def _starting_at(offset: int) -> Iterator[None]:
    """Say where in the condition a part is wrong."""
    try:
        yield
    except Misfit as misfit:
        misfit.offset += offset
        raise
