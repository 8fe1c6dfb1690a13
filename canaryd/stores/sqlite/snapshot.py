"""The reading side for other processes: what the daemon stored last, without disturbing it or leaving a file behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from canaryd.errors import StateUnavailable
from canaryd.ports import JournalLine
from canaryd.stores.sqlite import schema
from canaryd.stores.sqlite.database import Damaged
from canaryd.stores.sqlite.journal import newest_events
from canaryd.stores.sqlite.rows import stored_state

BUSY_S = 2.0
JOURNAL_LINES = 50

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLook:
    """The last tick. ``at`` is Unix seconds, weights are percent, ``watched_s`` the stage's watched seconds so far."""

    at: float
    run: str
    release: str
    attempt: int
    stage: int
    epoch: int
    phase: str
    action: str
    watched: int
    watched_s: float
    observed_weight: float | None
    router_detail: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheck:
    """One condition as it was judged at the last tick; ``canary``, ``stable`` and ``bound`` in base units."""

    role: str
    rule: str
    condition: str
    signal: str
    unit: str
    outcome: str
    canary: float | None
    stable: float | None
    bound: float | None
    streak: int
    streak_needed: int
    absence: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSnapshot:
    """All of one moment: the state, the last look with its checks, and the newest events, newest first."""

    state: str | None
    """The encoded RolloutState; None before the first tick."""
    document: str
    """The status document (JSON); empty before the first tick."""
    look: StoredLook | None
    checks: tuple[StoredCheck, ...]
    journal: tuple[JournalLine, ...]


def read_snapshot(path: Path) -> StoredSnapshot:
    """Return what was stored last.

    Raises:
        StateUnavailable: There is no database yet, it cannot be read, or it is damaged.
        StateTooNew: A newer canaryd wrote it.
        OperatorError: It is a database of something else.
    """
    try:
        return _read(path)
    except (sqlite3.Error, OSError, Damaged) as error:
        raise StateUnavailable(f"{path} cannot be read: {error}") from None


def _read(path: Path) -> StoredSnapshot:
    if not path.is_file():
        raise StateUnavailable(f"there is no state at {path}: has canaryd run here?")
    with _one_moment(path) as connection:
        found = schema.version(connection)
        if found < schema.NEWEST:
            raise StateUnavailable(f"{path} has an older schema; starting the daemon brings it up to date")
        return _snapshot(connection)


@contextmanager
def _one_moment(path: Path) -> Iterator[sqlite3.Connection]:
    uri = f"{path.absolute().as_uri()}?{_mode(path)}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield connection


def _mode(path: Path) -> str:
    """Choose how to open: beside a closed database even a reader would create a log and its index.

    Such files could belong to another user than the daemon's, and then keep it from starting.
    """
    logged = all(Path(f"{path}{companion}").exists() for companion in ("-wal", "-shm"))
    return "mode=ro" if logged else "mode=ro&immutable=1"


def _snapshot(connection: sqlite3.Connection) -> StoredSnapshot:
    document = connection.execute("SELECT document FROM state").fetchone()
    look = _rows(connection, StoredLook, "looks ORDER BY id DESC LIMIT 1")
    checks = _rows(
        connection,
        StoredCheck,
        "checks JOIN conditions ON conditions.id = checks.condition WHERE look = (SELECT max(id) FROM looks)"
        " ORDER BY conditions.id",
    )
    return StoredSnapshot(
        state=stored_state(connection),
        document=document[0] if document else "",
        look=look[0] if look else None,
        checks=tuple(checks),
        journal=tuple(newest_events(connection, JOURNAL_LINES)),
    )


def _rows(connection: sqlite3.Connection, kind: type[Row], source: str) -> list[Row]:
    """Select a dataclass's own fields from a part of a query."""
    names: list[str] = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    columns = ", ".join("conditions.condition" if name == "condition" else name for name in names)
    rows: list[tuple[Any, ...]] = connection.execute(f"SELECT {columns} FROM {source}").fetchall()  # noqa: S608
    return [kind(**dict(zip(names, row, strict=True))) for row in rows]
