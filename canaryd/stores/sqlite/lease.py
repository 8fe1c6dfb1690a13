"""One daemon for one state on this host: a lock that the system gives back when its holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from canaryd.errors import AnotherRuns

MAX_NOTE_BYTES = 200


class Lease:
    """An exclusive lock on a file, held until it is released or the process ends.

    The file stays: deleting it would let two daemons hold locks on two files of the same name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this daemon holds it."""
        return self._descriptor is not None

    def take(self, since: str) -> None:
        """Take the lease, or keep it when it is held already.

        Args:
            since: When this daemon started, for the message that another one shows.

        Raises:
            AnotherRuns: Another daemon holds it.
            OSError: The lock file cannot be opened.
        """
        if self._descriptor is not None:
            return
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise AnotherRuns(f"another canaryd{holder} holds {self._path}; stop it first") from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._sign(since)

    def release(self) -> None:
        """Give the lease back; harmless when it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _sign(self, since: str) -> None:
        """Say who holds the lease: a courtesy, so that a full disk does not keep a daemon from starting."""
        assert self._descriptor is not None
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n{since}\n".encode(), 0)


def _holder(descriptor: int) -> str:
    lines = os.pread(descriptor, MAX_NOTE_BYTES, 0).decode(errors="replace").splitlines()
    match lines:
        case [pid, since] if pid.isdecimal():
            return f" (process {pid}, since {since})"
        case _:
            return ""
