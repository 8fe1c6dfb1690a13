"""The demo: a release goes up its ladder, or is taken back, before your eyes, in about a minute.

Nothing in it is staged: real processes, real requests, the real daemon. All the demo does to this world is to break the
canary when it is asked to.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from rich.console import Console
from rich.text import Text

from canaryd.errors import CanarydError
from canaryd.lab.breaking import Break
from canaryd.lab.demo_files import DemoFolder, prepare
from canaryd.lab.ending import FAULT, FINISHED, HELD, ROLLED_BACK, Ending
from canaryd.lab.load import Seen, run_load
from canaryd.lab.screen import Screen, screen_for, users
from canaryd.lab.world import World, world

REQUESTS_PER_S = 110.0
BETWEEN_LOOKS_S = 0.25
TIME_LIMIT_S = 180.0
"""At speed 1; a demo that takes longer is held by something, and ends."""

ENDINGS = {
    FINISHED: "The release serves all traffic.",
    ROLLED_BACK: "The release was taken back, and stays so until a person tries it again.",
    HELD: "The daemon holds: it keeps the traffic as it is until it can see again.",
}


@dataclass(slots=True)
class Demo:
    """One run of the demo."""

    folder: DemoFolder
    planned: Break | None
    seed: int
    time_limit_s: float
    console: Console
    seen: Seen = field(default_factory=Seen)
    code: int = FAULT
    summary: str = ""
    error: CanarydError | None = None


def run_demo(break_at: Break | None, folder: Path | None, *, seed: int = 1, speed: float = 1.0) -> int:
    """Run the demo and return its exit code: 0 finished, 3 taken back, 4 held, 130 Ctrl-C.

    Without a folder it works in a temporary one, which is removed at the end unless something failed. With one, the
    same command carries on from what is in it. ``speed`` shortens the windows.

    Raises:
        CanarydError: The folder cannot be used, or a part of the world failed.
    """
    console = Console(highlight=False)
    path = folder or Path(tempfile.mkdtemp(prefix="canaryd-demo-"))
    demo = Demo(prepare(path, speed), break_at, seed, TIME_LIMIT_S / min(1.0, speed), console)
    _introduce(demo)
    anyio.run(_until_signalled, demo)
    if demo.error is not None:
        raise demo.error
    _sum_up(demo, kept=folder is not None)
    if folder is None:
        shutil.rmtree(path, ignore_errors=True)
    return demo.code


async def _until_signalled(demo: Demo) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_on_signal, demo, tasks.cancel_scope)
        try:
            await _play(demo, tasks)
        except CanarydError as error:
            demo.error = error
        tasks.cancel_scope.cancel()


async def _end_on_signal(demo: Demo, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            demo.code = 128 + number
            scope.cancel()
            return


async def _play(demo: Demo, tasks: TaskGroup) -> None:
    async with world(demo.folder, seed=demo.seed) as running:
        load: anyio.CancelScope = await tasks.start(_load, demo, running)
        try:
            with screen_for(demo.console) as screen:
                demo.code = await _watch(demo, running, screen)
        finally:
            load.cancel()


async def _load(demo: Demo, running: World, *, task_status: anyio.abc.TaskStatus[anyio.CancelScope]) -> None:
    await run_load(running.front_door, demo.seen, rate=REQUESTS_PER_S, seed=demo.seed, task_status=task_status)


async def _watch(demo: Demo, running: World, screen: Screen) -> int:
    """Show every document until the end; a demo that never ends is held by something."""
    ending = Ending(demo.planned)
    with anyio.move_on_after(demo.time_limit_s):
        while True:
            code = await _look(demo, running, screen, ending)
            if code is not None:
                return code
            await anyio.sleep(BETWEEN_LOOKS_S)
    return HELD


async def _look(demo: Demo, running: World, screen: Screen, ending: Ending) -> int | None:
    document = await running.status()
    if document is None:
        return None
    demo.summary = document["summary"]
    screen.show(document, demo.seen)
    if demo.planned and ending.break_is_due(document):
        screen.say(f"The canary goes wrong now: {demo.planned.kind}.")
        await running.break_canary(demo.planned.kind)
    return ending.exit_code(document, time.monotonic())


# ---------------------------------------------------------------- words


def _introduce(demo: Demo) -> None:
    pages = f"http://127.0.0.1:{demo.folder.ports.daemon}"
    lines = (
        f"A stable and a canary service, a front door, {REQUESTS_PER_S:.0f} real requests a second, and canaryd.",
        f"  files    {demo.folder.path}",
        f"  status   {pages}/",
        f"  metrics  {pages}/metrics",
        "",
    )
    demo.console.print(Text("\n".join(lines)), soft_wrap=True)


def _sum_up(demo: Demo, *, kept: bool) -> None:
    lines = ["", ENDINGS.get(demo.code, "Interrupted; everything is stopped."), demo.summary, "", users(demo.seen)]
    if demo.seen.skipped:
        lines.append(f"{demo.seen.skipped:,} requests were not sent: this machine is too busy")
    lines += ["", *_further(demo, kept=kept)]
    demo.console.print(Text("\n".join(lines)), soft_wrap=True)


def _further(demo: Demo, *, kept: bool) -> list[str]:
    if not kept:
        return ["With --dir FOLDER everything is kept: policy, state, logs."]
    policy = shlex.quote(str(demo.folder.policy))
    return ["Look further:", *(f"  canaryd {verb} {policy}" for verb in ("status", "explain", "plan"))]
