"""Child processes that never outlive their parent: it stops them in order, or the kernel does when it cannot."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
from anyio.abc import Process

from canaryd.errors import WorldError

STOP_WITHIN_S = 5.0
READY_WITHIN_S = 20.0
BETWEEN_KNOCKS_S = 0.05
LOG_TAIL_BYTES = 2000


class ChildFailed(WorldError):
    """A child process ended, or never became ready."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running child process; ``log`` holds all it prints."""

    name: str
    process: Process
    log: Path

    def require_running(self) -> None:
        """Raise ChildFailed, with its last words, if the process has ended."""
        code = self.process.returncode
        if code is not None:
            raise ChildFailed(f"{self.name} ended with exit code {code}: {last_line(self.log)} (all of it: {self.log})")

    async def ready(self, url: str) -> None:
        """Wait until ``url`` answers with 200; raise ChildFailed if the process ends or takes too long."""
        try:
            with anyio.fail_after(READY_WITHIN_S):
                async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                    while not await _answers(client, url):
                        self.require_running()
                        await anyio.sleep(BETWEEN_KNOCKS_S)
                    self.require_running()  # else somebody else answered
        except TimeoutError:
            raise ChildFailed(f"{self.name} is not ready after {READY_WITHIN_S:g} s ({self.log})") from None


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def last_line(log: Path) -> str:
    """Return the last line of a log, without reading all of it."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


@asynccontextmanager
async def running(name: str, command: Sequence[str], log: Path) -> AsyncIterator[Child]:
    """Run a Python command (``-m module …``) on a leash, and stop it when the block ends.

    It gets a session of its own, so that Ctrl-C reaches the parent alone, which then stops its children in order.
    Settings in ``CANARYD_`` variables are about somebody's real daemon and stay outside.
    """
    leash = [sys.executable, "-m", "canaryd.lab.leash", str(os.getpid())]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CANARYD_")}
    with log.open("ab") as output:
        process = await anyio.open_process(
            [*leash, sys.executable, *command],
            stdin=None,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    try:
        yield Child(name, process, log)
    finally:
        with anyio.CancelScope(shield=True):
            await stop(process)
            await process.aclose()


async def stop(process: Process) -> None:
    """Ask a process to end, and make it end if it does not within some seconds."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):  # it may end by itself at this moment
        process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(STOP_WITHIN_S):
        await process.wait()
        return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
