"""Keeps secrets out of logs: those that were handed out, and whatever looks like one.

Rules of this file: values are replaced before they are cut, so that no half of a secret survives; anything that is
not a plain value becomes text first, so that nothing is rendered behind the redactor's back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, MutableMapping
from threading import Lock
from typing import Any
from urllib.parse import quote

HIDDEN = "***"
MAX_CHARS = 4096
"""Longer values are cut: a log line is not the place for a whole answer of a server."""
MAX_INPUT_CHARS = 4 * MAX_CHARS
"""Only so much of a value is searched for what looks like a secret; the rest would be cut anyway."""
MAX_DEPTH = 6
MAX_ITEMS = 100
MIN_SECRET_CHARS = 4
"""Shorter values stand in too many innocent words."""

SECRET_KEY = re.compile(r"authorization|passw|secret|token|api[-_]?key|cookie|credential", re.IGNORECASE)
USERINFO = re.compile(r"(?<=://)[^\s/@?#\"']{1,512}(?=@)")
AUTHORIZATION = re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?)(?:(?:bearer|basic|digest)\s+)?[^\s'\",;]+")
SCHEME = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
ASSIGNMENT = re.compile(r"(?i)((?:passwo?r?d|secret|token|api[-_]?key|signature)['\"]?\s*[=:]\s*['\"]?)[^\s&'\",;]+")

_secrets: set[str] = set()  # one for the process, as logging is
_lock = Lock()


def register_secret(value: str) -> None:
    """Hide a value, as it is and as it looks quoted in a URL or an ``repr``, in everything logged from now on."""
    if len(value) < MIN_SECRET_CHARS:
        return
    with _lock:
        _secrets.update({value, quote(value, safe=""), repr(value)[1:-1]})


def redact_text(text: str) -> str:
    """Return the text with every known secret and everything that looks like one replaced."""
    with _lock:
        longest_first = sorted(_secrets, key=len, reverse=True)
    for secret in longest_first:
        text = text.replace(secret, HIDDEN)
    text = USERINFO.sub(HIDDEN, text[:MAX_INPUT_CHARS])
    text = AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    text = SCHEME.sub(rf"\1 {HIDDEN}", text)
    return ASSIGNMENT.sub(rf"\1{HIDDEN}", text)


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401 (structlog's)
    """Redact and bound one log event; a structlog processor, the last before rendering."""
    return _plain_mapping(event, MAX_DEPTH)


def _plain(value: object, depth: int) -> object:
    match value:
        case float() if not math.isfinite(value):
            return str(value)  # JSON has no word for it
        case None | bool() | int() | float():
            return value
        case Mapping() if depth:
            return _plain_mapping(value, depth - 1)
        case list() | tuple() | set() | frozenset() if depth:
            return [_plain(item, depth - 1) for item in list(value)[:MAX_ITEMS]]
        case _:
            return _shortened(redact_text(value if isinstance(value, str) else str(value)))


def _plain_mapping(values: Mapping[Any, object], depth: int) -> dict[str, object]:
    pairs = ((redact_text(str(key)), value) for key, value in list(values.items())[:MAX_ITEMS])
    return {key: HIDDEN if SECRET_KEY.search(key) else _plain(value, depth) for key, value in pairs}


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}… (cut)"
