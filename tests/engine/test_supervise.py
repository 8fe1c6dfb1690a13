"""Several rollouts in one process: a broken one never harms another, and none stays down."""

import itertools

import anyio
import pytest

from canaryd.engine.supervise import OPEN_DEADLINE_S, supervise
from canaryd.errors import AnotherRuns, CanarydError, InvalidFile, Location, StateUnavailable
from canaryd.testing.build import HOUR
from canaryd.testing.clock import SimulatedClock
from canaryd.testing.faults import StorePoint
from canaryd.testing.stores import MemoryStore

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
WRONG = InvalidFile(Location("ion-api.yaml", 3), "weight must be a number")


class Policy:
    """A policy file as the supervisor sees it. ``problems`` are raised one after the other when it is built."""

    def __init__(self, world, name="ion-api", problems=(), **changes):
        self.world = world
        self.name = name
        self.problems = list(problems)
        self.changes = changes
        self.edited = False
        self.built_at = []
        self.said = []

    def build(self):
        self.built_at.append(anyio.current_time())
        self.edited = False
        if self.problems and (problem := self.problems.pop(0)):
            raise problem
        return self.world.rollout(**self.changes)

    def changed(self):
        return self.edited

    def failed(self, problem):
        self.said.append(problem)


class Supervised:
    def __init__(self, *policies):
        self.policies = policies
        self.ready = anyio.Event()

    async def __aenter__(self):
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        self.group.start_soon(supervise, self.policies, SimulatedClock(), self.ready.set)
        await self.ready.wait()
        return self

    async def __aexit__(self, *failure):
        self.group.cancel_scope.cancel()
        return await self.group.__aexit__(*failure)


async def test_a_broken_policy_does_not_keep_the_others_from_running(world, new_world):
    broken = Policy(new_world(), "broken", [WRONG] * 3)
    async with Supervised(Policy(world), broken):
        await anyio.sleep(HOUR)
    assert world.weights == [5]
    assert broken.said[0] == "ion-api.yaml:3: weight must be a number"
    assert broken.world.weights == [5]


async def test_a_plugin_that_cannot_even_be_built_does_not_keep_the_others_from_running(world, new_world):
    broken = Policy(new_world(), "broken", [TypeError("a bug")] * 1000)
    async with Supervised(broken, Policy(world)):
        await anyio.sleep(HOUR)
    assert world.weights == [5]
    assert broken.said[0] == "TypeError"


async def test_a_store_that_hangs_does_not_keep_the_others_from_running(world, new_world):
    class HangingStore(MemoryStore):
        async def load(self):
            await anyio.sleep_forever()

    hanging = Policy(new_world(), "hanging", store=HangingStore())
    async with Supervised(hanging, Policy(world)):
        assert anyio.current_time() <= OPEN_DEADLINE_S + 1
        await anyio.sleep(HOUR)
    assert world.weights == [5]
    assert "could not be opened" in hanging.said[0]


async def test_a_rollout_that_crashes_at_every_look_never_harms_another(world, new_world):
    bad = new_world()
    bad.recorded.record = lambda _report: 1 / 0
    policy = Policy(bad, "bad")
    async with Supervised(policy, Policy(world)):
        await anyio.sleep(HOUR)
    assert world.weights == [5]
    assert len(world.recorded.problems) == 0
    assert set(policy.said) == {"ZeroDivisionError"}


async def test_a_rollout_that_fails_again_and_again_is_started_later_each_time(new_world):
    bad = new_world()
    bad.recorded.record = lambda _report: 1 / 0
    policy = Policy(bad)
    async with Supervised(policy):
        await anyio.sleep(600)
    gaps = [later - earlier for earlier, later in itertools.pairwise(policy.built_at)]
    assert gaps[:8] == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])


async def test_a_rollout_that_ran_well_for_long_is_started_again_soon_after_a_failure(world):
    policy = Policy(world)
    async with Supervised(policy):
        for _ in range(4):
            await anyio.sleep(HOUR)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.recorded, "record", lambda _report: 1 / 0)
                world.desired.edit(f"release: rev-2\nstage: 5\n# {anyio.current_time()}\n")
                await anyio.sleep(0.9)
            await anyio.sleep(2)
    gaps = [later - earlier for earlier, later in itertools.pairwise(policy.built_at)]
    assert len(gaps) == 4
    assert all(gap > HOUR for gap in gaps)


async def test_an_edited_policy_is_built_anew_and_the_old_one_gives_its_lease_back(world):
    policy = Policy(world)
    async with Supervised(policy):
        await anyio.sleep(HOUR)
        policy.edited = True
        await anyio.sleep(1)
        assert len(policy.built_at) == 2
        await anyio.sleep(HOUR)
    assert world.weights == [5]
    assert policy.said == []


@pytest.mark.parametrize("problem", [WRONG, AnotherRuns("another canaryd runs"), StateUnavailable("read-only")])
async def test_when_none_can_start_the_first_problem_is_raised(new_world, problem):
    policies = [Policy(new_world(), "one", [problem]), Policy(new_world(), "two", [WRONG])]
    with pytest.raises(type(problem)) as raised:
        await supervise(policies, SimulatedClock(), lambda: None)
    assert raised.value is problem


async def test_a_second_daemon_on_the_same_state_is_refused(world):
    held = MemoryStore(world.disk)
    await held.load()
    with pytest.raises(AnotherRuns):
        await supervise([Policy(world)], SimulatedClock(), lambda: None)


async def test_without_any_policy_nothing_runs():
    with pytest.raises(CanarydError, match="no policy"):
        await supervise([], SimulatedClock(), lambda: None)


async def test_a_start_without_a_desired_file_gives_the_lease_back(world):
    world.desired.edit(None)
    with pytest.raises(CanarydError, match="missing"):
        await supervise([Policy(world)], SimulatedClock(), lambda: None)
    assert world.disk.holder is None


async def test_stopping_gives_the_lease_back(world):
    async with Supervised(Policy(world)):
        await anyio.sleep(HOUR)
        assert world.disk.holder is not None
    assert world.disk.holder is None


async def test_a_state_that_cannot_be_read_for_a_while_is_read_later(world, new_world):
    world.store_faults.at(StorePoint.LOAD, *[StateUnavailable("locked")] * 3)
    async with Supervised(Policy(world), Policy(new_world())):
        await anyio.sleep(60)
    assert world.weights == [5]
