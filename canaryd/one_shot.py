"""Ticks outside the daemon: one for a scheduler, or one that only says what it would do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from canaryd.app import Process, build_rollout, surroundings_of
from canaryd.config.policy import PolicyFile, load_policy
from canaryd.core.model import Instant
from canaryd.core.readings import Absence, NoData
from canaryd.engine import codec
from canaryd.engine.clock import SystemClock
from canaryd.engine.observe import look_of, observe
from canaryd.engine.status import document
from canaryd.engine.tick import Ticker
from canaryd.engine.wiring import Rollout
from canaryd.plugins import Group, load
from canaryd.ports import Stored, TickReport
from canaryd.settings import Settings

WARM_UP_S = 2.0
"""Sources that compare two looks at a service get the second one after this long."""


class SchedulerClock(SystemClock):
    """A clock for processes that live for one tick: their elapsed times are comparable, on the wall clock.

    So the time between two scheduled ticks counts as watched under the same rules as in the daemon: at most one and
    a half intervals, nothing after a gap. A clock that was set back counts for nothing.
    """

    def now(self) -> Instant:
        """Return this moment; every scheduled tick belongs to one run."""
        now = super().now()
        return Instant(wall=now.wall, elapsed=now.wall, run="scheduler")


async def tick_once(path: Path, settings: Settings) -> Mapping[str, Any]:
    """Make one tick as the daemon would and return the status document."""
    process = Process(settings, clock=SchedulerClock())
    file = load_policy(path)
    rollout = build_rollout(file, process)
    ticker = Ticker(rollout)
    try:
        await ticker.open()
        await _warm_up(rollout, ticker)
        report = await ticker.tick()
        return _described(report, file)
    finally:
        with anyio.CancelScope(shield=True):
            await rollout.aclose()


async def plan_once(path: Path, settings: Settings) -> Mapping[str, Any]:
    """Return the status document that the next tick would leave; nothing is written, moved or locked."""
    process = Process(settings)
    file = load_policy(path)
    rollout = build_rollout(file, process)
    ticker = Ticker(rollout)
    try:
        stored = read_stored(file, process)
        ticker.resume(codec.decode(stored.state) if stored and stored.state else None)
        await _warm_up(rollout, ticker)
        return _described(await ticker.plan(), file)
    finally:
        with anyio.CancelScope(shield=True):
            await rollout.aclose()


async def _warm_up(rollout: Rollout, ticker: Ticker) -> None:
    """Look once ahead where a source has to see a service twice before it can count."""
    look = await observe(rollout, look_of(rollout, ticker.state, rollout.clock.now()))
    warming = (
        isinstance(reading, NoData) and reading.why is Absence.WARMING for reading in look.readings.by_key.values()
    )
    if any(warming):
        await rollout.clock.sleep(min(WARM_UP_S, rollout.policy.interval_s(0.0)))


def _described(report: TickReport, file: PolicyFile) -> Mapping[str, Any]:
    described: Mapping[str, Any] = json.loads(document(report, file.policy))
    return described


def read_stored(file: PolicyFile, process: Process) -> Stored | None:
    """Return what the daemon stored last, without its lease; None when it never ran."""
    adapter = load(Group.STORE, file.state)
    stored: Stored | None = adapter.peek(file.state.parse(adapter.Options), surroundings_of(file, process))
    return stored


def stored_document(path: Path, settings: Settings) -> Mapping[str, Any] | None:
    """Return the status document after the daemon's last tick; None when it never made one."""
    stored = read_stored(load_policy(path), Process(settings))
    if stored is None or not stored.document:
        return None
    described: Mapping[str, Any] = json.loads(stored.document)
    return described
