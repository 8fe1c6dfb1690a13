"""The life of the process: signals, readiness, and a watchdog that only a working loop feeds."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import structlog

from canaryd.engine.sd_notify import ServiceManager
from canaryd.errors import CanarydError

log = structlog.get_logger(__name__)


async def run_until_stopped(
    work: Callable[[], Awaitable[None]], manager: ServiceManager, is_alive: Callable[[], bool]
) -> None:
    """Run ``work`` until SIGTERM or SIGINT; a step in flight is finished first, because it is shielded.

    ``is_alive`` says whether every rollout's heartbeat is fresh: only then is the watchdog fed, from the event loop
    itself, so that a loop that is stuck or a rollout that no longer ticks gets the process restarted.
    """
    failure: CanarydError | None = None
    with anyio.open_signal_receiver(
        signal.SIGTERM, signal.SIGINT
    ) as signals:  # to the end: a second one changes nothing
        async with anyio.create_task_group() as group:
            group.start_soon(_stop_on_signal, signals, group.cancel_scope, manager)
            group.start_soon(_feed_watchdog, manager, is_alive)
            try:
                await work()
            except CanarydError as error:  # raised outside the group, which would wrap it
                failure = error
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _stop_on_signal(
    signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope, manager: ServiceManager
) -> None:
    async for number in signals:
        log.info("process.stopping", signal=signal.Signals(number).name)
        manager.stopping()
        scope.cancel()
        return


async def _feed_watchdog(manager: ServiceManager, is_alive: Callable[[], bool]) -> None:
    every_s = manager.watchdog_interval_s
    if every_s is None:
        return
    while True:
        if is_alive():
            manager.watchdog()
        await anyio.sleep(every_s / 2)
