"""The nouns of canaryd: what people own, what the router shows, what the daemon remembers and decides.

Weights are percent of requests sent to the canary (0 to 100). Times called ``at`` are Unix seconds by the wall
clock and only for people to read; durations are measured on ``Instant.elapsed``. Stage 0 is all stable; stage
n is the n-th of the policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from canaryd.core.conditions import Condition, Unit
from canaryd.core.phases import Phase
from canaryd.core.readings import NOTHING_YET, Known, MetricKind, Reading, Readings, Side

WEIGHT_TOLERANCE = 0.0005
"""Weights this close are the same: routers go down to 0.1 % steps."""


# ---------------------------------------------------------------- time


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks.

    ``wall`` is Unix seconds and may jump. ``elapsed`` never goes back and counts through suspension, but is only
    comparable within one ``run`` of the process.
    """

    wall: float
    elapsed: float
    run: str

    def seconds_since(self, earlier: Instant) -> float:
        """Return seconds since ``earlier``, never negative; across runs the wall clock has to do."""
        if self.run == earlier.run:
            return max(0.0, self.elapsed - earlier.elapsed)
        return max(0.0, self.wall - earlier.wall)


# ---------------------------------------------------------------- policy: operators own it


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of the policy, as far as judging needs it."""

    name: str
    kind: MetricKind
    unit: Unit


@dataclass(frozen=True, slots=True)
class IntervalStep:
    """Look every ``every_s`` seconds until the stage is ``until_s`` old; None: from there on."""

    every_s: float
    until_s: float | None = None


class RollbackTarget(StrEnum):
    """Where a rule sends a rollout back to."""

    PREVIOUS = "previous"
    STABLE = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What sends a rollout back: a condition that holds ``streak`` looks in a row.

    With ``at_least`` a look is judged only once so many events were gathered on each side that the condition
    reads; looks below it are added up, and each event counts once.
    """

    name: str
    when: Condition
    streak: int = 1
    to: RollbackTarget | int = RollbackTarget.PREVIOUS
    at_least: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the ladder: a weight, the time to be watched at it, and what must hold to leave it."""

    weight: float
    window_s: float | None = None
    """Seconds to be watched; None on the last stage: watched without end."""
    require: tuple[Condition, ...] = ()
    at_least: int = 0
    """Requests each side must have served in this stage."""
    approval: bool = False
    """A person must agree before this stage is entered."""
    rollback: tuple[Rule, ...] = ()
    """Rules of this stage alone, beside the policy's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is looked at while a rollout is at a stage. Derived from the policy once, because every look needs it."""

    stage: Stage
    rules: tuple[Rule, ...]
    """The stage's own rules, then the policy's. At 100 % stable has no traffic: rules relative to it rest there."""
    metrics: tuple[str, ...]
    """Every metric that a gate or a rule reads."""
    gate_metrics: tuple[str, ...]
    sums: tuple[tuple[str, str, Side], ...]
    """What is added up over the stage, as (key, metric, side): each metric that a gate names, on the sides it compares,
    and where the stage asks for a number of requests every metric that counts them, on both sides."""


COUNTING = frozenset({MetricKind.COUNTS, MetricKind.HISTOGRAM})
"""Kinds of metrics that tell how many requests there were."""
NO_STAGE = Stage(weight=0.0)


def _scope(policy: Policy, stage: Stage) -> Scope:
    rules = (*stage.rollback, *policy.rollback)
    if stage.weight >= 100:
        rules = tuple(rule for rule in rules if not rule.when.needs_stable)
    gated = [gate.signal.metric for gate in stage.require]
    sums = [(metric, Side.CANARY) for metric in gated]
    sums += [(gate.signal.metric, Side.STABLE) for gate in stage.require if gate.needs_stable]
    if stage.at_least:
        sums += [(name, side) for name, metric in policy.metrics.items() if metric.kind in COUNTING for side in Side]
    return Scope(
        stage=stage,
        rules=rules,
        metrics=tuple(dict.fromkeys([*gated, *(rule.when.signal.metric for rule in rules)])),
        gate_metrics=tuple(dict.fromkeys(gated)),
        sums=tuple((f"{metric}/{side}", metric, side) for metric, side in dict.fromkeys(sums)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """What to do about time without usable samples."""

    page_after_s: float = 120.0
    roll_back_after_s: float | None = None
    """None: never; hold instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How to judge and how to climb."""

    rollout: str
    digest: str
    """Changes whenever anything that judges or routes changes; evidence never crosses it."""
    intervals: tuple[IntervalStep, ...]
    metrics: Mapping[str, Metric]
    stages: tuple[Stage, ...]
    rollback: tuple[Rule, ...] = ()
    blind: Blind = field(default_factory=Blind)
    scopes: tuple[Scope, ...] = field(init=False, repr=False, compare=False)
    """By stage, stage 0 first."""

    def __post_init__(self) -> None:
        scopes = tuple(_scope(self, stage) for stage in (NO_STAGE, *self.stages))
        object.__setattr__(self, "scopes", scopes)

    @property
    def last_stage(self) -> int:
        """The number of the last stage."""
        return len(self.stages)

    def weight(self, stage: int) -> float:
        """Return the canary's percent at a stage; stage 0 is none."""
        return self.stages[stage - 1].weight if stage else 0.0

    def scope(self, stage: int) -> Scope:
        """Return what is looked at at a stage; of one that only an older policy had, that of the last."""
        return self.scopes[min(stage, self.last_stage)]

    def rules_at(self, stage: int) -> tuple[Rule, ...]:
        """Return the rules in force at a stage: its own, then the policy's."""
        return self.scope(stage).rules

    def interval_s(self, stage_age_s: float) -> float:
        """Return seconds between looks for a stage of this age."""
        for step in self.intervals:
            if step.until_s is None or stage_age_s < step.until_s:
                return step.every_s
        return self.intervals[-1].every_s


# ---------------------------------------------------------------- desired: people own it


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What people want: which release, and how far it may go."""

    release: str
    stage: int
    attempt: int = 1
    paused: bool = False
    approved: frozenset[int] = frozenset()
    waived: frozenset[int] = frozenset()


# ---------------------------------------------------------------- traffic: the router shows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What canaryd writes beside the weight, so that the router itself tells who set it and why.

    ``epoch`` grows with each change canaryd makes: an older daemon sees a larger one and stands by.
    """

    rollout: str
    release: str
    attempt: int
    stage: int
    epoch: int
    latched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The router as it was read. ``version`` is the precondition of the next change."""

    weight: float | None
    """Percent to the canary; None: the router says nothing usable."""
    version: str
    mark: Mark | None = None
    settled: bool = True
    """Whether the weight is being served, not only accepted."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TrafficUnreadable:
    """The router could not be read; nothing may be changed without reading first."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of traffic, ready to be carried out: only if the router is still at ``version``."""

    weight: float
    mark: Mark
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look: the router, and every metric on both sides."""

    traffic: Traffic | TrafficUnreadable
    readings: Readings


# ---------------------------------------------------------------- state: the daemon owns it


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """Why a release was taken back. It stays until a person raises ``attempt``."""

    reason: str
    rule: str
    from_stage: int
    to_stage: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """A release that was rolled back and has been replaced since: should it come again, its latch comes with it."""

    attempt: int
    latch: Latch


MAX_TAKEN_BACK = 20
"""So many rolled-back releases are remembered beside the present one; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One rule's memory: breaches in a row, and events gathered for its next look.

    ``newest_at`` is the newest point already judged; a reading that is not newer is the same sample.
    """

    streak: int = 0
    newest_at: float = float("-inf")
    canary: Known | None = None
    stable: Known | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Everything the daemon must not forget about one rollout. Bounded: it does not grow with time."""

    rollout: str
    policy: str
    """Digest of the policy the evidence was gathered under."""
    release: str
    attempt: int
    phase: Phase = Phase.NEW
    stage: int = 0
    """The stage in force, or being moved to."""
    weight: float = 0.0
    """The stage's weight under the policy that granted it: what another policy must not exceed."""
    raised_from: float | None = None
    """While a raise is not yet served: the weight it started from."""
    sent: float | None = None
    """The weight of the last change: another one under that change's epoch is somebody else's edit."""
    epoch: int = 0
    latch: Latch | None = None
    taken_back: Mapping[str, TakenBack] = field(default_factory=dict)
    """Earlier releases that were rolled back, by name, oldest first."""
    entered: Instant | None = None
    """When the stage was decided."""
    opened: Instant | None = None
    """When the router first served it: the window's start."""
    watched_s: float = 0.0
    unproven_s: float = 0.0
    """Seconds looked at since the newest samples that were credited: they count once newer samples prove them."""
    proven_at: float = float("-inf")
    """Time of the newest points when the window was credited last: of the metric that is farthest behind."""
    blind_since: Instant | None = None
    powerless_since: Instant | None = None
    """Since when the router cannot be read, or belongs to another daemon: nothing decided can be carried out."""
    last_look: Instant | None = None
    read_router_in: str = ""
    """The run of the process that read the router last."""
    tallies: Mapping[str, Known | None] = field(default_factory=dict)
    """By ``metric/side``: the readings of the stage so far, added up."""
    tracks: Mapping[str, Track] = field(default_factory=dict)
    """By rule name."""
    desired: Desired | None = None
    """The last valid desired state: what stays in force while the file is missing or wrong."""
    spent_approvals: frozenset[int] = frozenset()
    """Approvals of an earlier attempt, release or policy that still stand in the file: they count no more."""
    spent_waivers: frozenset[int] = frozenset()
    """Waivers, likewise."""

    def so_far(self, metric: str, side: Side) -> Reading:
        """Return the stage so far of one metric and side as one reading."""
        return self.tallies.get(f"{metric}/{side}") or NOTHING_YET


# ---------------------------------------------------------------- decision


class Action(StrEnum):
    """What one tick decides."""

    HOLD = "hold"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    LOWER = "lower"
    """A person asked for a lower stage, or the rollout starts over."""
    RESTORE = "restore"
    """Write again what the router should have: a lost reply, an unknown weight, someone's higher weight."""
    FINISH = "finish"


class ReasonCode(StrEnum):
    """Why a decision is what it is. A closed set: it is a metric's label."""

    # holds
    ALL_STABLE = "all_stable"
    AT_CEILING = "at_ceiling"
    PAUSED = "paused"
    WINDOW = "window"
    GATE = "gate"
    BREACH = "breach"
    NO_DATA = "no_data"
    ERROR = "error"
    TOO_FEW = "too_few"
    APPROVAL = "approval"
    LATCHED = "latched"
    SETTLING = "settling"
    ROUTER_UNREADABLE = "router_unreadable"
    ROUTER_UNKNOWN = "router_unknown"
    FOREIGN_TRAFFIC = "foreign_traffic"
    LOWERED_BY_OTHERS = "lowered_by_others"
    NEWER_DAEMON = "newer_daemon"
    FINISHED = "finished"
    # moves
    GATES_HOLD = "gates_hold"
    RULE = "rule"
    BLIND = "blind"
    DESIRED_LOWER = "desired_lower"
    RAISED_BY_OTHERS = "raised_by_others"
    NOT_APPLIED = "not_applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One ground of a decision; ``text`` is a phrase that a person can act on."""

    code: ReasonCode
    text: str


class Outcome(StrEnum):
    """The four outcomes of a check."""

    PASS = "pass"  # noqa: S105 (an outcome, not a secret)
    FAIL = "fail"
    NO_DATA = "no_data"
    ERROR = "error"


class Check(NamedTuple):
    """One condition judged. ``canary`` and ``limit`` are in the signal's base unit, None where not known.

    Checks are tuples because a tick makes many of them.
    """

    condition: Condition
    outcome: Outcome
    canary: float | None = None
    limit: float | None = None
    detail: str = ""
    absence: str = ""
    """The Absence or Fault behind NO_DATA and ERROR."""


class CheckRole(StrEnum):
    """What a check is for."""

    GATE_SO_FAR = "gate_so_far"
    GATE_NOW = "gate_now"
    RULE = "rule"


class RoleCheck(NamedTuple):
    """A check with its role; for rules also the streak after this look and the streak that acts."""

    role: CheckRole
    check: Check
    rule: str = ""
    streak: int = 0
    streak_needed: int = 0


class EventKind(StrEnum):
    """What people may want to be told."""

    STARTED = "started"
    PROMOTED = "promoted"
    WINDOW_OPENED = "window_opened"
    ROLLED_BACK = "rolled_back"
    LOWERED = "lowered"
    RETRIED = "retried"
    RESTARTED = "restarted"
    """Evidence was given up: another release, another policy, or state that had to be rebuilt."""
    RESTORED = "restored"
    BLIND = "blind"
    POWERLESS = "powerless"
    """The router cannot be read, or belongs to another daemon, for as long as blindness is borne."""
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line for the journal and the notices."""

    kind: EventKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of one tick: what to do, why, and the state to remember."""

    action: Action
    state: RolloutState
    reasons: tuple[Reason, ...]
    change: Change | None = None
    checks: tuple[RoleCheck, ...] = ()
    events: tuple[Event, ...] = ()
    watched: bool = False
    """Whether this look counted towards the window."""
    next_look_s: float = 0.0
