"""When the demo breaks its canary, and when it ends with which exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canaryd.lab.breaking import Break, BreakKind

FINISHED = 0
FAULT = 1
ROLLED_BACK = 3
HELD = 4

WATCHED_BEFORE_BREAK = 0.25
"""The stage is seen to go well for this part of its window before it goes wrong."""
HELD_FOR_S = 4.0
"""A silence that lasts so long is no hiccup."""
LOOKED_AT = frozenset({"watching", "finished"})
BLIND_REASONS = frozenset({"error", "no_data"})


class Ending:
    """Follows the status documents of one demo."""

    def __init__(self, planned: Break | None) -> None:
        self._planned = planned
        self._broken = False
        self._blind_since: float | None = None

    def break_is_due(self, document: Mapping[str, Any]) -> bool:
        """Whether the canary has to go wrong now; true only once."""
        if self._planned is None or self._broken:
            return False
        here, there = document["stage"], self._planned.stage
        watched = document["phase"] in LOOKED_AT and document["watched_s"] >= WATCHED_BEFORE_BREAK * (
            document["window_s"] or 0.0
        )
        self._broken = here > there or (here == there and watched)
        return self._broken

    def exit_code(self, document: Mapping[str, Any], now: float) -> int | None:
        """Return the code to end with, or None while there is more to see; ``now`` is monotonic seconds."""
        if document["phase"] == "rolled_back":
            return ROLLED_BACK
        if self._planned is None or not self._broken:
            return FINISHED if document["phase"] == "finished" and self._planned is None else None
        if self._planned.kind is BreakKind.SILENCE and self._has_held(document, now):
            return HELD
        return None

    def _has_held(self, document: Mapping[str, Any], now: float) -> bool:
        """Whether the daemon has been holding for want of samples for some seconds on end."""
        if document["action"] != "hold" or not BLIND_REASONS & {reason["code"] for reason in document["reasons"]}:
            self._blind_since = None
            return False
        self._blind_since = now if self._blind_since is None else self._blind_since
        return now - self._blind_since >= HELD_FOR_S
