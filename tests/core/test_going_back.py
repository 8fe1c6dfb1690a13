"""Going back: streaks, emergencies, latches, and what people have to do afterwards."""

from dataclasses import replace

import pytest

from canaryd.core.model import Action, Blind, EventKind, RollbackTarget, TrafficUnreadable
from canaryd.core.phases import Phase
from canaryd.core.readings import Absence, Fault, Gauge, Health, NoData, Unread
from canaryd.testing import build
from canaryd.testing.build import INTERVAL_S, counts
from canaryd.testing.walk import Walk

BREACH = {"errors": counts(0, total=1000, bad=20)}  # 2 %: over the 1 % rule, under the 5 % emergency


def test_a_breach_three_times_in_a_row_goes_back_one_stage():
    walk = Walk().at_stage(3).sees(canary=BREACH)
    walk.ticks(2)
    assert walk.last.action is Action.HOLD
    walk.tick()
    assert walk.last.action is Action.ROLL_BACK
    assert walk.weight == 10
    assert "3 of 3 in a row" in walk.summary


def test_two_breaches_and_a_pass_are_no_streak():
    walk = Walk().at_stage(2)
    for _ in range(20):
        walk.sees(canary=BREACH).ticks(2)
        walk.sees().tick()
    assert walk.state.latch is None


def test_a_look_without_data_neither_ends_nor_lengthens_a_streak():
    walk = Walk().at_stage(2).sees(canary=BREACH).ticks(2)
    walk.sees(canary={"errors": Unread(why=Fault.TIMEOUT, detail="no answer")}).ticks(50)
    assert walk.state.latch is None
    walk.sees(canary=BREACH).tick()
    assert walk.state.latch is not None


def test_each_rule_counts_for_itself():
    memory = {"memory": Gauge(value=0.9, newest_at=0)}
    walk = Walk().at_stage(2).sees(canary=BREACH).ticks(2)
    walk.sees(canary=memory).tick()
    assert walk.state.latch is None
    walk.sees(canary=memory).tick()
    assert walk.state.latch.rule == "memory > 0.85"


def test_three_in_a_row_take_three_intervals_also_while_a_change_settles():
    walk = Walk(policy=build.plan(interval_s=30.0)).at_stage(1).until(lambda w: w.last.action is Action.PROMOTE)
    walk.traffic = replace(walk.traffic, settled=False)
    walk.sees(canary={"health": Health(up=False, detail="starting", newest_at=0)})
    began_s = walk.at_s
    walk.until(lambda w: w.last.action is Action.ROLL_BACK)
    assert walk.at_s - began_s >= 30


def test_looks_that_edits_of_the_desired_state_cause_are_no_looks_in_a_row():
    walk = Walk().at_stage(2).sees(canary=BREACH)
    for _ in range(10):
        walk.tick(after_s=1)
    assert walk.state.latch is None
    walk.ticks(2)
    assert walk.state.latch is not None


def test_one_sample_seen_many_times_is_one_breach():
    walk = Walk().at_stage(2)
    frozen = build.look_readings(
        walk.at_s + INTERVAL_S, canary={"errors": counts(walk.at_s + INTERVAL_S, total=1000, bad=20)}
    )
    walk.look = lambda _at: frozen
    walk.ticks(50)
    assert walk.state.latch is None


def test_the_sample_that_sent_a_release_back_does_not_send_it_back_again_from_the_stage_below():
    hungry = build.rule("memory > 0.85")
    walk = Walk(policy=replace(build.plan(), rollback=(hungry,))).at_stage(3)
    sample = Gauge(
        value=0.9, newest_at=walk.at_s + INTERVAL_S
    )  # a source that brings points less often than canaryd looks
    walk.look = lambda at_s: build.look_readings(at_s, canary={"memory": sample})
    walk.ticks(20)
    assert walk.state.latch is not None
    assert walk.stage == 2


def test_an_emergency_goes_all_the_way_on_the_look_that_sees_it():
    walk = Walk().at_stage(4).sees(canary={"errors": counts(0, total=100, bad=30)})
    walk.tick()
    assert walk.last.action is Action.ROLL_BACK
    assert walk.weight == 0


def test_one_error_in_three_requests_is_no_emergency_at_low_traffic():
    walk = Walk().at_stage(1).sees(canary={"errors": counts(0, total=3, bad=1)})
    walk.tick()
    assert walk.state.latch is None


def test_low_traffic_is_gathered_until_there_is_enough_and_then_judged_once():
    policy = build.plan()
    only = build.rule("errors.rate > 0.05", 1, RollbackTarget.STABLE, at_least=20)
    policy = replace(policy, rollback=(only,))
    walk = Walk(policy=policy).at_stage(1).sees(canary={"errors": counts(0, total=3, bad=1)})
    walk.ticks(6)
    assert walk.state.latch is None
    assert "18 of 20 requests gathered" in [c.check.detail.split(": ")[1] for c in walk.last.checks if c.rule]
    walk.tick()
    assert walk.state.latch is not None  # 7 of 21


def test_a_canary_that_is_down_three_times_goes_to_stable():
    walk = Walk().at_stage(2).sees(canary={"health": Health(up=False, detail="connection refused", newest_at=0)})
    walk.ticks(3)
    assert walk.weight == 0
    assert "health is down on canary (connection refused)" in walk.summary


def test_the_rule_that_goes_back_farthest_wins():
    walk = Walk().at_stage(4).sees(canary=BREACH).ticks(2)
    walk.sees(canary={"errors": counts(0, total=1000, bad=300)}).tick()
    assert walk.weight == 0


def test_a_rolled_back_release_stays_so_until_a_person_raises_the_attempt():
    walk = Walk().at_stage(3).sees(canary=BREACH).ticks(3)
    walk.sees().ticks(1100)
    assert walk.phase is Phase.ROLLED_BACK
    assert walk.weight == 10
    assert "latched" in walk.codes
    assert walk.state.latch.reason in walk.summary
    walk.wants(attempt=2).at_stage(3)
    assert walk.state.latch is None


def test_after_a_retry_the_stage_is_watched_from_the_start():
    walk = Walk().at_stage(2).until(lambda w: w.state.watched_s > 3600)
    walk.sees(canary=BREACH).ticks(3)
    walk.sees().ticks(3).wants(attempt=2).tick()
    assert walk.stage == 1
    assert walk.state.watched_s == 0


def test_a_rolled_back_canary_is_still_watched_and_goes_back_farther():
    walk = Walk().at_stage(3).sees(canary=BREACH).ticks(5)
    assert walk.stage == 2
    walk.ticks(3)
    assert walk.stage == 1
    walk.ticks(10)
    assert walk.weight == 0


def test_approvals_given_before_a_rollback_do_not_count_for_the_next_attempt():
    walk = Walk(policy=build.plan(approval=True)).wants(approved=frozenset({5})).at_stage(4)
    walk.sees(canary={"errors": counts(0, total=100, bad=30)}).ticks(3)
    walk.sees().wants(attempt=2).until(lambda w: w.codes == {"approval"})
    assert "was given for something else" in walk.summary
    walk.wants(approved=frozenset()).tick()
    walk.wants(approved=frozenset({5})).tick()
    assert walk.weight == 100


def test_waivers_given_before_a_rollback_do_not_count_for_the_next_attempt():
    walk = Walk().wants(waived=frozenset({1})).at_stage(2)
    walk.sees(canary={"errors": counts(0, total=100, bad=30)}).ticks(3)
    walk.sees().wants(attempt=2).at_stage(1).ticks(30)
    assert walk.stage == 1
    assert walk.codes == {"window"}


def test_a_person_lowers_the_stage_and_may_raise_it_again():
    walk = Walk().at_stage(3).wants(stage=1)
    walk.tick()
    assert walk.last.action is Action.LOWER
    assert walk.weight == 5
    walk.ticks(3)
    assert walk.state.latch is None
    walk.wants(stage=5).until(lambda w: w.stage == 2)


def test_stage_zero_takes_everything_to_stable_at_once():
    walk = Walk().at_stage(4).wants(stage=0)
    walk.tick()
    assert walk.weight == 0


def test_another_release_starts_from_stable_with_nothing_inherited():
    walk = Walk().at_stage(3).wants(release="rev-3")
    walk.tick()
    assert walk.weight == 0
    assert walk.state.watched_s == 0
    walk.at_stage(1)
    assert walk.state.release == "rev-3"


def test_another_release_is_not_held_by_the_latch_of_the_one_before():
    walk = Walk().at_stage(2).sees(canary=BREACH).ticks(3).sees().ticks(3)
    walk.wants(release="rev-3").at_stage(1)
    assert walk.state.latch is None


def test_approvals_for_one_release_do_not_count_for_the_next():
    walk = Walk(policy=build.plan(approval=True)).wants(approved=frozenset({5})).at_stage(1)
    walk.wants(release="rev-3").until(lambda w: w.stage == 4 and w.codes == {"approval"})
    assert walk.weight == 50


def test_blindness_is_said_once_and_holds():
    walk = Walk().at_stage(3).sees(canary={"errors": NoData(why=Absence.NO_SERIES, detail="nothing")}).ticks(60)
    told = [event for decision in walk.decisions for event in decision.events if event.kind == "blind"]
    assert len(told) == 1
    assert walk.weight == 25


def test_a_source_that_warms_up_after_a_change_of_stage_is_waited_for_however_long_its_look_back():
    blind = Blind(page_after_s=120, roll_back_after_s=300)
    walk = Walk(policy=build.plan(interval_s=30.0, blind=blind))
    walk.tick()
    raised_s = walk.at_s
    warming = NoData(why=Absence.WARMING, detail="the look-back of 600 s would reach into the stage before")
    walk.look = lambda at_s: build.look_readings(at_s, canary={"errors": warming} if at_s < raised_s + 600 else {})
    walk.ticks(30)
    assert walk.stage == 1
    assert walk.state.latch is None
    assert not any(event.kind is EventKind.BLIND for decision in walk.decisions for event in decision.events)
    assert 0 < walk.state.watched_s < 30 * 30 - 500


def test_blindness_rolls_back_only_where_the_policy_says_so():
    policy = build.plan(blind=Blind(page_after_s=600, roll_back_after_s=3600))
    walk = Walk(policy=policy).at_stage(3).sees(canary={"errors": NoData(why=Absence.STALE, detail="old")})
    walk.until(lambda w: w.last.action is Action.ROLL_BACK)
    assert walk.weight == 0
    assert walk.state.latch.rule == "blind"


@pytest.mark.parametrize("refusals", [1, 5, 50])
def test_a_rollback_that_the_router_refuses_is_tried_until_it_is_done(refusals):
    walk = Walk().at_stage(3)
    walk.router_obeys = False
    walk.sees(canary={"errors": counts(0, total=100, bad=30)}).ticks(1 + refusals)
    assert walk.weight == 25
    walk.router_obeys = True
    walk.tick()
    assert walk.weight == 0
    walk.tick()
    assert walk.phase is Phase.ROLLED_BACK


def test_a_rollback_is_decided_while_the_router_is_unreadable_and_done_when_it_is_back():
    walk = Walk().at_stage(3)
    served = walk.traffic
    walk.traffic = TrafficUnreadable("connection refused")
    walk.sees(canary={"errors": counts(0, total=100, bad=30)}).tick()
    assert walk.state.latch is not None
    walk.traffic = served
    walk.tick()
    assert walk.weight == 0


def test_a_rollback_one_stage_that_is_not_served_yet_goes_no_farther_for_the_same_reason():
    walk = Walk().at_stage(4)
    walk.router_obeys = False
    walk.sees(canary=BREACH).ticks(40)
    assert walk.stage == 3


def test_a_breach_before_a_raise_arrives_goes_back_from_what_is_served():
    walk = Walk().at_stage(2)
    before = walk.traffic
    walk.until(lambda w: w.last.action is Action.PROMOTE)
    walk.traffic = before  # the raise to 25 % is lost
    walk.sees(canary=BREACH).until(lambda w: w.last.action is Action.ROLL_BACK)
    assert walk.weight == 5


def test_a_router_that_refuses_for_an_hour_is_asked_often_at_first_and_then_every_interval():
    walk = Walk(policy=build.plan(interval_s=60.0)).at_stage(4)
    walk.router_obeys = False
    walk.sees(canary=BREACH).until(lambda w: w.last.action is Action.ROLL_BACK)
    began_s = walk.at_s
    waits = []
    while walk.at_s < began_s + 3600:
        walk.tick()
        waits.append(walk.last.next_look_s)
    assert waits[0] == 2
    assert waits[-1] == 60
    assert len(waits) < 120


def test_the_latch_is_in_the_routers_own_record():
    walk = Walk().at_stage(2).sees(canary=BREACH).ticks(4)
    assert walk.traffic.mark.latched


def test_a_release_that_was_rolled_back_stays_so_when_it_comes_again_after_another_one():
    walk = Walk().at_stage(2).sees(canary=BREACH).ticks(4)
    walk.sees().wants(release="rev-3").at_stage(1)
    walk.wants(release="rev-2").ticks(30)
    assert (walk.weight, walk.phase) == (0, Phase.ROLLED_BACK)
    assert "until attempt is raised above 1" in walk.summary
    walk.wants(attempt=2).at_stage(1)


def test_at_full_weight_stable_has_no_traffic_and_rules_relative_to_it_rest():
    policy = replace(build.plan(), rollback=(build.rule("latency.p95 > 1.5x", 3),), blind=Blind(roll_back_after_s=3600))
    nothing = NoData(why=Absence.NO_TRAFFIC, detail="no requests")
    walk = Walk(policy=policy).at_stage(5).sees(stable={"latency": nothing, "errors": nothing}).ticks(20)
    assert walk.phase is Phase.FINISHED
