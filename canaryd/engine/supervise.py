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
from canaryd.errors import CanarydError, OperatorError, StateUnavailable
from canaryd.ports import Clock

log = structlog.get_logger(__name__)

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0
STEADY_AFTER_S = 60.0
"""A rollout that ran this long is well again: its next failure is a new one."""
OPEN_DEADLINE_S = 30.0
"""How long a state store may take to give its lease and its state."""


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
    started: list[tuple[RolloutSource, _Running | CanarydError]] = [
        (source, await _try_to_start(source)) for source in sources
    ]
    errors = [outcome for _, outcome in started if isinstance(outcome, CanarydError)]
    if len(errors) == len(sources):
        raise errors[0] if errors else OperatorError("no policy was given")
    try:
        on_ready()
    except CanarydError:
        for _, running in started:
            if isinstance(running, _Running):
                await _close(running.rollout)
        raise
    async with anyio.create_task_group() as group:
        for source, running in started:
            group.start_soon(_keep_running, source, running if isinstance(running, _Running) else None, clock)


async def _try_to_start(source: RolloutSource) -> _Running | CanarydError:
    """Start a rollout, or return why it cannot be; also a bug of one must not keep the others from starting."""
    try:
        return await _start(source)
    except CanarydError as error:
        log.error("rollout.not_started", rollout=source.name, problem=str(error))  # noqa: TRY400
        source.failed(str(error))
        return error
    except Exception as error:
        log.exception("rollout.not_started", rollout=source.name)
        source.failed(type(error).__name__)
        return CanarydError(f"{source.name} could not be started: {type(error).__name__}: {error}")


async def _start(source: RolloutSource) -> _Running:
    rollout = source.build()
    ticker = Ticker(rollout)
    try:
        with anyio.fail_after(OPEN_DEADLINE_S):
            await ticker.open()
        await ticker.require_desired()
    except TimeoutError:
        await _close(rollout)
        raise StateUnavailable(f"the state could not be opened within {OPEN_DEADLINE_S:g} s") from None
    except BaseException:
        await _close(rollout)
        raise
    return _Running(source, rollout, ticker)


async def _close(rollout: Rollout) -> None:
    """Give everything back; an adapter that cannot even be closed must not stop what comes after."""
    try:
        await rollout.aclose()
    except Exception:
        log.exception("rollout.not_closed", rollout=rollout.policy.rollout)


async def _keep_running(source: RolloutSource, running: _Running | None, clock: Clock) -> None:
    """Run one rollout; after a failure start it again, later each time."""
    backoff_s = FIRST_BACKOFF_S
    while True:
        started = clock.now()
        if await _run_once(source, running):
            backoff_s = FIRST_BACKOFF_S
        else:
            if clock.now().seconds_since(started) >= STEADY_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            await clock.sleep(backoff_s)
            backoff_s = min(LONGEST_BACKOFF_S, 2 * backoff_s)
        running = None


async def _run_once(source: RolloutSource, running: _Running | None) -> bool:
    """Run a rollout until its policy changes; return False when it failed instead."""
    try:
        await _run(running or await _start(source))
    except CanarydError as error:
        log.error("rollout.failed", rollout=source.name, problem=str(error))  # noqa: TRY400
        source.failed(str(error))
    except Exception as error:
        log.exception("rollout.failed", rollout=source.name)
        source.failed(type(error).__name__)
    else:
        log.info("policy.changed", rollout=source.name)
        return True
    return False


async def _run(running: _Running) -> None:
    loop = Loop(rollout=running.rollout, ticker=running.ticker, policy_changed=running.source.changed)
    try:
        await loop.run()
    finally:
        await _close(running.rollout)
