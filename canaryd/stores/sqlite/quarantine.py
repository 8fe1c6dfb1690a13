"""Putting a damaged database aside: never deleted at once, never kept without end."""

from __future__ import annotations

import os
import re
from pathlib import Path

from canaryd.stores.sqlite.database import COMPANIONS

KEPT = 5


def put_aside(path: Path) -> Path:
    """Rename a database and what belongs to it; return its new name. Raises OSError."""
    numbers = _numbers(path)
    aside = _aside(path, max(numbers, default=0) + 1)
    for companion in COMPANIONS:  # the database first: a log without its database is never read
        _rename(Path(f"{path}{companion}"), Path(f"{aside}{companion}"))
    for number in sorted(numbers, reverse=True)[KEPT - 1 :]:
        _delete(_aside(path, number))
    _sync(path.parent)
    return aside


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.corrupt-{number}")


def _numbers(path: Path) -> list[int]:
    pattern = re.compile(re.escape(path.name) + r"\.corrupt-([0-9]{1,9})")
    found = (pattern.fullmatch(entry.name) for entry in path.parent.iterdir())
    return [int(match[1]) for match in found if match]


def _rename(old: Path, new: Path) -> None:
    if old.exists():
        old.rename(new)


def _delete(path: Path) -> None:
    for companion in COMPANIONS:
        Path(f"{path}{companion}").unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
