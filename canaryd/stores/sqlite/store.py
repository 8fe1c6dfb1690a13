"""Remembers in SQLite: the state, and beside it the history that reports are made from.

One transaction a tick. All work is done by one thread at a time, which is never abandoned: a commit that was begun
ends, and then the next one starts. After an error the connection is given up and opened anew, with all its checks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import anyio
import structlog
from pydantic import BaseModel, Field

from canaryd.errors import StateCorrupt, StateUnavailable
from canaryd.ports import JournalLine, Stored, Surroundings, TickRecord
from canaryd.stores.sqlite.database import Damaged, connect, damage_told_apart, transaction
from canaryd.stores.sqlite.journal import newest_events
from canaryd.stores.sqlite.lease import Lease
from canaryd.stores.sqlite.quarantine import put_aside
from canaryd.stores.sqlite.retention import Retention, prune
from canaryd.stores.sqlite.rows import stored_state, write_tick
from canaryd.stores.sqlite.snapshot import read_snapshot

log = structlog.get_logger(__name__)

T = TypeVar("T")


class SqliteOptions(BaseModel, strict=True, frozen=True, extra="forbid"):
    """The store's section of the policy."""

    path: str | None = Field(default=None, min_length=1, max_length=4000, pattern=r"^[^\x00]+$")
    """The database; a relative path starts at the policy's folder. Default: named after the rollout, in the state
    folder."""


class SqliteStore:
    """Implements ``ports.StateStore`` on one database file, held by a lock beside it."""

    Options = SqliteOptions

    def __init__(self, options: SqliteOptions, surroundings: Surroundings, retention: Retention | None = None) -> None:
        self.path = database_path(options, surroundings)
        self._clock = surroundings.clock
        self._retention = retention or Retention()
        self._lease = Lease(Path(f"{self.path}.lock"))
        self._connection: sqlite3.Connection | None = None
        self._opened_as: tuple[int, int] | None = None
        self._one_at_a_time = anyio.CapacityLimiter(1)

    @staticmethod
    def peek(options: SqliteOptions, surroundings: Surroundings) -> Stored | None:
        """Return what was stored last, from another process; None when canaryd never ran here.

        Raises StateUnavailable, above all for somebody who may not enter the daemon's folder.
        """
        path = database_path(options, surroundings)
        try:
            if not path.exists():
                return None
        except OSError as error:
            raise StateUnavailable(f"{path} cannot be read: {error.strerror}") from None
        snapshot = read_snapshot(path)
        return Stored(state=snapshot.state, document=snapshot.document)

    async def load(self) -> str | None:
        """Take the lease, open and check the database, return the state."""
        since = datetime.fromtimestamp(self._clock.now().wall, UTC).isoformat(timespec="seconds")
        return await self._in_thread(lambda: self._load(since))

    async def commit(self, record: TickRecord) -> None:
        """Store one tick durably."""
        await self._in_thread(lambda: self._commit(record))

    async def journal(self, limit: int) -> Sequence[JournalLine]:
        """Return the newest events, newest first."""
        return await self._in_thread(lambda: newest_events(self._opened(), limit))

    async def aclose(self) -> None:
        """Fold the log into the database and give the lease back."""
        await self._in_thread(self._close)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(self._translated, work, limiter=self._one_at_a_time)

    # ---------------------------------------------------------------- in the worker thread

    def _translated(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError, Damaged) as error:
            self._disconnect()
            cause = error.strerror if isinstance(error, OSError) else error
            raise StateUnavailable(f"{self.path}: {cause}") from error

    def _load(self, since: str) -> str | None:
        with self._lease_kept_if_loaded():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lease.take(since)
            try:
                return self._stored_state()
            except Damaged as damage:
                aside = self._start_empty()
                raise StateCorrupt(f"{self.path} is damaged ({damage}); it was put aside as {aside.name}") from None

    @contextmanager
    def _lease_kept_if_loaded(self) -> Iterator[None]:
        """Let go of everything when loading fails; put-aside state counts as loaded, it can be rebuilt."""
        try:
            yield
        except StateCorrupt:
            raise
        except BaseException:
            self._close()
            raise

    def _stored_state(self) -> str | None:
        with damage_told_apart():
            return stored_state(self._opened())

    def _commit(self, record: TickRecord) -> None:
        try:
            self._write(record)
        except Damaged as damage:
            aside = self._start_empty()
            log.error("state.damaged", path=str(self.path), problem=str(damage), aside=aside.name)  # noqa: TRY400
            self._write(record)  # it holds the whole state: only history is lost

    def _write(self, record: TickRecord) -> None:
        connection = self._opened()
        with damage_told_apart(), transaction(connection):
            write_tick(connection, record)
            prune(connection, record.at.wall, self._retention)

    def _opened(self) -> sqlite3.Connection:
        if not self._lease.held:
            raise StateUnavailable(f"{self.path} is not open")
        if self._connection is not None and self._identity() != self._opened_as:
            log.error(
                "state.replaced", path=str(self.path), problem="the database was removed or replaced; opening anew"
            )
            self._disconnect()
        if self._connection is None:
            self._connection = connect(self.path)
            self._opened_as = self._identity()
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        """Return which file the path leads to: a database that was deleted under the daemon keeps nothing."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _start_empty(self) -> Path:
        self._disconnect()
        aside = put_aside(self.path)
        self._connection = connect(self.path)
        self._opened_as = self._identity()
        return aside

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _close(self) -> None:
        try:
            self._disconnect()
        finally:
            self._lease.release()


def database_path(options: SqliteOptions, surroundings: Surroundings) -> Path:
    """Return where the state of a rollout is kept; another process reads it there with ``read_snapshot``."""
    if options.path is None:
        return surroundings.state_dir / f"{surroundings.rollout}.db"
    return surroundings.folder / options.path
