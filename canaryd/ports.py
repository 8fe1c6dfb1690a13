"""What the engine needs from outside, as small protocols. Adapters implement them; nothing here does I/O.

Two rules hold for every adapter. A metric source never raises for a bad answer: errors are values. Routers
and stores raise only the exceptions named here, so that the engine knows what may be tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from canaryd.core.conditions import Unit
from canaryd.core.model import Change, Decision, Desired, Instant, Observation, Traffic
from canaryd.core.readings import MetricKind, Reading, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every adapter is built with, besides its own options from the policy file."""

    folder: Path
    """The policy's folder: relative paths start here."""
    clock: Clock
    state_dir: Path
    """Where state is kept unless a section says otherwise."""
    secret: Callable[[str], str]
    """Return a secret by name, from the operator's settings; raises OperatorError for an unknown one."""
    rollout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of ``canaryd check``."""

    ok: bool
    subject: str
    detail: str
    remedy: str = ""


class Clock(Protocol):
    """Time as a port, so that a week is a test of milliseconds."""

    def now(self) -> Instant:
        """Return this moment on both clocks."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep that long on the elapsed clock."""
        ...


# ---------------------------------------------------------------- metric sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One metric to be read on one side.

    ``expressions`` is what the policy gives for the metric, by key: ``bad`` and ``total``, ``histogram`` (and
    ``sum``), ``value``, or ``path``. ``up`` is what a health document must say. ``target`` holds the side's
    labels from the policy (``service``, ``url``, ``revision`` …), which are also the ``$placeholders``.
    """

    metric: str
    kind: MetricKind
    unit: Unit
    side: Side
    source: str = ""
    """The name of the source in the policy."""
    target: Mapping[str, str]
    expressions: Mapping[str, str] = field(default_factory=dict)
    up: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The circumstances of one look.

    ``stint`` names the stretch of unchanged traffic: a source that keeps memory between looks must not let
    counts reach back into another stint. ``stint_age_s`` says how long the present one has lasted.
    """

    at: Instant
    stint: str
    stint_age_s: float
    interval_s: float
    deadline_s: float
    """Every read must have answered within this many seconds."""


class MetricSource(Protocol):
    """Reads metrics. Never raises for what the world does: see ``core.readings`` for error values."""

    def validate(self, query: Query) -> None:
        """Raise ValueError with a plain message when the expressions cannot work; no I/O."""
        ...

    async def read(self, queries: Sequence[Query], look: Look) -> Sequence[Reading]:
        """Return one reading for each query, in their order."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Say whether the source answers at all."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


# ---------------------------------------------------------------- routers


class TrafficRouter(Protocol):
    """Moves traffic. A change is conditional on what was read; a newer epoch in the router always wins."""

    async def read(self) -> Traffic:
        """Return the traffic as it is, or raise RouterUnavailable."""
        ...

    async def write(self, change: Change) -> None:
        """Apply a change durably if the router is still at ``change.version``.

        Raises ChangeRefused when nothing was changed, ChangeUnknown when nobody can tell.
        """
        ...

    async def check(self) -> Sequence[Finding]:
        """Say whether the router can be read and would accept a change, without changing anything."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


# ---------------------------------------------------------------- desired state


class DesiredSource(Protocol):
    """Reads the desired-state file, wherever it lives."""

    async def read(self) -> bytes:
        """Return the content (bounded), or raise InvalidFile when it is missing or no plain file."""
        ...

    async def fingerprint(self) -> str:
        """Return something cheap that changes when the content may have changed; never raises."""
        ...


# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True, kw_only=True)
class TickRecord:
    """All that one tick leaves behind; stored in one transaction."""

    state: str
    """The encoded RolloutState."""
    at: Instant
    decision: Decision
    observation: Observation
    summary: str
    """The explanation in one sentence."""
    document: str = ""
    """The status document (JSON) after this tick: what the status page and ``canaryd status`` show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One event as it was recorded."""

    at: float
    kind: str
    text: str
    stage: int
    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a store holds after the last tick, as another process may read it."""

    state: str | None
    document: str


class StateStore(Protocol):
    """Remembers. Opened for one rollout by one daemon; ``load`` takes the lease.

    A store class also has ``peek(options, surroundings) -> Stored | None``: with it ``canaryd status`` reads what
    the daemon stored last, without its lease and without leaving anything behind.
    """

    async def load(self) -> str | None:
        """Return the encoded state, None if there is none yet.

        Raises AnotherRuns, StateTooNew, StateCorrupt (after putting the damaged state aside) and
        StateUnavailable.
        """
        ...

    async def commit(self, record: TickRecord) -> None:
        """Store a tick durably, all of it or nothing; raises StateUnavailable."""
        ...

    async def journal(self, limit: int) -> Sequence[JournalLine]:
        """Return the newest events, newest first."""
        ...

    async def aclose(self) -> None:
        """Give the lease back."""
        ...


# ---------------------------------------------------------------- telling


class TickOutcome(StrEnum):
    """What came of a tick."""

    HELD = "held"
    """Nothing was to be changed."""
    ACTED = "acted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_STORED = "not_stored"
    FAILED = "failed"
    """Our fault: an invariant, or an exception that should not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickReport:
    """What the recorders and notifiers are told after a tick."""

    rollout: str
    at: Instant
    decision: Decision
    observation: Observation
    summary: str
    outcome: TickOutcome
    duration_s: float
    desired: Desired
    desired_error: str = ""
    """What is wrong with the desired file now; the last good one is in force."""
    policy_file: str = ""
    """The policy's path as the operator gave it: what commands are addressed to."""
    journal: tuple[JournalLine, ...] = ()
    """The newest events, newest first."""


class Recorder(Protocol):
    """Keeps metrics, the heartbeat and the status snapshot. Nothing here may block."""

    def record(self, report: TickReport) -> None:
        """Take over one finished tick."""
        ...

    def failed(self, problem: str) -> None:
        """Take over a tick that could not be finished: no heartbeat."""
        ...

    def skipped(self, looks: int) -> None:
        """Count looks that were due while a tick overran its interval."""
        ...


class Notifier(Protocol):
    """Tells people."""

    async def notify(self, report: TickReport) -> None:
        """Send the events of one tick."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
