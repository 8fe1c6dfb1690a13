"""The router as it is: restarts, lost replies, other people's edits, lost state, newer daemons."""

from dataclasses import replace

import pytest

from canaryd.core.model import Action, Mark, TrafficUnreadable
from canaryd.core.phases import Phase
from canaryd.testing import build
from canaryd.testing.build import HOUR, INTERVAL_S, counts
from canaryd.testing.walk import Walk


def test_a_restart_neither_resets_nor_credits_the_window():
    walk = Walk().at_stage(1).ticks(100)
    watched = walk.state.watched_s
    walk.restarts().tick(after_s=7 * HOUR)
    assert walk.state.watched_s == watched
    walk.tick()
    assert walk.state.watched_s == watched + INTERVAL_S


def test_restarting_at_every_look_delays_and_never_hastens():
    walk = Walk().at_stage(1)
    for number in range(200):
        walk.restarts(f"run-{number}").tick()
    assert walk.state.watched_s == 0
    assert walk.stage == 1


@pytest.mark.parametrize("run", ["run-1", "run-2"], ids=["a gap", "a restart"])
def test_after_days_without_a_look_one_good_look_promotes_nothing(run):
    walk = Walk().wants(stage=1).at_stage(1).until(lambda w: w.codes == {"at_ceiling"})
    walk.wants(stage=5).restarts(run).tick(after_s=72 * HOUR)
    assert walk.last.change is None
    assert "first after a start, or after a gap" in walk.summary
    walk.tick()
    assert walk.last.action is Action.PROMOTE


def test_a_scheduler_slower_than_three_intervals_is_told_why_nothing_counts():
    walk = Walk(policy=build.plan(interval_s=30.0)).at_stage(1)
    for _ in range(10):
        walk.tick(after_s=300)
    assert walk.state.watched_s == 0
    assert "0 s of 24 h watched; this look does not count" in walk.summary


def test_a_gap_of_more_than_three_intervals_is_blind_time():
    walk = Walk().at_stage(1).ticks(10)
    watched = walk.state.watched_s
    walk.tick(after_s=4 * INTERVAL_S)
    assert walk.state.watched_s == watched


def test_a_late_look_is_credited_one_and_a_half_intervals_at_most():
    walk = Walk().at_stage(1).ticks(10)
    watched = walk.state.watched_s
    walk.tick(after_s=2.9 * INTERVAL_S)
    assert walk.state.watched_s == watched + 1.5 * INTERVAL_S


def test_a_raise_that_never_arrived_is_repeated():
    walk = Walk()
    walk.router_obeys = False
    walk.ticks(3)
    assert walk.weight == 0
    walk.router_obeys = True
    walk.ticks(2)
    assert walk.weight == 5
    assert walk.phase is Phase.WATCHING


def test_a_raise_that_never_arrived_is_not_repeated_while_the_canary_looks_bad():
    walk = Walk().until(lambda w: w.last.action is Action.PROMOTE and w.stage == 2)
    walk.traffic = build.served(5.0, None, version="before")
    walk.sees(canary={"errors": counts(0, total=1000, bad=12)}).tick()
    assert walk.last.change is None
    assert "not_applied" in walk.codes


@pytest.mark.parametrize("stage", [1, 2])
def test_a_raise_that_somebody_took_back_before_the_next_look_is_not_repeated(stage):
    walk = Walk().until(lambda w: w.last.action is Action.PROMOTE and w.stage == stage)
    before = walk.policy.weight(stage - 1)
    walk.set_by_others(before).restarts().tick(after_s=HOUR)
    walk.ticks(20)
    assert walk.weight == before
    assert walk.codes == {"lowered_by_others"}


def test_a_raise_is_repeated_after_the_weight_before_it_had_to_be_written_again():
    walk = Walk().until(lambda w: w.last.action is Action.PROMOTE and w.stage == 2)
    walk.traffic = build.served(None, version="broken")
    walk.tick()
    assert walk.weight == 5
    walk.ticks(2)
    assert walk.weight == 10


def test_a_raise_that_never_arrived_waits_for_a_paused_rollout_and_says_so():
    walk = Walk()
    walk.router_obeys = False
    walk.until(lambda w: w.last.action is Action.PROMOTE)
    walk.wants(paused=True).tick()
    assert walk.last.change is None
    assert walk.codes == {"not_applied", "paused"}


def test_an_unknown_weight_is_written_again_and_never_jumped_over():
    walk = Walk().at_stage(3)
    walk.set_by_others(None).tick()
    assert walk.last.action is Action.RESTORE
    assert walk.last.change.weight == 25


@pytest.mark.parametrize("weight", [0.0, 7.0, 24.0])
def test_somebody_elses_lower_weight_is_respected(weight):
    walk = Walk().at_stage(3).set_by_others(weight).ticks(50)
    assert walk.weight == weight
    assert walk.codes == {"lowered_by_others"}
    assert "raise attempt to climb again from there" in walk.summary


def test_after_somebody_lowered_it_a_raised_attempt_climbs_from_what_is_served():
    walk = Walk().at_stage(3).set_by_others(7.0).ticks(2).wants(attempt=2)
    walk.ticks(3)
    assert walk.weight == 5
    assert walk.stage == 1


def test_somebody_elses_higher_weight_is_taken_back_and_said():
    walk = Walk().at_stage(2).set_by_others(60.0)
    walk.tick()
    assert walk.last.action is Action.RESTORE
    assert walk.weight == 10
    assert "somebody else raised the canary to 60 %" in walk.summary


def test_a_rollback_never_raises_what_somebody_lowered():
    walk = Walk().at_stage(3).set_by_others(0.0)
    walk.sees(canary={"errors": counts(0, total=1000, bad=20)}).ticks(4)
    assert walk.state.latch is not None
    assert walk.weight == 0


def test_traffic_that_nobody_explained_is_left_alone():
    walk = Walk(traffic=build.served(30.0)).ticks(20)
    assert walk.weight == 30
    assert walk.codes == {"foreign_traffic"}
    walk.wants(stage=0).ticks(2)
    assert walk.weight == 0


def test_a_missing_router_config_is_written_with_no_canary_traffic_first():
    walk = Walk(traffic=build.served(None, version="absent"))
    walk.tick()
    assert walk.last.change.weight == 0
    walk.ticks(2)
    assert walk.weight == 5


def test_lost_state_is_taken_over_from_the_routers_record_with_a_fresh_window():
    walk = Walk().at_stage(3).ticks(50)
    epoch = walk.state.epoch
    walk.state = None
    walk.restarts().tick()
    assert walk.stage == 3
    assert walk.weight == 25
    assert walk.state.watched_s == 0
    assert walk.state.epoch == epoch


def test_lost_state_does_not_lose_a_rollback():
    walk = Walk().at_stage(3).sees(canary={"errors": counts(0, total=100, bad=30)}).ticks(3)
    walk.state = None
    walk.sees().restarts().ticks(100)
    assert walk.phase is Phase.ROLLED_BACK
    assert walk.weight == 0


def test_an_older_daemon_stands_by_when_a_newer_one_has_acted():
    walk = Walk().at_stage(2)
    newer = Mark(rollout="ion-api", release="rev-2", attempt=1, stage=1, epoch=99)
    walk.traffic = build.served(5.0, newer)
    walk.sees(canary={"errors": counts(0, total=100, bad=90)}).ticks(20)
    assert walk.codes == {"newer_daemon"}
    assert all(decision.change is None for decision in walk.decisions[-20:])


def test_a_restarted_daemon_with_old_state_goes_on_from_what_the_router_says():
    walk = Walk().at_stage(2)
    newer = Mark(rollout="ion-api", release="rev-2", attempt=1, stage=0, epoch=99, latched=True)
    walk.traffic = build.served(0.0, newer)
    walk.restarts().ticks(5)
    assert walk.phase is Phase.ROLLED_BACK
    assert walk.state.epoch >= 99


def test_another_policy_keeps_a_weight_it_knows_and_starts_the_evidence_anew():
    walk = Walk().at_stage(2).ticks(100)
    walk.policy = build.plan(digest="edited")
    walk.tick()
    assert walk.weight == 10
    assert walk.state.watched_s == 0
    assert walk.phase is Phase.WATCHING


def test_another_policy_while_the_weight_is_unknown_writes_what_was_granted():
    walk = Walk().at_stage(4).set_by_others(None)
    walk.policy = build.plan(digest="edited")
    walk.tick()
    assert walk.weight == 50
    assert walk.stage == 4


def test_another_policy_without_the_present_weight_goes_down_to_the_next_it_knows():
    walk = Walk().at_stage(3)
    stages = (build.stage(2, HOUR), build.stage(20, HOUR), build.stage(80))
    walk.policy = replace(walk.policy, digest="edited", stages=stages)
    walk.wants(stage=3).tick()
    assert walk.weight == 20
    assert walk.stage == 2


def test_another_policy_does_not_lift_a_latch():
    walk = Walk().at_stage(3).sees(canary={"errors": counts(0, total=1000, bad=20)}).ticks(4).sees()
    walk.policy = build.plan(digest="edited")
    walk.ticks(200)
    assert walk.state.latch is not None
    assert walk.phase is Phase.ROLLED_BACK


def test_a_clock_set_back_during_a_restart_does_not_make_every_sample_look_old():
    walk = Walk().at_stage(2).ticks(5)
    walk.at_s -= 2 * HOUR  # the wall clock, the samples' times and the new run's elapsed time all start earlier
    walk.restarts().sees(canary={"errors": counts(0, total=1000, bad=20)}).ticks(3)
    assert walk.state.latch is not None


def test_a_clock_set_back_between_two_ticks_of_a_scheduler_does_not_make_every_sample_look_old():
    walk = Walk(run="scheduler").at_stage(2).ticks(5)
    walk.at_s -= 24 * HOUR  # all ticks are one run, whose elapsed time is the wall clock's
    walk.sees(canary={"errors": counts(0, total=1000, bad=20)}).ticks(3)
    assert walk.state.latch is not None


def test_a_router_that_cannot_be_read_for_long_is_said_once():
    walk = Walk().at_stage(3)
    walk.traffic = TrafficUnreadable("connection refused")
    walk.sees(canary={"errors": counts(0, total=100, bad=30)}).ticks(80)
    told = [event.text for decision in walk.decisions for event in decision.events if event.kind == "powerless"]
    assert len(told) == 1
    assert told[0].endswith("connection refused; a rollback is waiting")


def test_two_rollouts_on_one_router_do_not_fight():
    other = Mark(rollout="till-api", release="till-7", attempt=1, stage=1, epoch=1)
    walk = Walk().wants(stage=0).ticks(3)
    walk.traffic = build.served(5.0, other)
    walk.ticks(20)
    assert walk.weight == 5
    assert "belongs to rollout till-api" in walk.summary


def test_a_look_proves_no_more_time_than_its_samples_cover():
    walk = Walk().at_stage(1).ticks(3)
    watched_s = walk.state.watched_s
    walk.sees(canary={"errors": counts(0, span_s=2.0), "latency": build.latencies(0, 4.0, span_s=2.0)}).ticks(10)
    assert walk.state.watched_s <= watched_s + 10 * 3.0
