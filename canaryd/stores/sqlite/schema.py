"""The tables, version by version. A released step is never edited: databases out there have taken it.

state        one row: the encoded state with its checksum, and the status document
looks        one row for each tick
samples      what was read, one row for each metric and side of a look
conditions   every condition that was ever judged, once
checks       how a condition was judged at a look
decisions    looks at which something was done, or the reasons became others
journal      events for people; it outlives the looks
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from canaryd.errors import OperatorError, StateTooNew

APPLICATION_ID = 0x63616E79
"""``cany`` in SQLite's header: tells canaryd's databases from other people's."""

_V1 = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    encoded TEXT NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE TABLE looks (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    elapsed REAL NOT NULL,
    run TEXT NOT NULL,
    release TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    phase TEXT NOT NULL,
    action TEXT NOT NULL,
    watched INTEGER NOT NULL,
    watched_s REAL NOT NULL,
    observed_weight REAL,
    router_detail TEXT NOT NULL,
    summary TEXT NOT NULL
);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    look INTEGER NOT NULL REFERENCES looks (id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    side TEXT NOT NULL,
    kind TEXT NOT NULL,
    bad REAL,
    total REAL,
    value REAL,
    buckets TEXT,
    span_s REAL,
    newest_at REAL,
    absence TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT ''
);
CREATE TABLE conditions (
    id INTEGER PRIMARY KEY,
    role TEXT NOT NULL,
    rule TEXT NOT NULL,
    condition TEXT NOT NULL,
    signal TEXT NOT NULL,
    unit TEXT NOT NULL,
    streak_needed INTEGER NOT NULL,
    UNIQUE (role, rule, condition, signal, unit, streak_needed)
);
CREATE TABLE checks (
    look INTEGER NOT NULL REFERENCES looks (id) ON DELETE CASCADE,
    condition INTEGER NOT NULL REFERENCES conditions (id),
    outcome TEXT NOT NULL,
    canary REAL,
    stable REAL,
    bound REAL,
    streak INTEGER NOT NULL,
    absence TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (look, condition)
) WITHOUT ROWID;
CREATE TABLE decisions (
    look INTEGER PRIMARY KEY REFERENCES looks (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    weight REAL,
    codes TEXT NOT NULL,
    reasons TEXT NOT NULL
);
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    stage INTEGER NOT NULL,
    release TEXT NOT NULL,
    text TEXT NOT NULL
);
"""

_V2 = """
ALTER TABLE state ADD COLUMN document TEXT NOT NULL DEFAULT '';
CREATE INDEX samples_of_look ON samples (look);
"""

MIGRATIONS = (_V1, _V2)
"""Step n leads from schema version n to n + 1."""

NEWEST = len(MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    """Return the schema version, 0 for an empty database, without writing anything.

    Raises StateTooNew for a schema of a newer canaryd, OperatorError for a database that is not canaryd's.
    """
    name = Path(_file_of(connection)).name
    application, found = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    if application == APPLICATION_ID and found > NEWEST:
        raise StateTooNew(
            f"{name} has schema version {found}, this canaryd knows {NEWEST} and older: run the newer canaryd again, "
            f"or move the file away to rebuild the state from the router"
        )
    if application != APPLICATION_ID and (application or found or _has_tables(connection)):
        raise OperatorError(f"{name} is a database of something else; name another path for the state")
    return found


def migrate(connection: sqlite3.Connection, found: int) -> None:
    """Bring the database from version ``found`` to the newest, all steps in one transaction."""
    if found == NEWEST:
        return
    steps = "".join(MIGRATIONS[found:])
    marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {NEWEST};"
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {steps} {marks} COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None


def _file_of(connection: sqlite3.Connection) -> str:
    name: str = connection.execute("PRAGMA database_list").fetchone()[2]
    return name
