"""Opening the database file: private, checked, at the newest schema, and durable.

A commit is on the disk when it returns: write-ahead log with ``synchronous=FULL``. What fails its checks is
``Damaged``; everything else that SQLite cannot do just now stays a ``sqlite3.Error``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from canaryd.stores.sqlite import schema

BUSY_S = 2.0
"""How long to wait for a lock: only a backup or a person's shell can hold one."""
FULL_CHECK_BYTES = 256 * 1024 * 1024
"""A larger database has only its state checked at once: a start must not take minutes."""
COMPANIONS = ("", "-wal", "-shm")
"""What belongs to one database: the file, its write-ahead log and the log's index."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


class Damaged(Exception):
    """The database is not what canaryd wrote."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, created or migrated where needed.

    Raises Damaged, StateTooNew, OperatorError, and sqlite3.Error or OSError for what may pass.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        with damage_told_apart():
            _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def damage_told_apart() -> Iterator[None]:
    """Raise Damaged for those errors of SQLite that waiting does not heal.

    SQL errors are among them: our statements are fixed, so a table or a column must be missing.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            raise Damaged(str(error)) from None
        raise


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    found = schema.version(connection)
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
        connection.execute(f"PRAGMA {setting}")
    if found:
        _check(connection, path)
    schema.migrate(connection, found)
    # After a failed fsync the log may have a hole that only memory hides; copying it all into the database closes it.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    scope = "1" if path.stat().st_size <= FULL_CHECK_BYTES else "state"
    verdict: str = connection.execute(f"PRAGMA quick_check({scope})").fetchone()[0]
    if verdict != "ok":
        raise Damaged(verdict.splitlines()[-1])
