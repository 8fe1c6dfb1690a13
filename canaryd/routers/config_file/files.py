"""Reading a small file safely, and replacing it so that every reader and every crash sees the old or the new one."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_ATTEMPTS = 40
LOCK_PAUSE_S = 0.05
"""Together two seconds: others hold the lock for a few milliseconds, a fsync at most."""
NEW_FILE_MODE = 0o644
"""The application that reads the file runs as somebody else."""


class NotPlain(OSError):
    """What is there is no regular file, or too large to be the one that is meant."""


def read_bounded(path: Path, max_bytes: int) -> bytes | None:
    """Return a regular file's content, None if it does not exist; raises OSError, also for anything else there."""
    try:
        with open(path, "rb", opener=_open_as_it_is) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NotPlain("it is no regular file")
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        return None
    if len(content) > max_bytes:
        raise NotPlain(f"it is larger than {max_bytes // 1024} KiB")
    return content


def _open_as_it_is(path: str, flags: int) -> int:
    """Open without following a link, and without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside ``path`` against other writers; raises OSError (TimeoutError after two seconds).

    The lock is only ever read, so that whoever made it, a daemon of another user can hold it as well.
    """
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, NEW_FILE_MODE)
    try:
        with suppress(PermissionError):
            os.fchmod(descriptor, NEW_FILE_MODE)  # whatever the umask of its maker
        _wait_for_lock(descriptor, lock)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, lock: Path) -> None:
    for _ in range(LOCK_ATTEMPTS):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(LOCK_PAUSE_S)
    raise TimeoutError(f"another process keeps {lock.name} locked")


def replace(path: Path, content: bytes) -> None:
    """Put new content in the file's place; an OSError means that the old content stands.

    The caller holds the lock, so what lies under the temporary name was left by a crash. The new content survives
    a power loss only after ``sync_folder``.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        _write_synced(temporary, content, like=path)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power loss; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, content: bytes, like: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        _take_after(descriptor, like)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _take_after(descriptor: int, like: Path) -> None:
    """Give the new file the mode and, where allowed, the owner of the one that it replaces."""
    try:
        old = like.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, NEW_FILE_MODE)
        return
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
