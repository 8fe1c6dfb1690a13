"""Plain YAML scalars by the core schema of YAML 1.2 (section 10.3.2): ``on``, ``no`` and ``1:30`` stay text."""

from __future__ import annotations

import math
import re

from canaryd.config.misfit import Misfit, printable

Scalar = str | int | float | bool | None

MAX_DIGITS = 100
"""More than any quantity needs; converting very long integers is slow."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)


def resolve(text: str) -> Scalar:
    """Return the value of an unquoted scalar, or raise Misfit for a number that cannot be compared."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _NOT_FINITE.fullmatch(text):
        raise _not_finite(text)
    return _number(text)


def _number(text: str) -> str | int | float:
    is_number = _FLOAT.fullmatch(text) or _OTHER_BASE.fullmatch(text)
    if is_number and len(text) > MAX_DIGITS:
        raise Misfit("the number is too long", found=printable(text), expected=f"at most {MAX_DIGITS} digits")
    if _INT.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text[2:], {"o": 8, "x": 16}[text[1]])
    if not is_number:
        return text
    value = float(text)
    if math.isinf(value):
        raise _not_finite(text)
    return value


def _not_finite(text: str) -> Misfit:
    return Misfit("infinite and undefined numbers are not allowed", found=text, expected="a finite number")
