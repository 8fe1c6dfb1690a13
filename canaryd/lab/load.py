"""Steady, bounded load on the front door, and what its users saw.

The load is an open loop: requests start on schedule (exponential gaps, seeded) whether or not earlier ones were
answered, as users do. When too many are under way, or this machine is too busy to keep the
schedule, a request is not sent and counted as skipped.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import anyio
import httpx
from anyio.abc import TaskStatus

MAX_IN_FLIGHT = 64
MAX_REQUESTS = 60_000
REQUEST_DEADLINE_S = 6.0
MAX_LATE_S = 0.5


@dataclass(slots=True)
class Seen:
    """What users saw, by the side that answered."""

    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """Of the answers, those with a status of 500 and above."""
    unanswered: int = 0
    skipped: int = 0

    def note(self, side: str, status: int) -> None:
        """Count one answer."""
        self.answers[side] += 1
        self.errors[side] += status >= 500

    @property
    def canary_share(self) -> float:
        """The canary's part of all answers, 0 to 1."""
        return self.answers["canary"] / max(1, self.answers.total())

    @property
    def failures(self) -> int:
        """Requests that went wrong for a user."""
        return self.errors.total() + self.unanswered


async def run_load(
    url: str,
    seen: Seen,
    *,
    rate: float,
    seed: int,
    requests: int = MAX_REQUESTS,
    task_status: TaskStatus[anyio.CancelScope] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Send ``requests`` requests at ``rate`` a second on average, and count in ``seen`` as answers arrive.

    A task group that starts this gets the scope that ends the load; requests under way then are not counted.
    """
    with anyio.CancelScope() as scope:
        task_status.started(scope)
        await _send(url, seen, rate=rate, seed=seed, requests=requests)


async def _send(url: str, seen: Seen, *, rate: float, seed: int, requests: int) -> None:
    gaps = random.Random(f"{seed}/load")  # noqa: S311 (repeatable on purpose)
    limits = httpx.Limits(max_connections=MAX_IN_FLIGHT, max_keepalive_connections=MAX_IN_FLIGHT)
    under_way = anyio.CapacityLimiter(MAX_IN_FLIGHT)
    async with (
        httpx.AsyncClient(trust_env=False, limits=limits, timeout=REQUEST_DEADLINE_S) as client,
        anyio.create_task_group() as users,
    ):
        due = anyio.current_time()
        for number in range(requests):
            due += gaps.expovariate(rate)
            await anyio.sleep_until(due)
            if anyio.current_time() - due > MAX_LATE_S:
                seen.skipped += 1
                continue
            try:
                under_way.acquire_on_behalf_of_nowait(number)
            except anyio.WouldBlock:
                seen.skipped += 1
                continue
            users.start_soon(_request, client, url, seen, under_way, number)


async def _request(
    client: httpx.AsyncClient, url: str, seen: Seen, under_way: anyio.CapacityLimiter, number: int
) -> None:
    try:
        response = await client.get(url)
        seen.note(response.headers.get("x-variant", "nobody"), response.status_code)
    except httpx.HTTPError:
        seen.unanswered += 1
    finally:
        under_way.release_on_behalf_of(number)
