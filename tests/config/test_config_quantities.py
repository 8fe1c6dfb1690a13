"""Quantities mean what people write, in base units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.config.misfit import Misfit
from canaryd.config.quantities import BYTE_UNITS, parse_count, parse_duration, parse_quantity
from canaryd.core.conditions import Unit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("24h", 86400), ("3d", 259200), ("500ms", 0.5), ("1h30m", 5400), ("1 h 30 min", 5400)],
)
def test_a_duration_may_combine_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "30", "30 parsecs", "1m1h", "1s1s", "-3s", "1e3s", "3s,", "٣s", "1h 30"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Misfit):
        parse_duration(text)


def test_a_duration_without_unit_gets_a_suggestion() -> None:
    with pytest.raises(Misfit) as caught:
        parse_duration("30")
    assert caught.value.nearest == "30s"


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1%", Unit.RATIO, 0.01),
        ("0.5 %", Unit.RATIO, 0.005),
        ("0.01", Unit.RATIO, 0.01),
        ("100%", Unit.RATIO, 1.0),
        ("512MiB", Unit.BYTES, 512 * 2**20),
        ("1GB", Unit.BYTES, 1e9),
        ("15s", Unit.SECONDS, 15),
        ("1m30s", Unit.SECONDS, 90),
        ("0.75", Unit.NUMBER, 0.75),
        ("-3", Unit.NUMBER, -3),
    ],
)
def test_a_quantity_is_converted_to_the_base_unit(text: str, unit: Unit, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit", "problem", "nearest"),
    [
        ("15", Unit.SECONDS, "15 what? s or ms", "15s"),
        ("5", Unit.BYTES, "5 what? B, KiB, MiB or GiB", "5MiB"),
        ("15%", Unit.SECONDS, "the unit does not fit the signal", ""),
        ("15s", Unit.RATIO, "the unit does not fit the signal", ""),
        ("75%", Unit.NUMBER, "the unit does not fit the signal", ""),
        ("1", Unit.STATE, "the unit does not fit the signal", ""),
        ("5", Unit.RATIO, "a ratio is between 0 and 1", "5%"),
        ("500", Unit.RATIO, "a ratio is between 0 and 1", ""),
        ("101%", Unit.RATIO, "a ratio cannot be over 100 %", ""),
        ("-1%", Unit.RATIO, "a limit cannot be negative here", ""),
        ("-5ms", Unit.SECONDS, "a limit cannot be negative here", ""),
        ("nan", Unit.NUMBER, "not a quantity", ""),
        ("1e3", Unit.NUMBER, "not a quantity", ""),
        ("", Unit.NUMBER, "not a quantity", ""),
    ],
)
def test_a_quantity_that_does_not_fit_says_why(text: str, unit: Unit, problem: str, nearest: str) -> None:
    with pytest.raises(Misfit) as caught:
        parse_quantity(text, unit)
    assert (caught.value.problem, caught.value.nearest) == (problem, nearest)


@pytest.mark.parametrize(("text", "count"), [("500", 500), ("500 requests", 500), ("20 looks", 20)])
def test_a_count_may_carry_a_noun(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "requests", "5.5 requests", "-1 requests", "500requests", "5 6"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(Misfit):
        parse_count(text)


@given(st.integers(0, 10**9), st.sampled_from(sorted(BYTE_UNITS)))
def test_any_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert parse_quantity(f"{number} {unit}", Unit.BYTES) == number * BYTE_UNITS[unit]


@given(st.text(max_size=30), st.sampled_from(Unit))
def test_any_text_is_a_finite_number_or_a_misfit(text: str, unit: Unit) -> None:
    try:
        value = parse_quantity(text, unit)
    except Misfit:
        return
    assert abs(value) < 1e30
