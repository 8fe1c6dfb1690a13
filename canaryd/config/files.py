"""Opening files that people can replace with anything: one open, then questions to the open file only."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import anyio

from canaryd.config.misfit import nearest
from canaryd.errors import InvalidFile, Location, OperatorError

MAX_FILE_BYTES = 64 * 1024
READ_DEADLINE_S = 5.0
"""A local file answers at once; this is for network file systems that hang."""
MISSING = "missing"

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
_REASONS = {
    errno.ELOOP: "the symbolic links go in a circle",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EACCES: "no permission to read it",
    errno.EPERM: "no permission to read it",
    errno.ENOTDIR: "a part of its path is not a folder",
    errno.ENXIO: "it is a socket",
}


def read_bounded(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a small regular file.

    Links are followed only inside the file's own folder, which is how mounted configuration is swapped.

    Args:
        path: The file.
        limit: The most bytes it may have.

    Raises:
        InvalidFile: It is missing, unreadable, too large, no regular file, not UTF-8, or has NUL bytes.
    """
    at = Location(path.name)
    try:
        content = _read_regular(real_path(path), at, limit)
    except FileNotFoundError:
        raise InvalidFile(at, "there is no such file", nearest=_neighbour(path)) from None
    except OSError as error:
        raise InvalidFile(at, _REASONS.get(error.errno or 0, f"it cannot be read: {error.strerror}")) from None
    _refuse_binary(content, at)
    return content


def real_path(path: Path) -> Path:
    """Return where a file really is; links that leave its folder raise InvalidFile, broken ones OSError."""
    real = Path(os.path.realpath(path, strict=True))
    folder = Path(os.path.realpath(path.parent, strict=True))
    if not real.is_relative_to(folder):
        raise InvalidFile(Location(path.name), "the symbolic link leads out of its folder", expected="a file beside it")
    return real


def _read_regular(path: Path, at: Location, limit: int) -> bytes:
    """Without O_NONBLOCK, opening a named pipe would wait for a writer for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
            raise InvalidFile(at, "not a regular file", found=kind)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        size = max(status.st_size, len(content))
        raise InvalidFile(at, "the file is too large", found=f"{size} bytes", expected=f"at most {limit}")
    return content


def _refuse_binary(content: bytes, at: Location) -> None:
    if (position := content.find(b"\0")) >= 0:
        raise InvalidFile(_location(content, position, at), "this is not a text file", found="a NUL byte")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        found = f"the byte 0x{content[error.start]:02x}"
        raise InvalidFile(_location(content, error.start, at), "the text is not UTF-8", found=found) from None


def _location(content: bytes, position: int, at: Location) -> Location:
    before = content[:position]
    column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    return Location(at.file, before.count(b"\n") + 1, column)


def _neighbour(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    return nearest(path.name, names)


def write_desired(path: Path, text: str) -> None:
    """Replace a file's content at once and durably: a reader or a crash sees the old content or the new.

    Mode and owner stay; a symbolic link stays and what it leads to is replaced.

    Raises:
        InvalidFile: A symbolic link leads out of the file's folder.
        OperatorError: The file cannot be written; it is as it was.
    """
    try:
        target = real_path(path) if path.is_symlink() or path.exists() else path
        _replace(target, text.encode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the text or the name is not valid"
        raise OperatorError(f"{path.name} cannot be written: {reason}") from None


def _replace(target: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (an open descriptor, not a path)
            _copy_rights(target, descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _copy_rights(target: Path, descriptor: int) -> None:
    if not target.exists():
        os.fchmod(descriptor, 0o644)
        return
    status = target.stat()
    with suppress(PermissionError):  # only root may give a file away
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprint(path: Path) -> str:
    """Return something that changes with a file's content; ``missing`` when there is none. Too short for a thread."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return MISSING
    return f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}"


class PathDesiredSource:
    """Reads the desired-state file from a local path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        """Return the content, or raise InvalidFile; a file system that hangs is given up on, not waited for."""
        try:
            with anyio.fail_after(READ_DEADLINE_S):
                return await anyio.to_thread.run_sync(read_bounded, self._path, abandon_on_cancel=True)
        except TimeoutError:
            raise InvalidFile(Location(self._path.name), f"no answer within {READ_DEADLINE_S:g} s") from None

    async def fingerprint(self) -> str:
        """Return something that changes with the file's content; ``missing`` when there is none."""
        return fingerprint(self._path)
