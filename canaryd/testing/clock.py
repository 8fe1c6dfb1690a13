"""A clock that a test controls. It runs on the event loop's own time, which ``looptime`` makes virtual."""

from __future__ import annotations

import asyncio

import anyio

from canaryd.core.model import Instant

START_WALL = 1_700_000_000.0
"""2023-11-14, an ordinary moment."""


class SimulatedClock:
    """Implements ``ports.Clock``: time passes with the loop, and breaks where the test says so."""

    def __init__(self, wall: float = START_WALL) -> None:
        self._wall = wall
        self._elapsed = 0.0
        self._runs = 1
        self._loop_time: float | None = None

    def now(self) -> Instant:
        """Return this moment; only inside a running event loop."""
        self._advance()
        return Instant(wall=self._wall, elapsed=self._elapsed, run=f"run-{self._runs}")

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await anyio.sleep(max(0.0, seconds))

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward, or back with a negative number; elapsed time does not notice."""
        self._wall += seconds

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: both clocks go on while nothing runs."""
        self._wall += seconds
        self._elapsed += seconds

    def restart(self, down_s: float = 0.0) -> None:
        """Start a new run of the process after ``down_s`` seconds; its elapsed time has nothing to do with the old."""
        self._advance()
        self._wall += down_s
        self._elapsed = 0.0
        self._runs += 1

    def _advance(self) -> None:
        loop_time = asyncio.get_running_loop().time()
        passed = 0.0 if self._loop_time is None else loop_time - self._loop_time
        self._loop_time = loop_time
        self._wall += passed
        self._elapsed += passed
