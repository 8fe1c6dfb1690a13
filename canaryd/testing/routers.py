"""A router in memory, with preconditions, an epoch fence, slow settling, human edits and faults."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio.lowlevel

from canaryd.core.model import Change, Mark, Traffic
from canaryd.errors import ChangeRefused
from canaryd.ports import Finding
from canaryd.testing.faults import FaultSource, RouterPoint, no_faults, reach

REMEMBERED_CHANGES = 10_000


@dataclass(slots=True)
class FakeTraffic:
    """What is out there: outlives the daemons that look at it, and is shared by those that fight over it."""

    weight: float | None = 0.0
    mark: Mark | None = None
    edits: int = 0
    unsettled_reads: int = 0
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=REMEMBERED_CHANGES))
    """What was applied, oldest first."""

    @property
    def version(self) -> str:
        """The precondition of the next change."""
        return f"v{self.edits}"

    def edit(self, weight: float | None, mark: Mark | None = None) -> None:
        """Change the weight as a person would, who leaves canaryd's mark alone unless one is given."""
        self.weight = weight
        self.mark = mark or self.mark
        self.edits += 1


class FakeRouter:
    """Implements ``ports.TrafficRouter`` on a FakeTraffic.

    Args:
        traffic: What is out there; its own if none is given.
        faults: Asked at every RouterPoint for an exception to raise.
        reads_to_settle: How many reads after a change still show it as not yet served.
    """

    def __init__(
        self, traffic: FakeTraffic | None = None, *, faults: FaultSource = no_faults, reads_to_settle: int = 0
    ) -> None:
        self.traffic = traffic or FakeTraffic()
        self.faults = faults
        self.reads_to_settle = reads_to_settle

    async def read(self) -> Traffic:
        """Return the traffic as it is."""
        await anyio.lowlevel.checkpoint()
        reach(RouterPoint.READ, self.faults)
        seen = self.traffic
        settled = seen.unsettled_reads == 0
        seen.unsettled_reads = max(0, seen.unsettled_reads - 1)
        detail = "" if seen.weight is not None else "the router says nothing usable"
        return Traffic(weight=seen.weight, version=seen.version, mark=seen.mark, settled=settled, detail=detail)

    async def write(self, change: Change) -> None:
        """Apply a change if nobody was faster and no newer daemon was here."""
        await anyio.lowlevel.checkpoint()
        reach(RouterPoint.BEFORE_WRITE, self.faults)
        self._compare(change)
        self._apply(change)
        reach(RouterPoint.AFTER_WRITE, self.faults)

    async def check(self) -> Sequence[Finding]:
        """Say that all is well."""
        return [Finding(ok=True, subject="router", detail="a router in memory")]

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _compare(self, change: Change) -> None:
        if change.version != self.traffic.version:
            raise ChangeRefused("the traffic changed since it was read")
        mark = self.traffic.mark
        if mark is not None and mark.rollout == change.mark.rollout and mark.epoch >= change.mark.epoch:
            raise ChangeRefused(f"a newer daemon set the traffic: epoch {mark.epoch}, ours is {change.mark.epoch}")

    def _apply(self, change: Change) -> None:
        self.traffic.edit(change.weight, replace(change.mark))
        self.traffic.unsettled_reads = self.reads_to_settle
        self.traffic.changes.append(change)
