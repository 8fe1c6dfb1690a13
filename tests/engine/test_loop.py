"""The loop: looks when they are due, wakes for an edit, never overlaps, and a week passes in moments."""

import itertools
import time

import anyio
import pytest

from canaryd.core.phases import Phase
from canaryd.testing import build
from canaryd.testing.build import HOUR

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
MINUTE_PLAN = build.plan(interval_s=60.0)


class Daemon:
    """One loop running in the background."""

    def __init__(self, world, policy_changed=lambda: False, **changes):
        self.world = world
        self.policy_changed = policy_changed
        self.changes = changes
        self.ended = anyio.Event()

    async def __aenter__(self):
        self.ticker = await self.world.ticker(**self.changes)
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        self.group.start_soon(self._run)
        return self

    async def __aexit__(self, *failure):
        self.group.cancel_scope.cancel()
        return await self.group.__aexit__(*failure)

    async def _run(self):
        rollout = self.world.rollout(**self.changes)
        await self.world.loop(self.ticker, rollout, self.policy_changed).run()
        self.ended.set()

    @property
    def looks(self):
        return len(self.world.recorded.reports)


async def test_the_seven_days_of_the_plan_take_moments(world):
    started = time.perf_counter()
    ticker = await world.ticker()
    while ticker.state is None or ticker.state.phase is not Phase.FINISHED:
        await world.ticks(ticker, 1)
    seconds, looks = time.perf_counter() - started, len(world.recorded.reports)
    days = ticker.state.last_look.elapsed / 86400
    print(f"{days:.2f} days, {looks} looks in {seconds:.2f} s of real time")
    assert world.weights == [5, 10, 25, 50, 100]
    assert 7.0 <= days < 7.2
    assert seconds < 30


async def test_looks_are_as_far_apart_as_the_policy_says(new_world):
    world = new_world(policy=MINUTE_PLAN)
    async with Daemon(world):
        await anyio.sleep(HOUR)
    times = [report.at.elapsed for report in world.recorded.reports[5:]]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([60.0] * len(gaps))


async def test_an_edit_of_the_desired_file_is_seen_within_a_second(world):
    async with Daemon(world) as daemon:
        await anyio.sleep(HOUR)
        world.desired.edit("release: rev-2\nstage: 0\n")
        await anyio.sleep(1)
        assert world.traffic.weight == 0
        looks = daemon.looks
        await anyio.sleep(10)
        assert daemon.looks == looks + 1  # the settling look; then nothing until the next is due


async def test_an_edit_while_a_look_is_under_way_is_not_missed(world):
    async with Daemon(world):
        await anyio.sleep(HOUR)
        world.source.delay_s = 5.0
        world.desired.edit("release: rev-2\nstage: 4\n")
        await anyio.sleep(2)
        world.desired.edit("release: rev-2\nstage: 0\n")
        await anyio.sleep(12)
        assert world.traffic.weight == 0


async def test_ticks_never_overlap_and_looks_that_were_due_meanwhile_are_counted_not_queued(new_world):
    world = new_world(policy=build.plan(interval_s=10.0))
    world.source.delay_s = 9.0
    world.desired.hangs = False
    under_way, most = 0, 0
    read = world.source.read

    async def counted(queries, look):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        answer = await read(queries, look)
        await anyio.sleep(0.5)
        under_way -= 1
        return answer

    async def slow_notice(_report):
        await anyio.sleep(4.0)

    world.source.read = counted
    world.told.notify = slow_notice
    async with Daemon(world) as daemon:
        await anyio.sleep(300)
        assert most == 1
        assert world.recorded.skipped_looks > 0
        assert daemon.looks <= 31


async def test_a_look_that_takes_longer_than_the_interval_is_followed_by_the_next_at_once(new_world):
    world = new_world(policy=build.plan(interval_s=2.0))

    async def hanging_read():
        await anyio.sleep_forever()

    world.desired.read = hanging_read  # 5 s until its deadline, at every look
    ticker = await world.ticker()
    ticker.resume((await new_world().at_stage(1)).state)
    async with anyio.create_task_group() as group:
        group.start_soon(world.loop(ticker, world.rollout()).run)
        await anyio.sleep(51)
        group.cancel_scope.cancel()
    assert len(world.recorded.reports) == 10
    assert world.recorded.skipped_looks == 10 * 2


async def test_a_changed_policy_ends_the_loop_so_that_it_is_built_anew(world):
    changed = False
    async with Daemon(world, lambda: changed) as daemon:
        await anyio.sleep(HOUR)
        changed = True
        with anyio.fail_after(1):
            await daemon.ended.wait()


async def test_a_tick_that_fails_is_reported_and_tried_again_soon(world):
    async with Daemon(world) as daemon:
        await anyio.sleep(HOUR)
        looks = daemon.looks
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("canaryd.engine.tick.violations", lambda _step: ("I1: broken on purpose",))
            await anyio.sleep(HOUR)
        assert daemon.looks == looks
        assert len(world.recorded.problems) > 600
        await anyio.sleep(10)
        assert daemon.looks > looks


async def test_a_missing_desired_file_that_never_was_good_is_reported_until_it_comes(world):
    world.desired.edit(None)
    async with Daemon(world):
        await anyio.sleep(60)
        assert "the file is missing" in world.recorded.problems[-1]
        world.desired.edit("release: rev-2\nstage: 5\n")
        await anyio.sleep(1)
        assert world.weights == [5]
