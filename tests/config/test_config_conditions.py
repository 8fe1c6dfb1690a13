"""The grammar of conditions, and what it says about text that does not follow it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.config.conditions import PATTERN, parse_condition, signals_of
from canaryd.config.misfit import Misfit
from canaryd.core.conditions import Absolute, Op, Signal, State, TimesStable, Unit
from canaryd.core.model import Metric
from canaryd.core.readings import MetricKind

METRICS = {
    name: Metric(name=name, kind=kind, unit=unit)
    for name, kind, unit in [
        ("errors", MetricKind.COUNTS, Unit.NUMBER),
        ("latency", MetricKind.HISTOGRAM, Unit.SECONDS),
        ("confidence", MetricKind.GAUGE, Unit.NUMBER),
        ("memory", MetricKind.GAUGE, Unit.RATIO),
        ("rss", MetricKind.GAUGE, Unit.BYTES),
        ("health", MetricKind.HEALTH, Unit.STATE),
    ]
}

ACCEPTED = [
    ("errors.rate < 1%", Signal("errors", "rate"), Op.LT, Absolute(0.01), Unit.RATIO),
    ("errors.rate<0.5 %", Signal("errors", "rate"), Op.LT, Absolute(0.005), Unit.RATIO),
    ("errors.success > 95%", Signal("errors", "success"), Op.GT, Absolute(0.95), Unit.RATIO),
    ("errors.count >= 500 requests", Signal("errors", "count"), Op.GE, Absolute(500), Unit.NUMBER),
    ("latency.p95 < 15s", Signal("latency", "p95"), Op.LT, Absolute(15), Unit.SECONDS),
    ("latency.p99.9 ≤ 1m30s", Signal("latency", "p99.9"), Op.LE, Absolute(90), Unit.SECONDS),
    ("latency.mean < 0.9x stable", Signal("latency", "mean"), Op.LT, TimesStable(0.9), Unit.SECONDS),
    ("latency.count ≥ 10", Signal("latency", "count"), Op.GE, Absolute(10), Unit.NUMBER),
    ("confidence > 0.75", Signal("confidence"), Op.GT, Absolute(0.75), Unit.NUMBER),
    ("confidence > -0.5", Signal("confidence"), Op.GT, Absolute(-0.5), Unit.NUMBER),
    ("memory > 85%", Signal("memory"), Op.GT, Absolute(0.85), Unit.RATIO),
    ("rss <= 512 MiB", Signal("rss"), Op.LE, Absolute(512 * 2**20), Unit.BYTES),
    ("health is down", Signal("health"), Op.IS, State(False), Unit.STATE),
    ("  health   is up ", Signal("health"), Op.IS, State(True), Unit.STATE),
]


@pytest.mark.parametrize(("text", "signal", "op", "limit", "unit"), ACCEPTED)
def test_a_condition_means_what_it_says(text, signal, op, limit, unit) -> None:
    condition = parse_condition(text, METRICS)
    assert (condition.signal, condition.op, condition.unit) == (signal, op, unit)
    assert condition.limit == limit
    assert condition.text == " ".join(text.split())


REFUSED = [
    ("errors.rat < 1%", 0, "unknown signal", "errors.rate"),
    ("error.rate < 1%", 0, "unknown signal", "errors.rate"),
    ("  errors.rat < 1%", 2, "unknown signal", "errors.rate"),
    ("latency.p100 < 1s", 0, "unknown signal", "latency.p90"),
    ("latency.p0 < 1s", 0, "unknown signal", "latency.p90"),
    ("health.rate < 1%", 0, "unknown signal", "health"),
    ("latency < 1s", 0, "unknown signal", "latency.p99"),
    ("errors. < 1%", 0, "unknown signal", "errors.rate"),
    ("latency.p95 < 15%", 14, "the unit does not fit the signal", ""),
    ("latency.p95 < 15", 14, "15 what? s or ms", "15s"),
    ("latency.p95 <", 13, "not a quantity", ""),
    ("errors.rate < 150%", 14, "a ratio cannot be over 100 %", ""),
    ("errors.rate < 1.5", 14, "a ratio is between 0 and 1", "1.5%"),
    ("errors.rate < -1%", 14, "a limit cannot be negative here", ""),
    ("errors.count > -1", 15, "a limit cannot be negative here", ""),
    ("errors.rate == 1%", 12, "no such comparison", ""),
    ("errors.rate != 1%", 12, "no such comparison", ""),
    ("errors.rate below 1%", 12, "no such comparison", ""),
    ("errors.rate is up", 12, "the comparison does not fit the signal", ""),
    ("errors.rate", 11, "a comparison is missing", ""),
    ("health < 3", 7, "the comparison does not fit the signal", ""),
    ("health is fine", 10, "not a state", ""),
    ("health is don", 10, "not a state", "down"),
    ("latency.mean < 0x stable", 15, "the factor must be over 0", ""),
    ("latency.mean < -1x stable", 15, "the factor must be over 0", ""),
    ("latency.mean < 0.9x canary", 15, "a limit is relative to stable only", "0.9x stable"),
    ("errors.rate < 1% and more", 14, "not a quantity", ""),
    ("errors.rate < nan", 14, "not a quantity", ""),
    ("", 0, "not a condition", ""),
    ("errors.rate < " + "1" * 300, 0, "the condition is too long", ""),
]


@pytest.mark.parametrize(("text", "offset", "problem", "nearest"), REFUSED)
def test_a_wrong_condition_says_where_and_what_was_meant(text, offset, problem, nearest) -> None:
    with pytest.raises(Misfit) as caught:
        parse_condition(text, METRICS)
    misfit = caught.value
    assert (misfit.offset, misfit.problem, misfit.nearest) == (offset, problem, nearest)
    assert misfit.expected


def test_an_unknown_comparison_names_those_that_exist() -> None:
    with pytest.raises(Misfit) as caught:
        parse_condition("errors.rate == 1%", METRICS)
    assert caught.value.expected == "one of < <= > >="


RATIO_SIGNALS = ["errors.rate", "errors.success", "memory"]
SPACES = st.sampled_from(["", " ", "  "])


@given(
    st.sampled_from(RATIO_SIGNALS), st.sampled_from([Op.LT, Op.LE, Op.GT, Op.GE]), st.integers(0, 10000), SPACES, SPACES
)
def test_any_written_percentage_is_read_back(signal, op, hundredths, before, after) -> None:
    text = f"{signal}{before}{op}{after}{hundredths / 100:.2f}%"
    condition = parse_condition(text, METRICS)
    assert (str(condition.signal), condition.op) == (signal, op)
    assert condition.limit == Absolute(pytest.approx(hundredths / 10000))


@given(st.sampled_from(["latency.p50", "latency.mean", "confidence", "rss"]), st.integers(1, 500))
def test_any_written_factor_is_read_back(signal, hundredths) -> None:
    condition = parse_condition(f"{signal} > {hundredths / 100:.2f}x stable", METRICS)
    assert condition.limit == TimesStable(pytest.approx(hundredths / 100))
    assert condition.needs_stable


@given(st.integers(10, 999))
def test_every_percentile_up_to_99_9_is_a_signal(tenths) -> None:
    assert parse_condition(f"latency.p{tenths / 10:g} < 1s", METRICS).signal.stat == f"p{tenths / 10:g}"


def offset_or_zero(text: str) -> int:
    try:
        parse_condition(text, METRICS)
    except Misfit as misfit:
        return misfit.offset
    return 0


@given(
    st.text(max_size=40)
    | st.from_regex(r"(errors|latency|health)\.?[a-z0-9.]*\s*[<>=is]{1,2}\s*.{0,12}", fullmatch=True)
)
def test_any_text_is_a_condition_or_a_misfit_inside_the_text(text) -> None:
    assert 0 <= offset_or_zero(text) <= len(text)


def test_every_offered_signal_is_one() -> None:
    offered = [signal for metric in METRICS.values() for signal in signals_of(metric)]
    assert len(offered) == 13
    limits = {"health": "is up"}
    for signal in offered:
        parse_condition(f"{signal} {limits.get(signal, '> 1x stable')}", METRICS)


@pytest.mark.parametrize("text", [row[0] for row in ACCEPTED])
def test_editors_accept_what_the_parser_accepts(text) -> None:
    assert re.search(PATTERN, text)
