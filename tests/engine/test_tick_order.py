"""The order of a tick: durable before up, down before all, and an unknown outcome is read again."""

import json
from dataclasses import replace

import pytest

from canaryd.core.model import Action
from canaryd.core.phases import Phase
from canaryd.core.readings import Counts, Health
from canaryd.errors import (
    ChangeRefused,
    ChangeUnknown,
    InvariantViolated,
    OperatorError,
    RouterUnavailable,
    StateCorrupt,
    StateUnavailable,
)
from canaryd.ports import TickOutcome
from canaryd.testing.build import HOUR, INTERVAL_S
from canaryd.testing.faults import RouterPoint, StorePoint

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
FULL = StateUnavailable("no space left on device")


async def test_a_raise_that_cannot_be_written_down_is_not_done(world):
    world.store_faults.at(StorePoint.BEFORE_WRITE, *[FULL] * 20)
    ticker = await world.ticker()
    report = await world.ticks(ticker, 20)
    assert report.outcome is TickOutcome.NOT_STORED
    assert world.weights == []
    await world.ticks(ticker, 3)
    assert world.weights == [5]


async def test_a_raise_that_waits_for_the_disk_is_shown_as_a_hold_that_says_so(world):
    ticker = await world.at_stage(1)
    await world.ticks(ticker, 143)
    world.store_faults.at(StorePoint.BEFORE_WRITE, FULL)
    report = await world.ticks(ticker, 1)
    assert report.outcome is TickOutcome.NOT_STORED
    assert report.decision.action is Action.HOLD
    assert report.decision.state.stage == 1
    assert "the raise to 10 % waits until the state can be written" in report.summary
    assert report.decision.next_look_s == INTERVAL_S


async def test_a_rollback_goes_ahead_although_the_disk_is_full(world, emergency):
    ticker = await world.at_stage(3)
    world.store_faults.at(StorePoint.BEFORE_WRITE, *[FULL] * 5)
    world.canary = emergency
    await world.ticks(ticker, 1)
    assert world.traffic.weight == 0
    assert world.traffic.mark.latched


async def test_a_rollback_that_only_the_router_remembers_is_taken_over_within_one_run(world, emergency):
    """A scheduler's ticks are one run, and so is a rollout that its supervisor starts again."""
    ticker = await world.at_stage(3)
    world.store_faults.at(StorePoint.BEFORE_WRITE, *[FULL] * 5)
    world.canary = emergency
    await world.ticks(ticker, 1)
    world.canary = {}
    report = await world.ticks(await world.ticker(), 3)
    assert report.decision.state.phase is Phase.ROLLED_BACK
    assert world.traffic.weight == 0


async def test_a_rollback_goes_ahead_whatever_the_store_raises(world, emergency):
    ticker = await world.at_stage(3)
    world.store_faults.at(StorePoint.BEFORE_WRITE, *[OSError("a bug of the store")] * 5)
    world.canary = emergency
    await world.ticks(ticker, 1)
    assert world.traffic.weight == 0


async def test_a_raise_is_durable_before_it_is_done(world):
    """At the moment of each raise, what a crash would leave already knows of it."""
    remembered = []

    def at_the_write(point):
        if point is RouterPoint.BEFORE_WRITE:
            remembered.append(json.loads(world.disk.state)["state"]["stage"])

    world.router_faults = at_the_write
    await world.at_stage(3)
    assert remembered == [1, 2, 3]


async def test_a_lost_reply_is_read_again_and_not_repeated_blindly(world):
    world.router_faults.at(RouterPoint.AFTER_WRITE, ChangeUnknown("the reply was lost"))
    ticker = await world.ticker()
    assert (await world.ticks(ticker, 1)).outcome is TickOutcome.UNKNOWN
    await world.ticks(ticker, 10)
    assert world.weights == [5]
    assert ticker.state.phase == "watching"


async def test_a_lost_request_is_repeated_after_the_router_was_read(world):
    world.router_faults.at(RouterPoint.BEFORE_WRITE, ChangeUnknown("the request was lost"))
    ticker = await world.ticker()
    await world.ticks(ticker, 1)
    assert world.weights == []
    await world.ticks(ticker, 2)
    assert world.weights == [5]


@pytest.mark.parametrize("failure", [ChangeRefused("somebody was faster"), OSError("a bug of the router")])
async def test_a_failed_rollback_is_tried_at_every_look_until_it_is_done(world, emergency, failure):
    ticker = await world.at_stage(3)
    world.canary = emergency
    world.router_faults.at(RouterPoint.BEFORE_WRITE, *[failure] * 7)
    await world.ticks(ticker, 7)
    assert world.traffic.weight == 25
    await world.ticks(ticker, 1)
    assert world.traffic.weight == 0


async def test_a_router_that_fails_in_an_unknown_way_counts_as_unreadable(world):
    world.router_faults.at(RouterPoint.READ, OSError("a bug of the router"), RouterUnavailable("connection refused"))
    ticker = await world.ticker()
    report = await world.ticks(ticker, 1)
    assert "the router cannot be read: the router failed: OSError" in report.summary
    report = await world.ticks(ticker, 1)
    assert "connection refused" in report.summary


async def test_a_decision_that_breaks_an_invariant_is_not_carried_out(world, monkeypatch):
    ticker = await world.at_stage(1)
    monkeypatch.setattr("canaryd.engine.tick.violations", lambda _step: ("I1: broken on purpose",))
    before = world.disk.state
    with pytest.raises(InvariantViolated, match="I1"):
        await ticker.tick()
    assert world.disk.state == before
    assert world.weights == [5]


async def test_a_restarted_daemon_goes_on_from_what_is_stored(world):
    ticker = await world.at_stage(2)
    await world.ticks(ticker, 10)
    watched_s = ticker.state.watched_s
    world.clock.restart(down_s=HOUR)
    again = await world.ticker()
    await again.tick()
    assert again.state.stage == 2
    assert again.state.watched_s == watched_s
    assert world.weights == [5, 10]


async def test_a_rollback_decided_before_a_crash_is_carried_out_after_it(world, emergency):
    ticker = await world.at_stage(3)
    world.canary = emergency
    world.router_faults.at(RouterPoint.BEFORE_WRITE, ChangeUnknown("the process died here"))
    await ticker.tick()
    world.canary = {}
    world.clock.restart(down_s=HOUR)
    again = await world.ticker()
    await world.ticks(again, 2)
    assert world.traffic.weight == 0
    assert again.state.phase == "rolled_back"


async def test_a_corrupt_state_is_rebuilt_from_the_router_with_a_fresh_window(world):
    await world.ticks(await world.at_stage(3), 10)
    world.store_faults.at(StorePoint.LOAD, StateCorrupt("checksum"))
    world.clock.restart()
    again = await world.ticker()
    await world.ticks(again, 1)
    assert (again.state.stage, again.state.watched_s) == (3, 0.0)
    assert world.weights == [5, 10, 25]


async def test_a_state_that_is_no_document_is_rebuilt_too(world):
    await world.at_stage(2)
    world.disk.written = replace(world.disk.written, state='{"state": {"rollout"')
    again = await world.ticker()
    await world.ticks(again, 1)
    assert again.state.stage == 2


async def test_words_that_no_text_can_hold_do_not_stop_a_rollback(world):
    ticker = await world.at_stage(2)
    world.canary = {"health": Health(up=False, detail="half a character: \ud800", newest_at=0)}
    await world.ticks(ticker, 3)
    assert world.traffic.weight == 0


async def test_numbers_beyond_belief_do_not_stop_a_rollback(world, emergency):
    ticker = await world.at_stage(2)
    world.canary = emergency | {"memory": Counts(bad=1e308, total=1e308, span_s=5e-324, newest_at=0)}
    await world.ticks(ticker, 1)
    assert world.traffic.weight == 0


# ---------------------------------------------------------------- the desired file


async def test_an_invalid_file_keeps_the_last_good_one_and_is_said(world):
    ticker = await world.at_stage(2)
    world.desired.edit("release: rev-2\nstage: fly\n")
    report = await world.ticks(ticker, 1)
    assert ticker.state.stage == 2
    assert "stage" in report.desired_error
    assert "ion-api.desired.yaml" in report.desired_error
    world.desired.edit("release: rev-2\nstage: 1\n")
    report = await world.ticks(ticker, 1)
    assert report.desired_error == ""
    assert report.decision.action is Action.LOWER


@pytest.mark.parametrize("text", [None, "", "release: rev-2\nstage: 99\n", "{", "release: [1"])
async def test_the_last_good_file_also_holds_across_a_restart(world, text):
    await world.at_stage(2)
    world.desired.edit(text)
    world.clock.restart()
    again = await world.ticker()
    report = await world.ticks(again, 1)
    assert report.desired.stage == 5
    assert report.desired_error
    assert again.state.stage == 2


async def test_without_any_good_file_nothing_is_done(world):
    world.desired.edit("stage: 3\n")
    ticker = await world.ticker()
    with pytest.raises(OperatorError, match="release"):
        await ticker.tick()
    assert world.weights == []
    assert world.disk.state is None


# ---------------------------------------------------------------- telling


async def test_people_are_told_of_a_raise_once_and_only_when_it_is_done(world):
    world.store_faults.at(StorePoint.BEFORE_WRITE, FULL, FULL, FULL)
    ticker = await world.ticker()
    await world.ticks(ticker, 3)
    assert world.told.texts == []
    await world.ticks(ticker, 1)
    assert len([text for text in world.told.texts if "goes to stage 1" in text]) == 1
    kinds = [line.kind for line in world.disk.durable.journal]
    assert kinds.count("started") == 1


async def test_the_journal_in_the_status_shows_what_happened_newest_first(world):
    await world.at_stage(2)
    kinds = [line.kind for line in world.last.journal]
    assert kinds == ["window_opened", "promoted", "window_opened", "started"]


async def test_a_rollback_done_while_the_disk_is_full_is_in_the_stored_journal_later(world, emergency):
    ticker = await world.at_stage(3)
    world.store_faults.at(StorePoint.BEFORE_WRITE, *[FULL] * 5)
    world.canary = emergency
    await world.ticks(ticker, 8)
    kinds = [line.kind for line in world.disk.durable.journal]
    assert kinds.count("rolled_back") == 1
