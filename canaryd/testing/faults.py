"""Injected faults: what a fake raises when it reaches a point. One way for refusals, lost replies and crashes."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

Fault: TypeAlias = BaseException | None
FaultSource: TypeAlias = Callable[[str], Fault]
"""Asked at every point for what to raise there; None lets it pass."""


class RouterPoint(StrEnum):
    """Where a FakeRouter can be made to fail. What is raised says how."""

    READ = "read"
    """RouterUnavailable: it cannot be read."""
    BEFORE_WRITE = "before_write"
    """ChangeRefused: it said no. ChangeUnknown: the request was lost."""
    AFTER_WRITE = "after_write"
    """ChangeUnknown: applied, and the reply was lost."""


class StorePoint(StrEnum):
    """Where a MemoryStore can be made to fail. What is raised says how."""

    LOAD = "load"
    """StateUnavailable, or StateCorrupt: the state is lost once."""
    BEFORE_WRITE = "before_write"
    """StateUnavailable: nothing was written."""
    BEFORE_SYNC = "before_sync"
    """Written, not durable: gone after a crash."""
    AFTER_SYNC = "after_sync"
    """Durable, and the reply was lost."""


class Faults:
    """Faults queued by point, each raised once: ``faults.at(RouterPoint.AFTER_WRITE, ChangeUnknown("..."))``."""

    def __init__(self) -> None:
        self._queued: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def at(self, point: str, *faults: Fault) -> None:
        """Queue what is raised the next times that ``point`` is reached; None lets one pass."""
        self._queued[point].extend(faults)

    def __call__(self, point: str) -> Fault:
        """Return what is due at this point."""
        queue = self._queued[point]
        return queue.popleft() if queue else None


def no_faults(_point: str) -> Fault:
    """Let everything pass."""
    return None


def reach(point: str, faults: FaultSource) -> None:
    """Raise what is due at this point."""
    fault = faults(point)
    if fault is not None:
        raise fault
