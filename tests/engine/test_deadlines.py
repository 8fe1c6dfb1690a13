"""Nothing outside can hold up a look: everything that hangs costs its deadline, and no more than itself."""

import anyio
import pytest

from canaryd.core.readings import Counts, Fault, Gauge, Side, Unread
from canaryd.engine.wiring import Deadlines
from canaryd.ports import TickOutcome
from canaryd.testing.routers import FakeRouter
from canaryd.testing.stores import MemoryStore

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class HangingSource:
    async def read(self, queries, look):
        await anyio.sleep_forever()

    async def aclose(self):
        await anyio.sleep_forever()


class BrokenSource:
    """Answers with whatever a bug makes of it."""

    def __init__(self, answer):
        self.answer = answer

    async def read(self, queries, look):
        return self.answer(queries)

    async def aclose(self):
        raise OSError("a bug of the source")


class SlowRouter(FakeRouter):
    """Hangs where it is told to."""

    hangs_at = ""

    async def read(self):
        if self.hangs_at == "read":
            await anyio.sleep_forever()
        return await super().read()

    async def write(self, change):
        if self.hangs_at == "write":
            await super().write(change)
            await anyio.sleep_forever()
        await super().write(change)


class SlowStore(MemoryStore):
    """Never gets a write done once it is told to hang."""

    hangs = False

    async def commit(self, record):
        if self.hangs:
            await anyio.sleep_forever()
        await super().commit(record)


async def took_s(ticker):
    started = anyio.current_time()
    report = await ticker.tick()
    return anyio.current_time() - started, report


async def test_a_source_that_hangs_is_a_timeout_on_all_its_metrics_within_the_deadline(world):
    ticker = await world.ticker(sources={"fake": HangingSource()})
    seconds, report = await took_s(ticker)
    assert seconds == pytest.approx(Deadlines().observe_s)
    readings = report.observation.readings.by_key.values()
    assert {reading.why for reading in readings} == {Fault.TIMEOUT}
    assert world.weights == []


@pytest.mark.parametrize(
    "answer",
    [
        lambda queries: [],
        lambda queries: [Gauge(value=1.0, newest_at=0)] * (len(queries) + 1),
        lambda queries: [None] * len(queries),
        lambda queries: ["0.5"] * len(queries),
        lambda queries: [Counts(bad="1", total=None, span_s=60, newest_at=0)] * len(queries),
        lambda queries: [Counts(bad=0, total=1, span_s=60, newest_at=0)] * len(queries),
        lambda queries: 1 / 0,
    ],
    ids=["nothing", "one too many", "none", "text", "wrong types", "another kind", "an exception"],
)
async def test_a_source_with_a_bug_is_an_error_value_and_holds(world, answer):
    ticker = await world.at_stage(1)
    again = await world.ticker(sources={"fake": BrokenSource(answer)})
    again.resume(ticker.state)
    report = await again.tick()
    latency = report.observation.readings.get("latency", Side.CANARY)
    assert isinstance(latency, Unread)
    assert latency.why is Fault.BAD_ANSWER
    assert "error" in {reason.code for reason in report.decision.reasons}
    assert world.traffic.weight == 5


async def test_a_router_that_hangs_when_read_is_unreadable(world):
    router = SlowRouter(world.traffic)
    ticker = await world.at_stage(1, router=router)
    router.hangs_at = "read"
    seconds, report = await took_s(ticker)
    assert seconds == pytest.approx(Deadlines().observe_s)
    assert "the router cannot be read: no answer within 10 s" in report.summary


async def test_a_router_that_hangs_after_it_wrote_is_unknown_and_read_again(world, emergency):
    router = SlowRouter(world.traffic)
    ticker = await world.at_stage(2, router=router)
    router.hangs_at = "write"
    world.canary = emergency
    seconds, report = await took_s(ticker)
    assert seconds == pytest.approx(Deadlines().act_s)
    assert report.outcome is TickOutcome.UNKNOWN
    router.hangs_at = ""
    await world.ticks(ticker, 2)
    assert world.weights == [5, 10, 0]
    assert ticker.state.phase == "rolled_back"


async def test_a_store_that_hangs_stops_no_rollback(world, emergency):
    store = SlowStore(world.disk)
    ticker = await world.at_stage(2, store=store)
    store.hangs = True
    world.canary = emergency
    seconds, _report = await took_s(ticker)
    assert seconds == pytest.approx(Deadlines().store_s)
    assert world.traffic.weight == 0


async def test_a_notifier_that_hangs_costs_its_deadline_and_the_next_one_is_told(world, new_notifier):
    told = new_notifier()
    ticker = await world.ticker(notifiers=[new_notifier(hangs=True), new_notifier(fails=OSError("down")), told])
    seconds, report = await took_s(ticker)
    assert seconds == pytest.approx(Deadlines().notify_s)
    assert report.outcome is TickOutcome.ACTED
    assert len(told.texts) == 1


async def test_a_desired_file_that_hangs_keeps_the_last_good_one(world):
    ticker = await world.at_stage(1)
    world.desired.hangs = True
    seconds, report = await took_s(ticker)
    assert seconds == pytest.approx(Deadlines().desired_s)
    assert report.desired_error == "ion-api.desired.yaml: not readable in time"
    assert report.desired.stage == 5


async def test_closing_gives_the_lease_back_whatever_the_other_adapters_do(world, new_notifier):
    told = new_notifier()
    broken = {"hanging": HangingSource(), "broken": BrokenSource(list)}
    rollout = world.rollout(sources=broken, notifiers=[told])
    await rollout.store.load()
    started = anyio.current_time()
    with pytest.raises(OSError, match="a bug of the source"):
        await rollout.aclose()
    assert anyio.current_time() - started == pytest.approx(Deadlines().close_s)
    assert world.disk.holder is None
    assert told.closed


async def test_a_cancelled_tick_finishes_the_change_it_has_begun(world, emergency):
    """The process is told to stop while a rollback is on its way: it is stored and done before the end."""
    writing, go_on = anyio.Event(), anyio.Event()

    class WaitingRouter(FakeRouter):
        async def write(self, change):
            writing.set()
            await go_on.wait()
            await super().write(change)

    ticker = await world.at_stage(3)
    again = await world.ticker(router=WaitingRouter(world.traffic))
    world.canary = emergency
    async with anyio.create_task_group() as group:
        group.start_soon(again.tick)
        await writing.wait()
        group.cancel_scope.cancel()
        assert world.traffic.weight == 25
        go_on.set()
    assert ticker.state.latch is None
    assert world.traffic.weight == 0
    assert again.state.latch is not None


async def test_a_look_that_is_cancelled_before_it_decides_changes_nothing(world):
    ticker = await world.at_stage(1)
    before = world.disk.state
    again = await world.ticker(sources={"fake": HangingSource()})
    async with anyio.create_task_group() as group:
        group.start_soon(again.tick)
        await anyio.sleep(1)
        group.cancel_scope.cancel()
    assert world.disk.state == before
    assert ticker.state.stage == 1
