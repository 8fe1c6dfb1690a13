"""Decisions as people read them: what canaryd does, where, and what is missing or wrong, with numbers and limits."""

from dataclasses import replace

import pytest

from canaryd.core.explain import MAX_PHRASES, join_phrases
from canaryd.core.model import Reason, ReasonCode, TrafficUnreadable
from canaryd.core.readings import Absence, Fault, Gauge, Health, NoData, Unread
from canaryd.testing import build
from canaryd.testing.build import HOUR, INTERVAL_S, counts, latencies
from canaryd.testing.walk import Walk


def watched(stage, hours):
    """Return a walk that has watched a stage for so many hours and something more."""
    return Walk().at_stage(stage).until(lambda w: w.state.watched_s >= hours * HOUR)


def holds(walk, **changes):
    return walk.sees(canary=changes).ticks(1).summary


def test_a_window_that_runs():
    assert watched(2, 3).summary == "Holding at stage 2 (10 %): 3 h of 24 h watched."


def test_a_window_that_runs_while_a_gate_fails_now():
    walk = watched(2, 3).sees(canary={"latency": latencies(0, 19.0)})
    summary = walk.ticks(1).summary
    assert summary.startswith("Holding at stage 2 (10 %): 3 h 10 min of 24 h watched; latency.p95 is now ")
    assert summary.endswith(" on canary, must be under 18 s.")


def test_a_breach_with_its_count():
    assert (
        holds(watched(2, 3), errors=counts(0, total=1000, bad=20))
        .split(": ", 1)[1]
        .startswith("errors.rate is 2 % on canary (rule: errors.rate > 0.01, 1 of 3 in a row)")
    )


def test_a_gate_relative_to_stable_names_both():
    walk = Walk().at_stage(4).sees(canary={"latency": latencies(0, 7.9)}).ticks(2)
    assert "latency.mean is now 7.9 s on canary, must be under 0.9x stable (7.2 s)" in walk.summary


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (NoData(why=Absence.NO_TRAFFIC, detail="no requests"), "no requests"),
        (NoData(why=Absence.STALE, detail="the newest point is 6 min old"), "the newest point is 6 min old"),
        (Unread(why=Fault.TIMEOUT, detail="prom did not answer within 5 s"), "prom did not answer within 5 s"),
    ],
)
def test_what_is_not_known_and_why(reading, words):
    summary = holds(watched(2, 3), errors=reading)
    assert "not known" in summary
    assert words in summary


def test_a_canary_that_is_down_before_the_start():
    walk = Walk().sees(canary={"health": Health(up=False, detail="connection refused", newest_at=0)}).ticks(1)
    assert walk.summary.startswith("Holding at stable: health is down on canary (connection refused)")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"paused": True}, "paused by a person"),
        ({"stage": 0}, "the desired state asks for stage 0: all stable"),
    ],
)
def test_what_people_asked_for_before_the_start(change, words):
    assert words in Walk().wants(**change).ticks(1).summary


def test_a_ceiling_that_is_reached():
    walk = Walk().wants(stage=1).at_stage(1).until(lambda w: w.state.watched_s >= 24 * HOUR)
    assert walk.summary == "Holding at stage 1 (5 %): the desired state asks for stage 1 and no higher."


def test_an_approval_that_is_missing():
    walk = Walk(policy=build.plan(approval=True)).at_stage(4).until(lambda w: w.codes == {"approval"})
    assert walk.summary == "Holding at stage 4 (50 %): stage 5 (100 %) wants a person's approval."


def test_a_promotion_with_its_grounds():
    walk = Walk().until(lambda w: w.stage == 2)
    assert walk.summary == (
        "Promoting rev-2 from stage 1 (5 %) to stage 2 (10 %): 24 h of 24 h watched, 4 of 4 gates hold."
    )


def test_a_rollback_with_its_rule():
    walk = watched(3, 1).sees(canary={"errors": counts(0, total=1000, bad=32)}).ticks(3)
    assert walk.summary == (
        "Rolling back rev-2 from stage 3 (25 %) to stage 2 (10 %): "
        "errors.rate is 3.2 % on canary (rule: errors.rate > 0.01, 3 of 3 in a row)."
    )


def test_a_latch_with_its_reason_and_what_lifts_it():
    walk = watched(3, 1).sees(canary={"memory": Gauge(value=0.9, newest_at=0)}).ticks(2).sees().ticks(2)
    assert walk.summary.startswith(
        "Holding at stage 2 (10 %): rev-2 was rolled back and stays so until attempt is raised"
    )
    assert "memory is 90 % on canary (rule: memory > 0.85, 2 of 2 in a row)" in walk.summary


def test_a_router_that_cannot_be_read():
    walk = watched(2, 1)
    walk.traffic = TrafficUnreadable("connection refused")
    assert walk.ticks(1).summary == "Holding at stage 2 (10 %): the router cannot be read: connection refused."


def test_a_router_that_does_not_serve_yet():
    walk = Walk().ticks(1)
    walk.traffic = replace(walk.traffic, settled=False)
    assert "the router accepted 5 % and does not serve it yet" in walk.ticks(1).summary


def test_no_sentence_is_endless():
    reasons = [Reason(code=ReasonCode.GATE, text=f"gate {number} fails") for number in range(MAX_PHRASES + 3)]
    assert join_phrases([*reasons, *reasons]).endswith("; and 3 more")


def test_time_watched_is_never_rounded_up():
    walk = Walk().at_stage(1).until(lambda w: w.state.watched_s >= 24 * HOUR - INTERVAL_S)
    assert "23 h 50 min of 24 h watched" in walk.summary
