"""Numbers are told with three significant digits and the unit that fits."""

from __future__ import annotations

import pytest

from canaryd.core.conditions import Unit
from canaryd.core.wording import format_duration, format_quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.019, Unit.RATIO, "1.9 %"),
        (0.0, Unit.RATIO, "0 %"),
        (1.0, Unit.RATIO, "100 %"),
        (0.00001, Unit.RATIO, "0.001 %"),
        (19.1, Unit.SECONDS, "19.1 s"),
        (0.34, Unit.SECONDS, "340 ms"),
        (0.99999, Unit.SECONDS, "1 s"),
        (7200.0, Unit.SECONDS, "2 h"),
        (512 * 2**20, Unit.BYTES, "512 MiB"),
        (100, Unit.BYTES, "100 B"),
        (0.76, Unit.NUMBER, "0.76"),
        (12345.6, Unit.NUMBER, "12346"),
        (-3, Unit.NUMBER, "-3"),
        (1, Unit.STATE, "up"),
        (0, Unit.STATE, "down"),
    ],
)
def test_a_quantity_is_told_in_the_unit_that_fits(value: float, unit: Unit, text: str) -> None:
    assert format_quantity(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (0.5, "500 ms"),
        (45, "45 s"),
        (90, "1 min 30 s"),
        (11520, "3 h 12 min"),
        (86400, "24 h"),
        (183600, "2 d 3 h"),
        (259200, "3 d"),
        (0.1 * 300, "30 s"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_window_never_looks_more_watched_than_it_is() -> None:
    assert format_duration(86399.9) == "23 h 59 min"
    assert format_duration(59.96) == "59.9 s"
