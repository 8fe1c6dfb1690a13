"""One rollout, wired: its policy and the adapters that the composition root chose for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import anyio

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
    close_s: float = 5.0


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
        """Close every adapter, whatever the others do; the store last, because it holds the lease."""
        last_to_first = [
            self.store.aclose,
            self.router.aclose,
            *[notifier.aclose for notifier in self.notifiers],
            *[source.aclose for source in self.sources.values()],
        ]
        async with AsyncExitStack() as stack:
            for aclose in last_to_first:
                stack.push_async_callback(self._close, aclose)

    async def _close(self, aclose: Callable[[], Awaitable[None]]) -> None:
        with anyio.move_on_after(self.deadlines.close_s, shield=True):
            await aclose()
