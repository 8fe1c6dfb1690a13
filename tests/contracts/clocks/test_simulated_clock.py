import time

import anyio
import pytest

from canaryd.testing.clock import SimulatedClock

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

WEEK = 7 * 86400.0


async def test_a_week_passes_on_both_clocks_in_no_time():
    clock, before = SimulatedClock(), time.perf_counter()
    start = clock.now()
    await clock.sleep(WEEK)
    now = clock.now()
    assert now.wall - start.wall == pytest.approx(WEEK)
    assert now.seconds_since(start) == pytest.approx(WEEK)
    assert time.perf_counter() - before < 5


async def test_time_passes_while_others_wait():
    clock = SimulatedClock()
    start = clock.now()
    with anyio.move_on_after(30):
        await anyio.sleep_forever()
    assert clock.now().seconds_since(start) == pytest.approx(30)


async def test_a_wall_clock_that_is_set_back_does_not_take_elapsed_time_with_it():
    clock = SimulatedClock()
    start = clock.now()
    await clock.sleep(60)
    clock.jump_wall(-7200)
    now = clock.now()
    assert now.wall - start.wall == pytest.approx(60 - 7200)
    assert now.seconds_since(start) == pytest.approx(60)


async def test_suspension_shows_as_a_gap_on_both_clocks():
    clock = SimulatedClock()
    start = clock.now()
    clock.suspend(3600)
    assert clock.now().seconds_since(start) == 3600
    assert clock.now().wall - start.wall == 3600


async def test_after_a_restart_elapsed_times_are_of_another_run():
    clock = SimulatedClock()
    await clock.sleep(1000)
    before = clock.now()
    clock.restart(down_s=50)
    await clock.sleep(10)
    after = clock.now()
    assert after.run != before.run
    assert after.elapsed == pytest.approx(10)
    assert after.seconds_since(before) == pytest.approx(60)
