"""The real clock: the only place in canaryd that asks what time it is."""

from __future__ import annotations

import secrets
import time

import anyio

from canaryd.core.model import Instant

ELAPSED_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts through suspension where the system has such a clock, so that a sleeping machine shows as a gap."""


class SystemClock:
    """Implements ``ports.Clock``. Each process run has a name of its own: elapsed times of two runs never mix."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)

    def now(self) -> Instant:
        """Return this moment."""
        return Instant(wall=time.time(), elapsed=time.clock_gettime(ELAPSED_CLOCK), run=self._run)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await anyio.sleep(max(0.0, seconds))
