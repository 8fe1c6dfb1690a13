"""The loop of one rollout: tick, wait, tick. Ticks never overlap; one that overruns its interval is not made up for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from canaryd.core.model import Instant
from canaryd.engine.tick import Ticker
from canaryd.engine.wiring import Rollout
from canaryd.errors import InvariantViolated, OperatorError

log = structlog.get_logger(__name__)

EDIT_POLL_S = 0.5
"""How often the files are looked at between ticks: an edit is seen within a second, without inotify."""
RETRY_S = 5.0
"""How soon a tick that could not be made is tried again, at the latest."""


@dataclass(slots=True, kw_only=True)
class Loop:
    """Runs one rollout until it is cancelled, or until its policy has changed."""

    rollout: Rollout
    ticker: Ticker
    policy_changed: Callable[[], bool]

    async def run(self) -> None:
        """Tick forever; return when the rollout must be built anew from a changed policy."""
        changed = False
        while not changed:
            started = self.rollout.clock.now()
            seen = await self.rollout.desired.fingerprint()
            interval_s = await self._tick()
            self._count_overrun(started, interval_s)
            changed = await self._wait(started, interval_s, seen)

    async def _tick(self) -> float:
        """Make one tick and return the seconds until the next."""
        try:
            report = await self.ticker.tick()
        except (InvariantViolated, OperatorError) as error:
            name = self.rollout.policy.rollout
            log.critical("tick.failed", rollout=name, problem=str(error))
            self.rollout.recorder.failed(str(error))
            return min(RETRY_S, self.rollout.policy.interval_s(0.0))
        return report.decision.next_look_s

    def _count_overrun(self, started: Instant, interval_s: float) -> None:
        late_s = self.rollout.clock.now().seconds_since(started) - interval_s
        if late_s > 0:
            self.rollout.recorder.skipped(1 + int(late_s // interval_s))

    async def _wait(self, started: Instant, interval_s: float, seen: str) -> bool:
        """Wait until the next look is due or a file was edited; return whether it was the policy.

        ``seen`` is the desired file as it was before the tick read it, so that no edit falls in between.
        """
        clock = self.rollout.clock
        while True:
            if self.policy_changed():
                return True
            left_s = interval_s - clock.now().seconds_since(started)
            if left_s <= 0 or await self.rollout.desired.fingerprint() != seen:
                return False
            await clock.sleep(min(EDIT_POLL_S, left_s))
