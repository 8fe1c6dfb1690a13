"""Several rollouts in one process, each in its own task: a broken one never harms another, and none stays down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio
import structlog

from canaryd.engine.loop import Loop
from canaryd.engine.tick import Ticker
from canaryd.engine.wiring import Rollout
from canaryd.errors import CanarydError, OperatorError
from canaryd.ports import Clock

log = structlog.get_logger(__name__)

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0
CLOSE_DEADLINE_S = 10.0


class RolloutSource(Protocol):
    """Where a rollout comes from: a policy file that may change or be wrong."""

    name: str

    def build(self) -> Rollout:
        """Return the rollout, or raise OperatorError."""
        ...

    def changed(self) -> bool:
        """Whether the file now holds another valid policy than the one last built."""
        ...

    def failed(self, problem: str) -> None:
        """Show that the rollout does not run until it is tried again."""
        ...


@dataclass(slots=True)
class _Running:
    source: RolloutSource
    rollout: Rollout
    ticker: Ticker


async def supervise(sources: Sequence[RolloutSource], clock: Clock, on_ready: Callable[[], None]) -> None:
    """Run every rollout until cancelled.

    A rollout that cannot start is tried again while others run; when none can, the first one's error is raised:
    OperatorError for files, AnotherRuns for a second daemon.
    """
    started: list[tuple[RolloutSource, _Running | None]] = []
    errors: list[CanarydError] = []
    for source in sources:
        try:
            started.append((source, await _start(source)))
        except CanarydError as error:
            log.error("rollout.not_started", rollout=source.name, problem=str(error))  # noqa: TRY400
            source.failed(str(error))
            errors.append(error)
            started.append((source, None))
    if len(errors) == len(sources):
        raise errors[0] if errors else OperatorError("no policy was given")
    try:
        on_ready()
    except CanarydError:
        for _, running in started:
            if running is not None:
                await _close(running.rollout)
        raise
    async with anyio.create_task_group() as group:
        for source, running in started:
            group.start_soon(_keep_running, source, running, clock)


async def _start(source: RolloutSource) -> _Running:
    rollout = source.build()
    ticker = Ticker(rollout)
    try:
        await ticker.open()
        await ticker.require_desired()
    except BaseException:
        await _close(rollout)
        raise
    return _Running(source, rollout, ticker)


async def _close(rollout: Rollout) -> None:
    with anyio.move_on_after(CLOSE_DEADLINE_S, shield=True):
        await rollout.aclose()


async def _keep_running(source: RolloutSource, running: _Running | None, clock: Clock) -> None:
    """Run one rollout; after a failure start it again, later each time."""
    backoff_s = FIRST_BACKOFF_S
    while True:
        try:
            running = running or await _start(source)
            backoff_s = FIRST_BACKOFF_S
            await _run(running)
            log.info("policy.changed", rollout=source.name)
        except CanarydError as error:
            log.error("rollout.failed", rollout=source.name, problem=str(error), again_in_s=backoff_s)  # noqa: TRY400
        except Exception:
            log.exception("rollout.failed", rollout=source.name, again_in_s=backoff_s)
        else:
            running = None
            continue
        running = None
        await clock.sleep(backoff_s)
        backoff_s = min(LONGEST_BACKOFF_S, 2 * backoff_s)


async def _run(running: _Running) -> None:
    loop = Loop(rollout=running.rollout, ticker=running.ticker, policy_changed=running.source.changed)
    try:
        await loop.run()
    finally:
        await _close(running.rollout)
