"""One rollout, wired: its policy and the adapters that the composition root chose for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from canaryd.core.model import Policy
from canaryd.ports import (
    Clock,
    DesiredSource,
    MetricSource,
    Notifier,
    Query,
    Recorder,
    StateStore,
    TrafficRouter,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The bound of every wait on something outside, in seconds."""

    observe_s: float = 10.0
    act_s: float = 10.0
    store_s: float = 10.0
    notify_s: float = 5.0
    desired_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Everything one rollout's loop works with."""

    policy: Policy
    policy_file: str
    """The policy's path as the operator gave it."""
    desired: DesiredSource
    desired_name: str
    """The desired file's name, for messages."""
    queries: Mapping[str, Sequence[Query]]
    """By source name."""
    sources: Mapping[str, MetricSource]
    router: TrafficRouter
    store: StateStore
    notifiers: Sequence[Notifier]
    recorder: Recorder
    clock: Clock
    deadlines: Deadlines = field(default_factory=Deadlines)

    async def aclose(self) -> None:
        """Close every adapter, the store last: it holds the lease."""
        for source in self.sources.values():
            await source.aclose()
        for notifier in self.notifiers:
            await notifier.aclose()
        await self.router.aclose()
        await self.store.aclose()
