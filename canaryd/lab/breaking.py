"""How a demo's canary can go wrong, and at which stage."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from canaryd.errors import OperatorError


class BreakKind(StrEnum):
    """What goes wrong."""

    ERRORS = "errors"
    """A third of the requests fail."""
    LATENCY = "latency"
    """Answers become many times slower."""
    CRASH = "crash"
    """The process exits."""
    HEALTH = "health"
    """Requests are served, but the service calls itself degraded."""
    SILENCE = "silence"
    """Requests and health are fine, but the metrics stop coming."""


@dataclass(frozen=True, slots=True)
class Break:
    """The canary goes wrong in this way while it is watched at ``stage``."""

    kind: BreakKind
    stage: int = 2


def parse_break(text: str, last_stage: int) -> Break:
    """Read ``errors@3``; without a stage it is the second.

    Raises OperatorError for an unknown kind or a stage that the ladder does not have.
    """
    kind, at, stage = text.partition("@")
    return Break(_kind(kind), _stage(stage, last_stage)) if at else Break(_kind(kind))


def _kind(text: str) -> BreakKind:
    try:
        return BreakKind(text)
    except ValueError:
        near = get_close_matches(text, [*BreakKind], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise OperatorError(f"--break {text}: expected one of {', '.join(BreakKind)}.{hint}") from None


def _stage(text: str, last_stage: int) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= last_stage:
        return int(text[:6])
    raise OperatorError(f"--break …@{text}: expected a stage from 1 to {last_stage}, like errors@3")
