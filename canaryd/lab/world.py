"""The demo's world while it runs: two services, the front door and a real ``canaryd run``, in that order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from canaryd.errors import OperatorError
from canaryd.lab.breaking import BreakKind
from canaryd.lab.children import BETWEEN_KNOCKS_S, Child, running
from canaryd.lab.demo_files import RELEASE, ROLLOUT, DemoFolder, taken_ports

STABLE_MS = 22.0
CANARY_MS = 14.0
"""Median work times: the new release is faster, which the plan's fourth stage asks for."""
CALL_TIMEOUT_S = 2.0
KNOCKS = 40


@dataclass(frozen=True, slots=True)
class World:
    """Everything that runs, and how to talk to it."""

    folder: DemoFolder
    daemon: Child
    client: httpx.AsyncClient

    @property
    def front_door(self) -> str:
        """Where users send their requests."""
        return f"http://127.0.0.1:{self.folder.ports.front_door}/"

    @property
    def pages(self) -> str:
        """Where the daemon shows what it does."""
        return f"http://127.0.0.1:{self.folder.ports.daemon}/"

    async def status(self) -> dict[str, Any] | None:
        """Return the daemon's status document, or None when it does not answer just now.

        Raises:
            ChildFailed: The daemon has ended.
        """
        self.daemon.require_running()
        try:
            answer = await self.client.get(f"{self.pages}api/v1/rollouts/{ROLLOUT}")
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == httpx.codes.OK else None

    async def break_canary(self, kind: BreakKind) -> None:
        """Let the canary go wrong."""
        url = f"http://127.0.0.1:{self.folder.ports.canary}/_break"
        (await self.client.post(url, json={"kind": kind.value})).raise_for_status()


@asynccontextmanager
async def world(folder: DemoFolder, *, seed: int) -> AsyncIterator[World]:
    """Start everything, each part when those it needs are ready, and stop it all in reverse order at the end.

    Raises:
        OperatorError: A port is taken.
        ChildFailed: A part ended or did not become ready; its log says why.
    """
    ports = folder.ports
    await _require_free(folder)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(running(name, command, folder.log(name)))
            for name, command in _services(folder, seed)
        ]
        for child, port in zip(services, (ports.stable, ports.canary), strict=True):
            await child.ready(f"http://127.0.0.1:{port}/health")
        door = await stack.enter_async_context(running("front-door", _door(folder), folder.log("front-door")))
        await door.ready(f"http://127.0.0.1:{ports.front_door}/health")
        daemon = await stack.enter_async_context(running("canaryd", _daemon(folder), folder.log("canaryd")))
        await daemon.ready(f"http://127.0.0.1:{ports.daemon}/readyz")
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=CALL_TIMEOUT_S))
        yield World(folder, daemon, client)


async def _require_free(folder: DemoFolder) -> None:
    """Wait a moment for an earlier run to be gone."""
    for _ in range(KNOCKS):
        if not taken_ports(folder.ports):
            return
        await anyio.sleep(BETWEEN_KNOCKS_S)
    numbers = ", ".join(map(str, taken_ports(folder.ports)))
    raise OperatorError(f"something listens on {numbers} already; does another demo run in {folder.path}?")


def _services(folder: DemoFolder, seed: int) -> Sequence[tuple[str, Sequence[str]]]:
    sides = (
        ("stable", ROLLOUT, "demo-api-1.9.3", folder.ports.stable, STABLE_MS),
        ("canary", f"{ROLLOUT}-canary", RELEASE, folder.ports.canary, CANARY_MS),
    )
    return [
        (side, ["-m", "canaryd.lab.service", *_options(name=name, version=version, port=port, median_ms=ms, seed=seed)])
        for side, name, version, port, ms in sides
    ]


def _door(folder: DemoFolder) -> Sequence[str]:
    ports = folder.ports
    options = _options(config=folder.router_config, stable=ports.stable, canary=ports.canary, port=ports.front_door)
    return ["-m", "canaryd.lab.front_door", *options]


def _daemon(folder: DemoFolder) -> Sequence[str]:
    options = _options(state_dir=folder.state_dir, http_port=folder.ports.daemon, log_format="json")
    return ["-m", "canaryd", "run", str(folder.policy), *options]


def _options(**values: object) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
