"""A state store in memory with a disk that forgets what was not synced, a lease, and faults."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio.lowlevel

from canaryd.errors import AnotherRuns, StateCorrupt, StateUnavailable
from canaryd.ports import JournalLine, TickRecord
from canaryd.testing.faults import FaultSource, StorePoint, no_faults, reach

REMEMBERED_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class _Content:
    state: str | None = None
    journal: tuple[JournalLine, ...] = ()


@dataclass(slots=True)
class MemoryDisk:
    """What outlives a daemon. ``written`` is what a reader sees, ``durable`` what a crash leaves."""

    written: _Content = field(default_factory=_Content)
    durable: _Content = field(default_factory=_Content)
    holder: object | None = None
    """The store that holds the lease."""
    records: deque[TickRecord] = field(default_factory=lambda: deque(maxlen=REMEMBERED_EVENTS))
    """What was stored durably, oldest first."""

    @property
    def state(self) -> str | None:
        """The state that the next daemon would load after a crash."""
        return self.durable.state


class MemoryStore:
    """Implements ``ports.StateStore`` on a MemoryDisk.

    Args:
        disk: What outlives this store; its own if none is given.
        faults: Asked at every StorePoint for an exception to raise.
    """

    def __init__(self, disk: MemoryDisk | None = None, *, faults: FaultSource = no_faults) -> None:
        self.disk = disk or MemoryDisk()
        self.faults = faults

    async def load(self) -> str | None:
        """Take the lease and return the state; an injected StateCorrupt loses it once."""
        await anyio.lowlevel.checkpoint()
        if self.disk.holder not in (None, self):
            raise AnotherRuns("another daemon holds this state")
        try:
            reach(StorePoint.LOAD, self.faults)
        except StateCorrupt:
            self.disk.written = self.disk.durable = _Content()
            self.disk.holder = self
            raise
        self.disk.holder = self
        return self.disk.written.state

    async def commit(self, record: TickRecord) -> None:
        """Store one tick: written, then synced."""
        await anyio.lowlevel.checkpoint()
        self._require_lease()
        reach(StorePoint.BEFORE_WRITE, self.faults)
        self.disk.written = _Content(record.state, self._journal_after(record))
        reach(StorePoint.BEFORE_SYNC, self.faults)
        self.disk.durable = self.disk.written
        self.disk.records.append(record)
        reach(StorePoint.AFTER_SYNC, self.faults)

    async def journal(self, limit: int) -> Sequence[JournalLine]:
        """Return the newest events, newest first."""
        self._require_lease()
        return self.disk.written.journal[: max(0, limit)]

    async def aclose(self) -> None:
        """Give the lease back."""
        if self.disk.holder is self:
            self.disk.holder = None

    def crash(self) -> None:
        """End like a power loss: what was not synced is gone, and so is the lease."""
        self.disk.written = self.disk.durable
        if self.disk.holder is self:
            self.disk.holder = None

    def _require_lease(self) -> None:
        if self.disk.holder is not self:
            raise StateUnavailable("the state is not open")

    def _journal_after(self, record: TickRecord) -> tuple[JournalLine, ...]:
        state = record.decision.state
        new = [
            JournalLine(
                at=record.at.wall, kind=event.kind.value, text=event.text, stage=state.stage, release=state.release
            )
            for event in reversed(record.decision.events)
        ]
        return (*new, *self.disk.written.journal)[:REMEMBERED_EVENTS]
