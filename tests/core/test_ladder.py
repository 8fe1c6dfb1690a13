"""Climbing: when a canary goes higher, and everything that keeps it where it is."""

from dataclasses import replace

import pytest

from canaryd.core.model import Action, TrafficUnreadable
from canaryd.core.phases import Phase
from canaryd.core.readings import Absence, Counts, Fault, Gauge, Health, NoData, Unread
from canaryd.testing import build
from canaryd.testing.build import HOUR, INTERVAL_S, counts, latencies
from canaryd.testing.walk import Walk


def weights(walk):
    return [decision.change.weight for decision in walk.decisions if decision.change]


def test_a_healthy_canary_climbs_the_whole_plan_and_finishes_after_its_168_hours():
    walk = Walk().until(lambda w: w.phase is Phase.FINISHED)
    assert weights(walk) == [5, 10, 25, 50, 100]
    assert 168 * HOUR <= walk.at_s < 168 * HOUR + 6 * INTERVAL_S


def test_a_finished_canary_is_watched_on_without_end():
    walk = Walk().until(lambda w: w.phase is Phase.FINISHED).ticks(50)
    assert walk.codes == {"finished"}
    walk.sees(canary={"health": Health(up=False, detail="gone", newest_at=0)}).ticks(3)
    assert walk.last.action is Action.ROLL_BACK
    assert walk.weight == 0


def test_no_stage_is_left_before_its_window_has_been_watched():
    walk = Walk().at_stage(1)
    opened = walk.at_s
    walk.until(lambda w: w.stage == 2)
    assert walk.at_s - opened >= 24 * HOUR
    assert walk.at_s - opened < 24 * HOUR + 2 * INTERVAL_S


def test_a_look_without_samples_does_not_count_towards_the_window():
    walk = Walk().at_stage(1).ticks(10)
    watched = walk.state.watched_s
    walk.sees(canary={"errors": NoData(why=Absence.NO_TRAFFIC, detail="no requests")}).ticks(30)
    assert walk.state.watched_s == watched
    assert walk.codes >= {"no_data", "window"}


@pytest.mark.parametrize(
    "reading",
    [
        NoData(why=Absence.NO_SERIES, detail="the query returned nothing"),
        NoData(why=Absence.STALE, detail="the newest point is 6 min old"),
        NoData(why=Absence.NOT_A_NUMBER, detail="NaN"),
        Unread(why=Fault.UNREACHABLE, detail="connection refused"),
        Unread(why=Fault.SEVERAL_SERIES, detail="3 series"),
    ],
)
def test_what_is_unknown_holds_and_neither_promotes_nor_rolls_back(reading):
    walk = Walk().at_stage(1).sees(canary={"errors": reading}).ticks(200)
    assert walk.stage == 1
    assert walk.state.latch is None
    assert reading.detail in walk.summary


def test_a_gate_that_fails_over_the_stage_holds_although_the_last_look_is_fine():
    bad = counts(0, total=1000, bad=9)  # 0.9 % would pass a 1 % gate; the first hour is worse
    worse = counts(0, total=1000, bad=40)
    walk = Walk(policy=build.plan()).at_stage(1)
    walk.policy = replace(walk.policy, rollback=())  # without rules, so that only the gate speaks
    walk.sees(canary={"errors": worse}).ticks(60)
    walk.sees(canary={"errors": bad}).until(lambda w: "window" not in w.codes)
    assert walk.codes == {"gate"}
    assert "errors.rate is 2.19 % on canary, must be under 1 %" in walk.summary


def test_a_gate_that_fails_now_holds_although_the_stage_so_far_is_fine():
    walk = Walk().at_stage(1).until(lambda w: w.state.watched_s >= 24 * HOUR - 1.5 * INTERVAL_S)
    walk.sees(canary={"confidence": Gauge(value=0.5, newest_at=0)}).ticks(5)
    assert walk.stage == 1
    assert walk.codes == {"gate"}
    assert "confidence is now 0.5 on canary, must be over 0.75" in walk.summary


def test_an_unfinished_breach_holds_a_promotion_that_was_due():
    walk = Walk().at_stage(1).until(lambda w: w.state.watched_s >= 24 * HOUR - 1.5 * INTERVAL_S)
    walk.sees(canary={"errors": counts(0, total=1000, bad=12)}).tick()
    assert walk.stage == 1
    assert "breach" in walk.codes


def test_a_relative_gate_compares_with_stable_over_the_same_time():
    policy = build.plan()
    slow = latencies(0, 7.9)  # stable takes 8 s on average; the fourth stage asks for 0.9 of that
    walk = Walk(policy=policy).at_stage(4).sees(canary={"latency": slow})
    walk.until(lambda w: "window" not in w.codes)
    assert walk.codes == {"gate"}
    assert "must be under 0.9x stable (7.2 s)" in walk.summary


def test_a_relative_gate_is_unknown_when_stable_is_unknown():
    down = Unread(why=Fault.TIMEOUT, detail="no answer within 5 s")
    walk = Walk().at_stage(4).sees(stable={"latency": down}).ticks(3)
    assert "error" in walk.codes
    assert "stable: no answer within 5 s" in walk.summary


def test_people_decide_how_far_it_may_climb():
    walk = Walk().wants(stage=2).until(lambda w: w.codes == {"at_ceiling"})
    assert walk.weight == 10
    walk.wants(stage=3).tick()
    assert walk.weight == 25


def test_stage_zero_is_all_stable_and_stays_so():
    walk = Walk().wants(stage=0).ticks(10)
    assert walk.codes == {"all_stable"}
    assert weights(walk) == []


def test_a_waiver_spares_the_rest_of_the_window_but_not_the_gates():
    walk = Walk().at_stage(1).ticks(5).wants(waived=frozenset({1}))
    walk.sees(canary={"confidence": Gauge(value=0.7, newest_at=0)}).ticks(5)
    assert walk.stage == 1
    assert "gate" in walk.codes
    walk = Walk().at_stage(1).ticks(5).wants(waived=frozenset({1}))
    walk.tick()
    assert walk.stage == 2
    assert "waived" in walk.summary


def test_a_waiver_alone_does_not_promote_a_stage_nobody_has_looked_at():
    walk = Walk().wants(waived=frozenset({1, 2, 3, 4}))
    walk.sees(canary={"errors": NoData(why=Absence.WARMING, detail="too soon")}).ticks(100)
    assert walk.stage == 1


def test_a_stage_that_wants_approval_waits_for_a_person():
    walk = Walk(policy=build.plan(approval=True)).until(lambda w: w.codes == {"approval"})
    assert walk.weight == 50
    walk.ticks(100)
    assert walk.weight == 50
    walk.wants(approved=frozenset({5})).tick()
    assert walk.weight == 100


def test_a_pause_stops_climbing_and_leaves_the_rules_at_work():
    walk = Walk().at_stage(1).wants(paused=True).ticks(200)
    assert walk.codes == {"paused"}
    walk.sees(canary={"errors": counts(0, total=100, bad=9)}).tick()
    assert walk.last.action is Action.ROLL_BACK


def test_too_few_requests_hold_and_say_how_many_are_missing():
    policy = build.plan()
    first = build.stage(5, 3600, "errors.rate < 0.01", at_least=5000)
    policy = replace(policy, stages=(first, *policy.stages[1:]))
    walk = Walk(policy=policy).until(lambda w: w.codes == {"too_few"})
    assert "of 5000 requests served on canary in this stage" in walk.summary
    walk.until(lambda w: w.stage == 2)
    assert walk.decisions[-1].change.weight == 10


def test_nothing_starts_while_the_canary_is_not_up():
    walk = Walk().sees(canary={"health": Health(up=False, detail="status is degraded", newest_at=0)}).ticks(5)
    assert walk.weight == 0
    assert "health is not up on canary: status is degraded" in walk.summary


def test_nothing_starts_while_a_source_cannot_be_read():
    walk = Walk().sees(stable={"latency": Unread(why=Fault.REFUSED, detail="401 Unauthorized")}).ticks(5)
    assert walk.weight == 0
    assert "latency cannot be read on stable: 401 Unauthorized" in walk.summary


def test_a_canary_that_has_served_nothing_may_start():
    nothing = NoData(why=Absence.NO_TRAFFIC, detail="no requests")
    walk = Walk().sees(canary={"errors": nothing, "latency": nothing})
    walk.tick()
    assert walk.weight == 5


def test_a_window_opens_only_when_the_router_serves_the_weight():
    walk = Walk()
    walk.tick()
    walk.traffic = build.served(5, walk.last.change.mark, settled=False)
    walk.ticks(200)
    assert walk.codes == {"settling"}
    assert walk.state.watched_s == 0
    walk.traffic = build.served(5, walk.last.state and walk.decisions[0].change.mark)
    walk.tick()
    assert walk.phase is Phase.WATCHING
    assert walk.state.watched_s == 0


def test_an_unreadable_router_holds_and_counts_no_time():
    walk = Walk().at_stage(2).ticks(3)
    watched, traffic = walk.state.watched_s, walk.traffic
    walk.traffic = TrafficUnreadable("permission denied")
    walk.ticks(20)
    assert walk.codes == {"router_unreadable"}
    assert walk.state.watched_s == watched
    walk.traffic = traffic
    walk.tick()
    assert walk.state.watched_s <= watched + 1.5 * INTERVAL_S


def test_the_same_sample_seen_twice_is_counted_once():
    walk = Walk().at_stage(1)
    frozen = build.look_readings(walk.at_s + INTERVAL_S)
    walk.look = lambda _at: frozen
    walk.ticks(20)
    total = walk.state.so_far("errors", build.Side.CANARY)
    assert isinstance(total, Counts)
    assert total.total == 100


def test_a_stage_counts_requests_whether_or_not_its_gates_do():
    first = build.stage(5, HOUR, "confidence > 0.5", at_least=500)
    policy = build.plan()
    walk = Walk(policy=replace(policy, stages=(first, *policy.stages[1:])))
    walk.until(lambda w: w.stage == 2, most=50)


def test_samples_that_come_every_third_look_prove_all_the_time_between_them():
    walk = Walk().at_stage(1)

    def slow(at_s):
        scraped_at = at_s - at_s % (3 * INTERVAL_S)
        return build.look_readings(scraped_at)

    walk.look = slow
    walk.ticks(31)
    assert walk.state.watched_s >= 27 * INTERVAL_S
    assert walk.state.watched_s + walk.state.unproven_s <= 31 * INTERVAL_S


def test_a_stage_that_nothing_is_asked_of_is_still_left_when_its_window_is_over():
    policy = replace(build.plan(), stages=(build.stage(5, HOUR), build.stage(100)), rollback=())
    walk = Walk(policy=policy).wants(stage=2).until(lambda w: w.phase is Phase.FINISHED, most=50)
    assert walk.weight == 100


SLOWER_THAN_THE_BUCKETS = build.Histogram(
    buckets=((1.0, 0.0), (10.0, 50.0), (float("inf"), 100.0)), total_value=5000.0, span_s=INTERVAL_S, newest_at=0
)


def test_a_percentile_above_the_highest_bucket_passes_no_gate_that_asks_for_less():
    walk = Walk().at_stage(1).sees(canary={"latency": SLOWER_THAN_THE_BUCKETS}).ticks(200)
    assert walk.stage == 1
    assert "p95 is above the histogram's highest bucket bound (10), and nobody knows by how much" in walk.summary


def test_a_percentile_above_the_highest_bucket_is_a_breach_of_what_lies_below_it():
    policy = replace(build.plan(), rollback=(build.rule("latency.p95 > 10"),))
    walk = Walk(policy=policy).at_stage(1).sees(canary={"latency": SLOWER_THAN_THE_BUCKETS})
    walk.tick()
    assert walk.weight == 0
