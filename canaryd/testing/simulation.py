"""Whole rollouts in a simulated world: a storm of faults, then calm weather, and a check of what came of it.

The real ticks run; only time, router, disk, sources and people are simulated. The same seed always gives the same run.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from canaryd.core.phases import Phase
from canaryd.core.readings import Side
from canaryd.engine.tick import Ticker
from canaryd.engine.wiring import Rollout
from canaryd.errors import CanarydError
from canaryd.ports import Query, TickOutcome, TickReport
from canaryd.testing.simulated_world import (
    INTERVAL_S,
    FencedRouter,
    ProcessDied,
    Silence,
    Trouble,
    World,
    WorldSource,
)
from canaryd.testing.stores import MemoryStore
from canaryd.testing.weather import CALM, Weather, weather_of

STORM_LOOKS = 40
CALM_LOOKS = 40
"""More than enough for the whole ladder and every rollback."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a simulated rollout ended."""

    seed: int
    phase: Phase
    weight: float | None
    seconds: float
    looks: int
    finished_after: int | None
    """The number of the look that saw it finished first; None if none did."""
    deaths: int
    effects: int
    """How often something outside was about to be changed, or just had been."""


def simulate(
    seed: int,
    weather: Weather | None = None,
    *,
    bad_from_s: float | None = None,
    die_at: frozenset[int] = frozenset(),
    storm_looks: int = STORM_LOOKS,
) -> Outcome:
    """Run one rollout from a seed and return how it ended.

    Args:
        seed: What all chance comes from.
        weather: The storm; drawn from the seed if None.
        bad_from_s: When the canary goes bad for good, at the latest when the storm ends; never if None.
        die_at: Numbers of the effects at which the process dies, besides those of the weather.
        storm_looks: How many looks the storm lasts.

    Raises:
        SimulationFailed: Something happened that must not, or a good canary did not finish, or a bad one stayed.
    """
    world = World(seed, weather or CALM, bad_from_s=bad_from_s, die_at=die_at)
    if weather is None:
        world.weather = weather_of(world.chance)
    return anyio.run(_Simulation(world).run, storm_looks)


class _Simulation:
    """Moves one world from look to look."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = MemoryStore(world.disk)
        self._finished_after: int | None = None

    async def run(self, storm_looks: int) -> Outcome:
        await self._start()
        for _ in range(storm_looks):
            self._happen()
            await self._look()
        self._calm_down()
        await self._see_it_end()
        world = self._world
        state = world.running.state
        return Outcome(
            seed=world.seed,
            phase=state.phase if state else Phase.NEW,
            weight=world.traffic.weight,
            seconds=world.clock.true_s,
            looks=world.looks,
            finished_after=self._finished_after,
            deaths=world.deaths,
            effects=world.effects,
        )

    # ---------------------------------------------------------------- the process

    async def _start(self) -> None:
        """Start the process on whatever the disk and the router hold."""
        world = self._world
        self._store = MemoryStore(world.disk, faults=world.store_faults)
        slow = world.chance.randint(1, 3) if world.strikes(world.weather.slow_settling) else 0
        rollout = Rollout(
            policy=world.policy,
            policy_file="ion-api.yaml",
            desired=world,
            desired_name="ion-api.desired.yaml",
            queries={"world": _queries(world)},
            sources={"world": WorldSource(world)},
            router=FencedRouter(world, world.router_faults, slow),
            store=self._store,
            notifiers=(),
            recorder=Silence(),
            clock=world.clock,
        )
        world.ticker = Ticker(rollout)
        await world.ticker.open()
        world.last_look_s = None
        world.believe_streaks()

    async def _restart(self) -> None:
        world = self._world
        world.deaths += 1
        self._store.crash()
        world.clock.restart(world.chance.choice((1.0, 30.0, INTERVAL_S, 20 * INTERVAL_S)))
        await self._start()

    # ---------------------------------------------------------------- one look

    async def _look(self) -> None:
        world = self._world
        world.looks += 1
        world.trouble = world.chance.choice(list(Trouble)) if world.strikes(world.weather.source_fails) else None
        is_bad = world.bad_from_s is not None and world.clock.true_s >= world.bad_from_s
        world.looks_bad = is_bad or world.strikes(world.weather.blip)
        world.count_look()
        before, served = world.running.state, world.traffic.weight
        report = await self._tick()
        if world.overtaken:
            world.fail(world.overtaken)
        if report is None:
            await self._restart()
            return
        world.check_look(report, before.watched_s if before else 0.0, served)
        if report.outcome is TickOutcome.NOT_STORED and world.running.state is before:
            world.believe_streaks()  # the look is forgotten with the raise that could not be stored
        else:
            world.last_look_s = world.clock.true_s
        world.clock.pass_s(report.decision.next_look_s)

        if self._finished_after is None and report.decision.state.phase is Phase.FINISHED:
            self._finished_after = world.looks

    async def _tick(self) -> TickReport | None:
        """Make one tick; return None when the process died in it."""
        try:
            return await self._world.running.tick()
        except ProcessDied:
            return None
        except CanarydError as error:
            self._world.fail(f"a look was not finished: {error}")
            return None

    # ---------------------------------------------------------------- between two looks

    def _happen(self) -> None:
        world, weather = self._world, self._world.weather
        if world.traffic.mark is not None and world.strikes(weather.edited_router):
            world.traffic.edit(world.chance.choice((None, 0.0, 3.0, 60.0)))
        if world.strikes(weather.edited_desired):
            self._edit_desired()
        if world.strikes(weather.clock_jumps):
            world.clock.jump_wall(world.chance.choice((-7200.0, -0.4 * INTERVAL_S, 0.4 * INTERVAL_S, 86400.0)))
        if world.strikes(weather.suspended):
            world.clock.pass_s(world.chance.choice((0.5, 2.0, 10.0)) * INTERVAL_S)

    def _edit_desired(self) -> None:
        world = self._world
        match world.chance.choice(("pause", "stage", "attempt", "release")):
            case "pause":
                world.desired["paused"] = not world.desired.get("paused", False)
            case "stage":
                world.desired["stage"] = world.chance.randint(0, world.policy.last_stage)
            case "attempt":
                world.desired["attempt"] = world.attempt + 1
            case _:
                world.desired["release"] = f"rev-{world.chance.randint(2, 4)}"

    # ---------------------------------------------------------------- the end

    def _calm_down(self) -> None:
        """End all faults; a person wants the whole ladder and, for what was taken back, another attempt."""
        world = self._world
        world.weather = CALM
        if world.bad_from_s is not None:
            world.bad_from_s = min(world.bad_from_s, world.clock.true_s)
        world.desired |= {"stage": world.policy.last_stage, "paused": False, "attempt": world.attempt + 1}

    async def _see_it_end(self) -> None:
        world = self._world
        for _ in range(CALM_LOOKS):
            await self._look()
        state = world.running.state
        if world.bad_from_s is None:
            if state is None or state.phase is not Phase.FINISHED or world.traffic.weight != 100:
                world.fail("a good canary did not finish")
        elif world.traffic.weight != 0:
            world.fail(f"a bad canary still gets {world.traffic.weight} %")


def _queries(world: World) -> tuple[Query, ...]:
    return tuple(
        Query(metric=metric.name, kind=metric.kind, unit=metric.unit, side=side, source="world", target={})
        for metric in world.policy.metrics.values()
        for side in Side
    )
