"""Moves traffic by replacing a JSON file that an application-level canary router reads.

The file's digest is the precondition of a change, its own epoch the fence against an older daemon. A lock beside
the file makes reading, comparing and replacing one step among canaryds; people who edit the file are caught by the
digest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
from pydantic import BaseModel, Field

from canaryd.core.model import Change, Traffic
from canaryd.errors import ChangeRefused, ChangeUnknown, RouterUnavailable
from canaryd.ports import Finding, Surroundings
from canaryd.routers.config_file import files
from canaryd.routers.config_file.document import MAX_BYTES, mark_of, parse, render, traffic_of, version_of


class ConfigFileOptions(BaseModel, strict=True, frozen=True, extra="forbid"):
    """The router's section of the policy."""

    path: str = Field(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")
    """The file; a relative path starts at the policy's folder."""


class ConfigFileRouter:
    """Implements ``ports.TrafficRouter`` on one file; what it must replace without understanding it keeps a copy."""

    Options = ConfigFileOptions

    def __init__(self, options: ConfigFileOptions, surroundings: Surroundings) -> None:
        self._path = surroundings.folder / options.path
        self._clock = surroundings.clock
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def read(self) -> Traffic:
        """Return what the file says; a missing or broken file is an unknown weight that a write repairs."""
        return await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True, limiter=self._one_at_a_time)

    async def write(self, change: Change) -> None:
        """Replace the file durably, never cancelled half-way."""
        updated_at = datetime.fromtimestamp(self._clock.now().wall, UTC).isoformat(timespec="seconds")
        await anyio.to_thread.run_sync(
            self._write, change, updated_at.replace("+00:00", "Z"), limiter=self._one_at_a_time
        )

    async def check(self) -> Sequence[Finding]:
        """Say whether the file can be read and replaced."""
        return await anyio.to_thread.run_sync(self._check, abandon_on_cancel=True, limiter=self._one_at_a_time)

    async def aclose(self) -> None:
        """Nothing is held open."""

    # ---------------------------------------------------------------- in the worker thread

    def _read(self) -> Traffic:
        return traffic_of(self._content(self._target()), self._path.name)

    def _content(self, target: Path) -> bytes | None:
        try:
            content = files.read_bounded(target, MAX_BYTES)
        except OSError as error:
            raise RouterUnavailable(f"{self._path} cannot be read: {_cause(error)}") from None
        if content is None and not target.parent.is_dir():
            raise RouterUnavailable(f"the folder {target.parent} does not exist")
        return content

    def _target(self) -> Path:
        """Follow a link, so that it survives a write, but never out of its own folder."""
        target = Path(os.path.realpath(self._path))
        if not target.is_relative_to(os.path.realpath(self._path.parent)):
            raise RouterUnavailable(f"{self._path} is a link that leads out of its folder")
        return target

    def _write(self, change: Change, updated_at: str) -> None:
        try:
            target = self._target()
            with files.locked(target):
                self._replace(target, change, updated_at)
        except (RouterUnavailable, OSError) as error:
            raise ChangeRefused(f"{self._path} was not changed: {_cause(error)}") from None

    def _replace(self, target: Path, change: Change, updated_at: str) -> None:
        content = self._content(target)
        self._compare(content, change)
        if content is not None and parse(content).problem:
            files.replace(target.with_name(f"{target.name}.broken"), content)
        files.replace(target, render(content, change, updated_at))
        try:
            files.sync_folder(target.parent)
        except OSError as error:
            raise ChangeUnknown(f"{self._path} was replaced, but may not outlast a crash: {_cause(error)}") from None

    def _compare(self, content: bytes | None, change: Change) -> None:
        if version_of(content) != change.version:
            raise ChangeRefused(f"{self._path} changed since it was read")
        mark = mark_of(parse(content)) if content is not None else None
        if mark is not None and mark.rollout == change.mark.rollout and mark.epoch >= change.mark.epoch:
            raise ChangeRefused(f"a newer daemon wrote {self._path}: epoch {mark.epoch}, ours is {change.mark.epoch}")

    # ---------------------------------------------------------------- check

    def _check(self) -> list[Finding]:
        subject = f"router {self._path.name}"
        try:
            traffic = self._read()
        except RouterUnavailable as error:
            return [Finding(ok=False, subject=subject, detail=str(error), remedy="Correct the router's path")]
        return [self._readable(subject, traffic), self._replaceable(subject)]

    def _readable(self, subject: str, traffic: Traffic) -> Finding:
        if traffic.weight is not None:
            return Finding(ok=True, subject=subject, detail=f"sends {traffic.weight:g}% to the canary")
        detail = f"{traffic.detail}; the first change writes it"
        return Finding(ok=True, subject=subject, detail=detail)

    def _replaceable(self, subject: str) -> Finding:
        folder = self._target().parent
        if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            return Finding(ok=True, subject=subject, detail=f"a change would replace {self._path.name} in {folder}")
        return Finding(
            ok=False,
            subject=subject,
            detail=f"the folder {folder} cannot be written to",
            remedy="Let the user that runs canaryd write to that folder: the file is replaced, not edited",
        )


def _cause(error: Exception) -> str:
    """Return the cause without the path, which the message names already."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
