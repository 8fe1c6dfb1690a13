"""The kinds of values in both files, each with its check and the form that editors are told."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from canaryd.config.conditions import MAX_LENGTH, PATTERN
from canaryd.config.misfit import Misfit, printable, shown
from canaryd.config.quantities import COUNT_PATTERN, DURATION_PATTERN, parse_count, parse_duration
from canaryd.core.model import RollbackTarget
from canaryd.core.wording import format_duration

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
ROLLOUT_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
RELEASE_PATTERN = r"^\S{1,200}$"
TARGET_PATTERN = r"^(previous|stable|stage [1-9][0-9]?)$"
MAX_EXPRESSION = 4000
MAX_LABEL = 500
DAY_S = 86400.0


def like(pattern: str, expected: str) -> Callable[[str], str]:
    """Return a check that text follows a pattern, described in words."""
    compiled = re.compile(pattern.removesuffix("$"), re.ASCII)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise Misfit("not a name", found=printable(text) or "nothing", expected=expected)
        return text

    return check


def duration_between(shortest_s: float, longest_s: float) -> Callable[[Any], float]:
    """Return a reader of durations within bounds."""

    def read(value: object) -> float:
        if not isinstance(value, str):
            nearest = f"{value}s" if isinstance(value, int) and not isinstance(value, bool) else ""
            expected = "a duration such as 30s, 15m or 24h"
            raise Misfit("a duration needs a unit", found=shown(value), expected=expected, nearest=nearest)
        seconds = parse_duration(value)
        if not shortest_s <= seconds <= longest_s:
            expected = f"{format_duration(shortest_s)} to {format_duration(longest_s)}"
            raise Misfit("the duration is out of bounds", found=printable(value), expected=expected)
        return seconds

    return read


def _duration_or_never(value: object) -> float | None:
    return None if value == "never" else duration_between(1.0, 30 * DAY_S)(value)


def _count(value: object) -> int:
    expected = "a whole number such as 500 or 500 requests"
    if isinstance(value, str):
        value = parse_count(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Misfit("not a count", found=shown(value), expected=expected)
    if not 1 <= value < 10**12:
        raise Misfit("the count is out of bounds", found=shown(value), expected="1 or more")
    return value


def _target(value: object) -> RollbackTarget | int:
    expected = "previous, stable or stage N"
    if isinstance(value, str) and re.fullmatch(TARGET_PATTERN, value):
        return int(value.removeprefix("stage ")) if value.startswith("stage ") else RollbackTarget(value)
    nearest = f"stage {value}" if isinstance(value, int) and value is not True and value > 0 else ""
    nearest = "stable" if value in (0, "stage 0") and value is not False else nearest
    raise Misfit("not a place to go back to", found=shown(value), expected=expected, nearest=nearest)


def _target_text(target: RollbackTarget | int) -> str:
    return str(target) if isinstance(target, RollbackTarget) else f"stage {target}"


def _label(value: object) -> str:
    """Labels are text to every source and router; a bare number means its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise Misfit("not a label", found=shown(value), expected="text")
    return _line(MAX_LABEL)(value)


def _line(longest: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not text.isprintable():
            raise Misfit("control characters are not allowed", found=printable(text), expected="one line of text")
        if not 1 <= len(text) <= longest:
            raise Misfit("the text has the wrong length", found=str(len(text)), expected=f"1 to {longest} characters")
        return text

    return check


def _expression(text: str) -> str:
    """Queries may span lines; other control characters have no meaning in any of their languages."""
    _line(MAX_EXPRESSION)(" ".join(text.split()))
    return text


def _scalar(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise Misfit("only single values can be compared", found=shown(value), expected="text, a number, true or false")


def _release(text: str) -> str:
    if not re.fullmatch(RELEASE_PATTERN, text) or not text.isprintable():
        expected = "1 to 200 printable characters without spaces"
        raise Misfit("not a release", found=printable(text) or "nothing", expected=expected)
    return text


_DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "15m", "24h", "3d"]}

Name = Annotated[str, AfterValidator(like(NAME_PATTERN, "lower-case letters, digits and _, a letter first")),
                 WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]  # fmt: skip
RolloutName = Annotated[str, AfterValidator(like(ROLLOUT_PATTERN, "lower-case letters, digits and -, a letter first")),
                        WithJsonSchema({"type": "string", "pattern": ROLLOUT_PATTERN})]  # fmt: skip
Release = Annotated[str, AfterValidator(_release), WithJsonSchema({"type": "string", "pattern": RELEASE_PATTERN})]
Line = Annotated[str, AfterValidator(_line(MAX_LABEL))]
Expression = Annotated[str, AfterValidator(_expression)]
ConditionText = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": PATTERN, "maxLength": MAX_LENGTH, "examples": ["errors.rate < 1%"]}),
]
Interval = Annotated[float, PlainValidator(duration_between(0.1, DAY_S)), WithJsonSchema(_DURATION_SCHEMA)]
Window = Annotated[float, PlainValidator(duration_between(0.1, 366 * DAY_S)), WithJsonSchema(_DURATION_SCHEMA)]
DurationOrNever = Annotated[
    float | None,
    PlainValidator(_duration_or_never),
    WithJsonSchema({"anyOf": [{"const": "never"}, _DURATION_SCHEMA]}),
]
Count = Annotated[
    int,
    PlainValidator(_count),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": COUNT_PATTERN}]}),
]
Target = Annotated[
    RollbackTarget | int,
    PlainValidator(_target),
    PlainSerializer(_target_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": TARGET_PATTERN}),
]
Label = Annotated[str, PlainValidator(_label), WithJsonSchema({"type": ["string", "integer"]})]
ExpectedValue = Annotated[
    str | int | float | bool | None,
    PlainValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
