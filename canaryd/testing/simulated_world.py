"""A simulated world from a seed: router, disk, sources, clock and people that misbehave, and a watchman who checks.

What must never happen is checked by the parts themselves, by means other than those of ``core``: they know what
really passed, what was really served and what is really on the disk.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from canaryd.core.model import WEIGHT_TOLERANCE, Action, Change, Instant, IntervalStep, Policy, ReasonCode
from canaryd.core.readings import Absence, Counts, Fault, Gauge, Health, NoData, Reading, Side, Unread
from canaryd.engine import codec
from canaryd.engine.tick import Ticker
from canaryd.errors import ChangeRefused, ChangeUnknown, RouterUnavailable, StateCorrupt, StateUnavailable
from canaryd.ports import Finding, Look, Query, TickReport
from canaryd.testing import build
from canaryd.testing.clock import START_WALL
from canaryd.testing.faults import FaultSource, RouterPoint, StorePoint
from canaryd.testing.routers import FakeRouter, FakeTraffic
from canaryd.testing.stores import MemoryDisk
from canaryd.testing.weather import Weather

INTERVAL_S = build.INTERVAL_S
STREAK = 3


def policy() -> Policy:
    """Return a short ladder: a rollout without faults takes a dozen looks."""
    gates = ("errors.rate < 0.01", "memory < 0.85")
    metrics = {name: build.METRICS[name] for name in ("errors", "memory", "health")}
    return Policy(
        rollout="ion-api",
        digest="simulated",
        intervals=(IntervalStep(INTERVAL_S),),
        metrics=metrics,
        stages=(
            build.stage(5, 4 * INTERVAL_S, *gates),
            build.stage(25, 6 * INTERVAL_S, *gates),
            build.stage(100, None, *gates),
        ),
        rollback=(build.rule("errors.rate > 0.01", STREAK), build.rule("health is down", STREAK)),
    )


class SimulationFailed(AssertionError):
    """Something happened that must not; the message holds the seed."""


class ProcessDied(BaseException):
    """The process ends here: nothing of it goes on."""


# ---------------------------------------------------------------- parts of the world


class HandClock:
    """A clock that the simulation moves. ``true_s`` is what really passed, whatever the process believes."""

    def __init__(self) -> None:
        self.true_s = 0.0
        self._wall_error_s = 0.0
        self._started_s = 0.0
        self._runs = 1

    def now(self) -> Instant:
        """Return this moment as the process sees it."""
        wall = START_WALL + self.true_s + self._wall_error_s
        return Instant(wall=wall, elapsed=self.true_s - self._started_s, run=f"run-{self._runs}")

    async def sleep(self, seconds: float) -> None:
        """Pass the time at once."""
        self.pass_s(seconds)

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.true_s += seconds

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock wrong."""
        self._wall_error_s += seconds

    def restart(self, down_s: float) -> None:
        """Begin another run of the process after some time."""
        self.pass_s(down_s)
        self._started_s = self.true_s
        self._runs += 1


class FencedRouter(FakeRouter):
    """A router that knows what was durably decided when a raise reaches it."""

    def __init__(self, world: World, faults: FaultSource, reads_to_settle: int) -> None:
        super().__init__(world.traffic, faults=faults, reads_to_settle=reads_to_settle)
        self._world = world

    async def write(self, change: Change) -> None:
        """Apply a change after checking that no raise runs ahead of the disk."""
        self._world.check_raise(change)
        await super().write(change)


class Trouble(StrEnum):
    """What can be wrong with the canary's samples."""

    DOWN = "down"
    EMPTY = "empty"
    STALE = "stale"
    NOT_A_NUMBER = "not_a_number"


SILENT: Mapping[Trouble, Reading] = {
    Trouble.DOWN: Unread(why=Fault.UNREACHABLE, detail="connection refused"),
    Trouble.EMPTY: NoData(why=Absence.NO_SERIES, detail="nothing has reported"),
    Trouble.STALE: NoData(why=Absence.STALE, detail="the newest point is old"),
}


class WorldSource:
    """Reads the two sides as the world has them at this look."""

    def __init__(self, world: World) -> None:
        self._world = world

    def validate(self, query: Query) -> None:
        """Every query of the simulated policy works."""

    async def read(self, queries: Sequence[Query], look: Look) -> Sequence[Reading]:
        """Return one reading for each query."""
        return [self._reading(query, look) for query in queries]

    def _reading(self, query: Query, look: Look) -> Reading:
        world, at = self._world, START_WALL + self._world.clock.true_s
        canary = query.side is Side.CANARY
        if canary and world.trouble is not None and world.trouble in SILENT:
            return SILENT[world.trouble]
        nan = math.nan if canary and world.trouble is Trouble.NOT_A_NUMBER else 0.0
        match query.metric:
            case "errors":
                bad = 20.0 if canary and world.looks_bad else 1.0
                return Counts(bad=bad + nan, total=1000.0, span_s=look.interval_s, newest_at=at)
            case "memory":
                return Gauge(value=0.4 + nan, newest_at=at)
            case _:
                return Health(up=True, detail="", newest_at=at)

    async def check(self) -> Sequence[Finding]:
        """Nothing to say."""
        return ()

    async def aclose(self) -> None:
        """Nothing is held open."""


class Silence:
    """A recorder for which nothing needs recording."""

    def record(self, report: TickReport) -> None:
        """Take over a finished tick."""

    def failed(self, problem: str) -> None:
        """Take over a failed tick."""

    def skipped(self, looks: int) -> None:
        """Take over skipped looks."""


# ---------------------------------------------------------------- the world


@dataclass(slots=True)
class World:
    """One rollout's surroundings, and the watchman who checks each step."""

    seed: int
    weather: Weather
    bad_from_s: float | None = None
    """From then on the canary is bad."""
    die_at: frozenset[int] = frozenset()
    """Numbers of the effects at which the process dies, whatever the weather."""
    policy: Policy = field(default_factory=policy)
    clock: HandClock = field(default_factory=HandClock)
    traffic: FakeTraffic = field(default_factory=FakeTraffic)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    chance: random.Random = field(init=False)
    desired: dict[str, object] = field(default_factory=lambda: {"release": "rev-2", "stage": 3, "attempt": 1})
    trouble: Trouble | None = None
    looks_bad: bool = False
    bad_in_a_row: int = 0
    effects: int = 0
    looks: int = 0
    deaths: int = 0
    last_look_s: float | None = None
    overtaken: str = ""
    """A raise that ran ahead of the disk."""
    ticker: Ticker | None = None

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 (a simulation wants to be repeated)

    def strikes(self, rate: float) -> bool:
        """Whether a fault of this rate strikes now."""
        return rate > 0 and self.chance.random() < rate

    @property
    def running(self) -> Ticker:
        """The process that runs now."""
        assert self.ticker is not None
        return self.ticker

    @property
    def attempt(self) -> int:
        """The attempt that people want."""
        return int(str(self.desired["attempt"]))

    # ------------------------------------------------------------ desired state

    async def read(self) -> bytes:
        """Return the desired-state file."""
        return "".join(f"{key}: {str(value).lower()}\n" for key, value in self.desired.items()).encode()

    async def fingerprint(self) -> str:
        """Nobody waits between simulated looks."""
        return ""

    # ------------------------------------------------------------ faults

    def router_faults(self, point: str) -> BaseException | None:
        """Return what strikes at a point of the router."""
        weather = self.weather
        if point == RouterPoint.READ:
            return RouterUnavailable("connection refused") if self.strikes(weather.unreadable) else None
        if self._dies_here():
            return ProcessDied()
        if point == RouterPoint.AFTER_WRITE:
            return ChangeUnknown("the reply was lost") if self.strikes(weather.lost_reply) else None
        if self.strikes(weather.refused):
            return ChangeRefused("somebody was faster")
        return ChangeUnknown("the request was lost") if self.strikes(weather.lost_request) else None

    def store_faults(self, point: str) -> BaseException | None:
        """Return what strikes at a point of the store."""
        if point == StorePoint.LOAD:
            return StateCorrupt("checksum") if self.strikes(self.weather.state_lost) else None
        if self._dies_here():
            return ProcessDied()
        lost = point == StorePoint.AFTER_SYNC and self.strikes(self.weather.commit_reply_lost)
        failed = point == StorePoint.BEFORE_WRITE and self.strikes(self.weather.disk_fails)
        return StateUnavailable("no space left on device") if lost or failed else None

    def _dies_here(self) -> bool:
        self.effects += 1
        return self.effects in self.die_at or self.strikes(self.weather.dies / 5)

    # ------------------------------------------------------------ the watchman

    def fail(self, problem: str) -> None:
        """Stop the simulation."""
        state = self.ticker.state if self.ticker else None
        raise SimulationFailed(f"seed {self.seed}, {self.clock.true_s:g} s: {problem} ({state})")

    def count_look(self) -> None:
        """Follow how many looks in a row were bad; those without samples change nothing."""
        if self.trouble is None:
            self.bad_in_a_row = self.bad_in_a_row + 1 if self.looks_bad else 0

    def believe_streaks(self) -> None:
        """Take over what the process remembers after it has forgotten looks."""
        state = self.running.state
        self.bad_in_a_row = max((track.streak for track in state.tracks.values()), default=0) if state else 0

    def check_raise(self, change: Change) -> None:
        """No raise may run ahead of what is durable. Only noted here: a tick takes whatever a router raises."""
        if change.weight <= (self.traffic.weight or 0.0) + WEIGHT_TOLERANCE:
            return
        durable = codec.decode(self.disk.state) if self.disk.state else None
        granted = self.policy.weight(durable.stage) if durable else 0.0
        if change.weight > granted + WEIGHT_TOLERANCE:
            self.overtaken = f"raises to {change.weight:g} % while {granted:g} % is durable"

    def check_look(self, report: TickReport, watched_before_s: float, served: float | None) -> None:
        """Only time that passed, with good samples at the stage's weight, may be credited; only streaks go back."""
        decision, state = report.decision, report.decision.state
        gained_s = state.watched_s - watched_before_s if decision.action in (Action.HOLD, Action.FINISH) else 0.0
        if gained_s > 0:
            passed_s = 0.0 if self.last_look_s is None else self.clock.true_s - self.last_look_s
            if gained_s > passed_s + 1e-6:
                self.fail(f"credits {gained_s:g} s, {passed_s:g} s passed")
            if self.trouble is not None or served != self.policy.weight(state.stage):
                self.fail(f"credits a look at {served} % with {self.trouble}")
        by_rule = any(reason.code is ReasonCode.RULE for reason in decision.reasons)
        if decision.action is Action.ROLL_BACK and by_rule and self.bad_in_a_row < STREAK:
            self.fail(f"rolls back after {self.bad_in_a_row} bad looks in a row")
