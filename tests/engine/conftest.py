"""A world of fakes around the real engine, in virtual time."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import anyio
import pytest
import structlog

from canaryd.core.model import Policy
from canaryd.core.readings import NoData, Reading, Side, Unread
from canaryd.engine.loop import Loop
from canaryd.engine.tick import Ticker
from canaryd.engine.wiring import Rollout
from canaryd.errors import InvalidFile, Location
from canaryd.ports import Query, TickReport
from canaryd.testing import build
from canaryd.testing.clock import SimulatedClock
from canaryd.testing.faults import Faults
from canaryd.testing.routers import FakeRouter, FakeTraffic
from canaryd.testing.sources import ScriptedSource
from canaryd.testing.stores import MemoryDisk, MemoryStore


class DesiredFile:
    """A desired-state file that a test edits; None is a missing one."""

    def __init__(self, text: str | None):
        self.text = text
        self.edits = 0
        self.hangs = False

    def edit(self, text: str | None) -> None:
        self.text = text
        self.edits += 1

    async def read(self) -> bytes:
        if self.hangs:
            await anyio.sleep_forever()
        if self.text is None:
            raise InvalidFile(Location("ion-api.desired.yaml"), "the file is missing")
        return self.text.encode()

    async def fingerprint(self) -> str:
        return str(self.edits)


class Recorded:
    """Remembers what the engine reported."""

    def __init__(self):
        self.reports: list[TickReport] = []
        self.problems: list[str] = []
        self.skipped_looks = 0

    def record(self, report: TickReport) -> None:
        self.reports.append(report)

    def failed(self, problem: str) -> None:
        self.problems.append(problem)

    def skipped(self, looks: int) -> None:
        self.skipped_looks += looks


class Told:
    """A notifier that keeps what people were told."""

    def __init__(self, *, hangs: bool = False, fails: Exception | None = None):
        self.texts: list[str] = []
        self.hangs = hangs
        self.fails = fails
        self.closed = False

    async def notify(self, report: TickReport) -> None:
        if self.hangs:
            await anyio.sleep_forever()
        if self.fails:
            raise self.fails
        self.texts.extend(event.text for event in report.decision.events)

    async def aclose(self) -> None:
        self.closed = True


def queries_for(policy: Policy, source: str = "fake") -> Mapping[str, tuple[Query, ...]]:
    return {
        source: tuple(
            Query(metric=metric.name, kind=metric.kind, unit=metric.unit, side=side, source=source, target={})
            for metric in policy.metrics.values()
            for side in Side
        )
    }


@dataclass
class World:
    """Everything around one rollout. ``canary`` replaces healthy readings from now on."""

    policy: Policy = field(default_factory=build.plan)
    desired: DesiredFile = field(default_factory=lambda: DesiredFile("release: rev-2\nstage: 5\n"))
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    traffic: FakeTraffic = field(default_factory=FakeTraffic)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    router_faults: Faults = field(default_factory=Faults)
    store_faults: Faults = field(default_factory=Faults)
    recorded: Recorded = field(default_factory=Recorded)
    told: Told = field(default_factory=Told)
    canary: dict[str, Reading] = field(default_factory=dict)
    source: ScriptedSource | None = None

    def __post_init__(self):
        self.source = self.source or ScriptedSource(self._script)

    def rollout(self, **changes) -> Rollout:
        parts = {
            "policy": self.policy,
            "policy_file": "ion-api.yaml",
            "desired": self.desired,
            "desired_name": "ion-api.desired.yaml",
            "queries": queries_for(self.policy),
            "sources": {"fake": self.source},
            "router": FakeRouter(self.traffic, faults=self.router_faults),
            "store": MemoryStore(self.disk, faults=self.store_faults),
            "notifiers": [self.told],
            "recorder": self.recorded,
            "clock": self.clock,
        }
        return Rollout(**parts | changes)

    async def ticker(self, **changes) -> Ticker:
        """Return the ticker of a daemon that has just started."""
        self.disk.holder = None
        ticker = Ticker(self.rollout(**changes))
        await ticker.open()
        return ticker

    async def ticks(self, ticker: Ticker, count: int) -> TickReport:
        """Tick several times, each when it is due; return the last report."""
        for _ in range(count):
            report = await ticker.tick()
            await self.clock.sleep(report.decision.next_look_s)
        return report

    async def at_stage(self, stage: int, **changes) -> Ticker:
        """Return the ticker of a daemon whose rollout has just opened a stage's window."""
        ticker = await self.ticker(**changes)
        for _ in range(5_000):
            await self.ticks(ticker, 1)
            if ticker.state.stage == stage and ticker.state.phase == "watching":
                return ticker
        raise AssertionError(self.recorded.reports[-1].summary)

    def loop(self, ticker: Ticker, rollout: Rollout, policy_changed=lambda: False) -> Loop:
        return Loop(rollout=rollout, ticker=ticker, policy_changed=policy_changed)

    @property
    def weights(self) -> list[float]:
        """What was written to the router, oldest first."""
        return [change.weight for change in self.traffic.changes]

    @property
    def last(self) -> TickReport:
        return self.recorded.reports[-1]

    def _script(self, query: Query, look) -> Reading:
        at_s = look.at.wall
        if query.side is Side.CANARY and query.metric in self.canary:
            reading = self.canary[query.metric]
            return reading if isinstance(reading, (NoData, Unread)) else replace(reading, newest_at=at_s)
        return build.look_readings(at_s).get(query.metric, query.side)


@pytest.fixture(autouse=True)
def _quiet():
    """A week of looks is a thousand lines that nobody reads."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def _drop(_logger, _method, _event):
    raise structlog.DropEvent


@pytest.fixture
def world():
    return World()


@pytest.fixture
def new_world():
    return World


@pytest.fixture
def new_desired_file():
    return DesiredFile


@pytest.fixture
def new_notifier():
    return Told


@pytest.fixture
def emergency():
    return {"errors": build.counts(0, total=100, bad=30)}
