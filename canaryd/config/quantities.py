"""Quantities as people write them: durations, percentages, bytes, counts; always converted to base units."""

from __future__ import annotations

import math
import re

from canaryd.config.misfit import Misfit, printable
from canaryd.core.conditions import Unit

NUMBER = r"(?:[0-9]{1,15}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})"
"""A decimal number: no sign, no exponent, and never so long that it loses digits."""
DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
BYTE_UNITS = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "TiB": 2.0**40,
}
DURATION_PATTERN = rf"^\s*({NUMBER}\s*(ms|s|min|m|h|d)\s*)+$"
COUNT_PATTERN = r"^\s*[0-9]{1,12}(\s+[a-z]+)?\s*$"

_QUANTITY = re.compile(rf"(?P<sign>[-+]?)(?P<number>{NUMBER})\s*(?P<unit>%|[A-Za-z]*)", re.ASCII)
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_DURATION_PART = re.compile(rf"({NUMBER})\s*(ms|s|min|m|h|d)", re.ASCII)
_COUNT = re.compile(COUNT_PATTERN, re.ASCII)
_EXAMPLES = {
    Unit.RATIO: "a percentage such as 1% or a ratio such as 0.01",
    Unit.SECONDS: "a time such as 15s or 500ms",
    Unit.BYTES: "a size such as 512MiB",
    Unit.NUMBER: "a plain number such as 0.75",
    Unit.STATE: "up or down",
}


def parse_duration(text: str) -> float:
    """Return seconds: ``30s``, ``500ms``, ``1h30m``, ``3d``.

    Raises:
        Misfit: It is no duration.
    """
    expected = "a duration such as 30s, 15m, 24h or 1h30m"
    if not _DURATION.fullmatch(text):
        if re.fullmatch(NUMBER, text.strip(), re.ASCII):
            raise Misfit("a duration needs a unit", found=text.strip(), expected=expected, nearest=f"{text.strip()}s")
        raise Misfit("not a duration", found=printable(text), expected=expected)
    parts = _DURATION_PART.findall(text)
    sizes = [DURATION_UNITS[unit] for _, unit in parts]
    if sorted(set(sizes), reverse=True) != sizes:
        raise Misfit("each unit once, the largest first", found=printable(text), expected=expected)
    return math.fsum(float(number) * DURATION_UNITS[unit] for number, unit in parts)


def parse_count(text: str) -> int:
    """Return a whole number with an optional noun: ``500`` or ``500 requests``.

    Raises:
        Misfit: It is no count.
    """
    if not _COUNT.fullmatch(text):
        raise Misfit("not a count", found=printable(text), expected="a whole number such as 500 or 500 requests")
    return int(text.split(maxsplit=1)[0])


def parse_quantity(text: str, unit: Unit) -> float:
    """Return a value in the base unit of a signal.

    Args:
        text: ``1%``, ``0.01``, ``15s``, ``1h30m``, ``512MiB`` or ``0.75``.
        unit: The base unit that it must fit.

    Raises:
        Misfit: It is no quantity, or one of another unit.
    """
    text = text.strip()
    if unit is Unit.SECONDS and _DURATION.fullmatch(text):
        return parse_duration(text)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise Misfit("not a quantity", found=printable(text) or "nothing", expected=_EXAMPLES[unit])
    number = float(match["number"]) * (-1 if match["sign"] == "-" else 1)
    value = _in_base_unit(number, match["unit"], unit, text)
    if value < 0 and unit is not Unit.NUMBER:
        raise Misfit("a limit cannot be negative here", found=printable(text), expected=_EXAMPLES[unit])
    return value


def _in_base_unit(number: float, written: str, unit: Unit, text: str) -> float:
    match unit:
        case Unit.RATIO if written in ("", "%"):
            return _ratio(number, written, text)
        case Unit.NUMBER if not written:
            return number
        case Unit.SECONDS if written in DURATION_UNITS:
            return number * DURATION_UNITS[written]
        case Unit.BYTES if written in BYTE_UNITS:
            return number * BYTE_UNITS[written]
        case Unit.SECONDS if not written:
            raise Misfit(f"{text} what? s or ms", found=text, expected=_EXAMPLES[unit], nearest=f"{text}s")
        case Unit.BYTES if not written:
            raise Misfit(f"{text} what? B, KiB, MiB or GiB", found=text, expected=_EXAMPLES[unit], nearest=f"{text}MiB")
    raise Misfit("the unit does not fit the signal", found=printable(text), expected=_EXAMPLES[unit])


def _ratio(number: float, written: str, text: str) -> float:
    """A bare number above 1 is a percentage whose sign was forgotten, never a rate of 100 % and more."""
    if written and number > 100:
        raise Misfit("a ratio cannot be over 100 %", found=printable(text), expected=_EXAMPLES[Unit.RATIO])
    if not written and number > 1:
        meant = f"{text}%" if number <= 100 else ""
        raise Misfit("a ratio is between 0 and 1", found=text, expected=_EXAMPLES[Unit.RATIO], nearest=meant)
    return number / 100 if written else number
