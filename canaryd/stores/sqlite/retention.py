"""How much history is kept. A little is deleted with each tick, so that no tick ever has much to delete."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The bounds of the history; looks go with their samples, checks and decisions."""

    days: float = 400.0
    samples: int = 2_000_000
    events: int = 100_000
    looks_per_tick: int = 5
    """A wall clock that jumps ahead costs this much history a tick, not all of it at once."""


def prune(connection: sqlite3.Connection, now: float, retention: Retention) -> None:
    """Delete the oldest looks that are too old or too many, at most a few; the newest one always stays.

    ``now`` is Unix seconds. The span of the samples' numbers stands for their count, which would be slow to take.
    """
    connection.execute(
        """
        DELETE FROM looks
        WHERE id IN (SELECT id FROM looks ORDER BY id LIMIT :looks)
          AND id < (SELECT max(id) FROM looks)
          AND (at < :oldest OR (SELECT max(id) FROM samples) - (SELECT min(id) FROM samples) >= :samples)
        """,
        {
            "looks": retention.looks_per_tick,
            "oldest": now - retention.days * DAY_S,
            "samples": retention.samples,
        },
    )
    connection.execute("DELETE FROM journal WHERE id <= (SELECT max(id) FROM journal) - ?", (retention.events,))
