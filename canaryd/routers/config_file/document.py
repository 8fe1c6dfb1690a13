"""What the canary file says and what it is to say. Pure: bytes in, bytes out.

The file belongs to the application: keys that canaryd does not know keep their place and value.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import BaseModel, Field, ValidationError

from canaryd.core.model import Change, Mark, Traffic

MAX_BYTES = 64 * 1024
ABSENT = "absent"
"""The version of a file that does not exist."""
LARGEST_NUMBER = 2**53
"""Above it, JSON readers of other languages round."""


class _MarkKeys(BaseModel, strict=True, frozen=True, extra="ignore"):
    rollout: str = Field(min_length=1, max_length=63)
    release: str = Field(min_length=1, max_length=200)
    current_stage: int = Field(ge=0, le=1000)
    epoch: int = Field(ge=0, le=LARGEST_NUMBER)
    attempt: int = Field(default=1, ge=1, le=LARGEST_NUMBER)
    latched: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """The keys of the file; ``problem`` says why there are none."""

    keys: dict[str, object] = field(default_factory=dict)
    problem: str = ""


def version_of(content: bytes | None) -> str:
    """Return the precondition that stands for exactly this content."""
    return ABSENT if content is None else hashlib.sha256(content).hexdigest()


def traffic_of(content: bytes | None, name: str) -> Traffic:
    """Return the traffic that a file's content stands for; what cannot be understood is an unknown weight."""
    if content is None:
        return Traffic(weight=None, version=ABSENT, detail=f"{name} does not exist yet")
    document = parse(content)
    weight, problem = (None, document.problem) if document.problem else _weight(document.keys)
    return Traffic(
        weight=weight,
        version=version_of(content),
        mark=mark_of(document),
        detail=f"{name}: {problem}" if problem else "",
    )


def parse(content: bytes) -> Document:
    """Return the keys of a JSON object. Stricter than most readers: what two of them may take differently is broken."""
    try:
        keys = json.loads(
            content.decode("utf-8-sig"),
            object_pairs_hook=_distinct,
            parse_constant=_refuse_number,
            parse_float=_finite,
        )
    except RecursionError:
        return Document(problem="nested too deeply")
    except ValueError as error:
        return Document(problem=f"not valid JSON: {error}")
    return Document(keys) if isinstance(keys, dict) else Document(problem="not a JSON object")


def mark_of(document: Document) -> Mark | None:
    """Return canaryd's own record in the file, None unless all of it is well-formed."""
    try:
        found = _MarkKeys.model_validate(document.keys)
    except ValidationError:
        return None
    return Mark(
        rollout=found.rollout,
        release=found.release,
        attempt=found.attempt,
        stage=found.current_stage,
        epoch=found.epoch,
        latched=found.latched,
    )


def render(content: bytes | None, change: Change, updated_at: str) -> bytes:
    """Return the file's new content: the change's keys set, all others as they were."""
    keys = parse(content).keys if content is not None else {}
    text = json.dumps(keys | _keys_of(change, updated_at), indent=2, ensure_ascii=False, allow_nan=False)
    # JSON may escape halves of a character that UTF-8 cannot hold; they can only stand in strings.
    return (text + "\n").encode(errors="backslashreplace")


def _keys_of(change: Change, updated_at: str) -> dict[str, object]:
    mark = change.mark
    return {
        "enabled": change.weight > 0,
        "current_stage": mark.stage,
        "traffic_percent": int(change.weight) if change.weight == int(change.weight) else change.weight,
        "rollout": mark.rollout,
        "release": mark.release,
        "attempt": mark.attempt,
        "epoch": mark.epoch,
        "latched": mark.latched,
        "updated_at": updated_at,
    }


def _weight(keys: dict[str, object]) -> tuple[float | None, str]:
    enabled, percent = keys.get("enabled", True), keys.get("traffic_percent")
    if enabled is False:
        return 0.0, ""
    if enabled is not True:
        return None, "enabled is neither true nor false"
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        return None, "traffic_percent is no number from 0 to 100"
    return float(percent), ""


def _distinct(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    keys: dict[str, object] = {}
    for key, value in pairs:
        if key in keys:
            raise ValueError(f"the key {key[:60]!r} stands twice")
        keys[key] = value
    return keys


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text[:60])
