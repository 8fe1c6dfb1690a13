"""Reading events back."""

from __future__ import annotations

import sqlite3

from canaryd.ports import JournalLine

MAX_EVENTS = 10_000
"""The most that one request is answered with."""


def newest_events(connection: sqlite3.Connection, limit: int) -> list[JournalLine]:
    """Return events as they were recorded, newest first."""
    rows = connection.execute(
        "SELECT at, kind, text, stage, release FROM journal ORDER BY id DESC LIMIT ?",
        (max(0, min(limit, MAX_EVENTS)),),
    )
    return [
        JournalLine(at=at, kind=kind, text=text, stage=stage, release=release)
        for at, kind, text, stage, release in rows
    ]
