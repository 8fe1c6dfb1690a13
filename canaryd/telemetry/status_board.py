"""The latest status document and heartbeat of each rollout, shared between the event loop and HTTP threads.

A heartbeat says when a tick last ended and when the next look is due. A rollout is alive while its heartbeat is
younger than three intervals; one that has not ticked yet is measured from when it was announced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from canaryd.core.model import Instant

INTERVALS_TO_LIVE = 3
MIN_LIFE_S = 3.0
"""With very short intervals a slow source or disk is not yet a stuck loop: nobody should restart for it."""
MAX_DOCUMENT_BYTES = 1024 * 1024
"""A larger document is not shown; the history is in the store, not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last sign of life of one rollout; ``document`` is JSON, empty until there is one."""

    rollout: str
    at: Instant
    next_look_s: float
    ticked: bool = False
    document: bytes = b""
    down: str = ""
    """Why the rollout does not run and is waiting to be tried again; empty while it runs."""

    def age_s(self, now: Instant) -> float:
        """Return seconds since the last finished tick, or since the rollout was announced."""
        return now.seconds_since(self.at)

    @property
    def life_s(self) -> float:
        """Return the age in seconds from which the rollout counts as stuck."""
        return max(MIN_LIFE_S, INTERVALS_TO_LIVE * self.next_look_s)

    def is_alive(self, now: Instant) -> bool:
        """Tell whether the rollout runs and its next tick is not overdue by far."""
        return not self.down and self.age_s(now) < self.life_s

    def is_stuck(self, now: Instant) -> bool:
        """Tell whether the rollout runs and yet makes no ticks: a restart of the process may help."""
        return not self.down and not self.is_alive(now)

    @property
    def is_ready(self) -> bool:
        """Tell whether the rollout runs and has finished a tick."""
        return self.ticked and not self.down


class StatusBoard:
    """Holds one heartbeat for each rollout: written by the event loop, read from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._heartbeats: dict[str, Heartbeat] = {}

    def announce(self, rollout: str, at: Instant, first_look_s: float) -> None:
        """Expect a rollout to finish its next tick within three times ``first_look_s`` of ``at``.

        One that is announced again, because its policy changed, keeps its document.
        """
        known = self._known(rollout) or Heartbeat(rollout=rollout, at=at, next_look_s=first_look_s)
        self._put(replace(known, at=at, next_look_s=first_look_s, down=""))

    def mark_down(self, rollout: str, at: Instant, problem: str) -> None:
        """Note that a rollout could not be started, or ended with an error, and is tried again later."""
        known = self._known(rollout) or Heartbeat(rollout=rollout, at=at, next_look_s=0.0)
        self._put(replace(known, down=problem))

    def is_alive(self, now: Instant) -> bool:
        """Tell whether the process does its work: none of its rollouts is stuck, and at least one runs.

        A rollout that is down is no reason to restart the ones beside it.
        """
        heartbeats = self.all()
        if any(beat.is_stuck(now) for beat in heartbeats):
            return False
        return not heartbeats or any(beat.is_alive(now) for beat in heartbeats)

    def withdraw(self, rollout: str) -> None:
        """Expect nothing of a rollout any more."""
        with self._lock:
            self._heartbeats.pop(rollout, None)

    def publish(self, rollout: str, document: Mapping[str, object] | str, at: Instant, next_look_s: float) -> None:
        """Replace a rollout's document (JSON text, or what becomes it) and heartbeat after a finished tick.

        Raises ValueError for a document that is not finite JSON; the heartbeat is kept even then.
        """
        self.beat(rollout, at, next_look_s)
        text = document if isinstance(document, str) else json.dumps(document, allow_nan=False, separators=(",", ":"))
        encoded = text.encode()
        if len(encoded) > MAX_DOCUMENT_BYTES:
            problem = f"the status document has {len(encoded)} bytes, {MAX_DOCUMENT_BYTES} are allowed"
            encoded = json.dumps({"rollout": rollout, "error": problem}).encode()
        self._put(replace(self.of(rollout), document=encoded))

    def beat(self, rollout: str, at: Instant, next_look_s: float) -> None:
        """Note a finished tick and keep the document."""
        known = self._known(rollout)
        document = known.document if known else b""
        self._put(Heartbeat(rollout=rollout, at=at, next_look_s=next_look_s, ticked=True, document=document))

    def of(self, rollout: str) -> Heartbeat:
        """Return a rollout's heartbeat; raises KeyError for one that was never announced."""
        with self._lock:
            return self._heartbeats[rollout]

    def all(self) -> Sequence[Heartbeat]:
        """Return every heartbeat by name of its rollout."""
        with self._lock:
            return [self._heartbeats[name] for name in sorted(self._heartbeats)]

    def _known(self, rollout: str) -> Heartbeat | None:
        with self._lock:
            return self._heartbeats.get(rollout)

    def _put(self, heartbeat: Heartbeat) -> None:
        with self._lock:
            self._heartbeats[heartbeat.rollout] = heartbeat
