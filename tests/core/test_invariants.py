"""Each invariant catches, by its name, the decisions it exists for, and lets every rightful one pass."""

from dataclasses import replace

import pytest

from canaryd.core.decide import decide
from canaryd.core.invariants import INVARIANTS, Step, violations
from canaryd.core.model import Action, Change, Instant, Mark, Observation, Reason, ReasonCode, TrafficUnreadable
from canaryd.core.readings import MAX_BUCKETS, Fault, Histogram, Unread
from canaryd.testing import build
from canaryd.testing.build import HOUR, INTERVAL_S, counts
from canaryd.testing.walk import Walk

BREACH = {"errors": counts(0, total=1000, bad=20)}
TIMEOUT = {"errors": Unread(why=Fault.TIMEOUT, detail="no answer")}


def next_step(walk: Walk, after_s: float | None = None) -> Step:
    """Return the walk's next tick as seen from outside, without carrying it out."""
    passed_s = walk.last.next_look_s if after_s is None else after_s
    at_s = walk.at_s + passed_s
    now = Instant(wall=1_700_000_000.0 + at_s, elapsed=at_s, run=walk.run)
    observation = Observation(traffic=walk.traffic, readings=walk.look(at_s))
    decision = decide(walk.policy, walk.desired, walk.state, observation, now)
    return Step(
        policy=walk.policy,
        desired=walk.desired,
        before=walk.state,
        observation=observation,
        decision=decision,
        now=now,
    )


def tampered(step: Step, **changes) -> Step:
    return replace(step, decision=replace(step.decision, **changes))


def with_change(step: Step, **changes) -> Step:
    return tampered(step, change=replace(step.decision.change, **changes))


def broken(step: Step) -> set[str]:
    return {violation.split(":")[0] for violation in violations(step)}


@pytest.fixture
def promotion():
    """The tick that promotes from stage 1 to stage 2."""
    walk = Walk().at_stage(1).until(lambda w: w.state.watched_s >= 24 * HOUR - INTERVAL_S)
    step = next_step(walk)
    assert step.decision.action is Action.PROMOTE
    assert violations(step) == ()
    return step


@pytest.fixture
def rollback():
    """The tick that takes stage 3 back to stage 2."""
    step = next_step(Walk().at_stage(3).sees(canary=BREACH).ticks(2))
    assert step.decision.action is Action.ROLL_BACK
    assert violations(step) == ()
    return step


@pytest.fixture
def rolled_back():
    """A quiet tick of a latched release."""
    step = next_step(Walk().at_stage(3).sees(canary=BREACH).ticks(4).sees().ticks(3))
    assert step.before.latch is not None
    assert violations(step) == ()
    return step


# ---------------------------------------------------------------- I1


def test_i1_catches_a_climb_of_two_stages_at_once(promotion):
    far = replace(promotion.after, stage=3)
    mark = replace(promotion.decision.change.mark, stage=3)
    step = tampered(promotion, state=far, change=replace(promotion.decision.change, weight=25, mark=mark))
    assert broken(step) == {"I1", "I2"}


def test_i1_catches_a_climb_above_what_people_want(promotion):
    assert broken(replace(promotion, desired=build.desired(1))) == {"I1"}


def test_i1_catches_a_raise_that_nobody_decided(rolled_back):
    state = replace(rolled_back.after, epoch=rolled_back.after.epoch + 1)
    change = Change(weight=50.0, mark=_mark_of(state), version=rolled_back.observation.traffic.version)
    assert broken(tampered(rolled_back, action=Action.RESTORE, state=state, change=change)) == {"I1"}


def test_i1_catches_an_entry_without_the_approval_it_needs():
    walk = Walk(policy=build.plan(approval=True)).wants(approved=frozenset({5})).at_stage(4)
    step = next_step(walk.until(lambda w: w.state.watched_s >= 72 * HOUR - INTERVAL_S))
    assert step.decision.action is Action.PROMOTE
    assert violations(step) == ()
    assert broken(replace(step, desired=replace(step.desired, approved=frozenset()))) == {"I1"}
    spent = tampered(step, state=replace(step.after, spent_approvals=frozenset({5})))
    assert broken(spent) == {"I1"}


def test_i1_catches_a_raise_granted_to_another_release():
    walk = Walk().at_stage(3).set_by_others(None)
    step = next_step(walk)
    assert step.decision.change.weight == 25
    assert violations(step) == ()
    assert broken(replace(step, before=replace(step.before, release="rev-1"))) == {"I1"}


# ---------------------------------------------------------------- I2


def test_i2_catches_a_promotion_before_the_window_was_watched(promotion):
    early = replace(promotion, before=replace(promotion.before, watched_s=HOUR))
    assert broken(early) == {"I2"}


def test_i2_catches_a_promotion_on_a_look_that_does_not_count(promotion):
    assert broken(tampered(promotion, watched=False)) == {"I2"}


def test_i2_catches_a_promotion_on_the_evidence_of_another_policy(promotion):
    assert broken(replace(promotion, before=replace(promotion.before, policy="older"))) == {"I2"}


@pytest.mark.parametrize("failing", [TIMEOUT, {"errors": counts(0, total=100, bad=90)}])
def test_i2_catches_a_promotion_although_a_gate_does_not_hold(promotion, failing):
    walk = Walk().at_stage(1).until(lambda w: w.state.watched_s >= 24 * HOUR - INTERVAL_S)
    checks = next_step(walk.sees(canary=failing)).decision.checks
    assert "I2" in broken(tampered(promotion, checks=checks))


def test_i2_catches_a_promotion_that_looked_at_no_gate(promotion):
    assert broken(tampered(promotion, checks=())) == {"I2"}


# ---------------------------------------------------------------- I3


def test_i3_catches_a_lost_latch(rolled_back):
    assert broken(tampered(rolled_back, state=replace(rolled_back.after, latch=None))) == {"I3"}


def test_i3_catches_a_rolled_back_release_that_goes_higher(rolled_back):
    higher = replace(rolled_back.after, stage=rolled_back.after.stage + 1)
    assert broken(tampered(rolled_back, state=higher)) == {"I3"}


def test_i3_catches_a_promotion_of_a_rolled_back_release(rolled_back):
    assert "I3" in broken(tampered(rolled_back, action=Action.PROMOTE, watched=True))


# ---------------------------------------------------------------- I4


def test_i4_catches_an_epoch_that_goes_back(rolled_back):
    assert broken(tampered(rolled_back, state=replace(rolled_back.after, epoch=0))) == {"I4"}


def test_i4_catches_a_change_without_an_epoch_of_its_own(rollback):
    reused = replace(rollback.decision.change.mark, epoch=rollback.before.epoch)
    assert "I4" in broken(with_change(rollback, mark=reused))


@pytest.mark.parametrize("difference", [{"stage": 1}, {"release": "rev-9"}, {"attempt": 7}, {"latched": False}])
def test_i4_catches_a_change_that_is_not_what_is_remembered(rollback, difference):
    mark = replace(rollback.decision.change.mark, **difference)
    assert broken(with_change(rollback, mark=mark)) == {"I4"}


# ---------------------------------------------------------------- I5


def test_i5_catches_time_that_nobody_watched():
    step = next_step(Walk().at_stage(1).ticks(10))
    assert violations(step) == ()
    generous = replace(step.after, watched_s=step.after.watched_s + 1.0)
    assert broken(tampered(step, state=generous)) == {"I5"}


def test_i5_catches_a_credit_for_the_time_of_a_restart():
    walk = Walk().at_stage(1).ticks(10).restarts()
    step = next_step(walk, after_s=HOUR)
    assert violations(step) == ()
    generous = replace(step.after, watched_s=step.after.watched_s + 1.0)
    assert broken(tampered(step, state=generous)) == {"I5"}


# ---------------------------------------------------------------- I6


def test_i6_catches_a_change_of_traffic_that_could_not_be_read(rollback):
    unread = replace(rollback.observation, traffic=TrafficUnreadable("gone"))
    assert "I6" in broken(replace(rollback, observation=unread))


def test_i6_catches_a_change_on_another_version_than_the_one_read(rollback):
    assert broken(with_change(rollback, version="v0")) == {"I6"}


def test_i6_catches_an_overwritten_newer_daemon(rollback):
    newer = Mark(rollout="ion-api", release="rev-2", attempt=1, stage=1, epoch=99)
    traffic = replace(rollback.observation.traffic, mark=newer)
    step = replace(rollback, observation=replace(rollback.observation, traffic=traffic))
    assert broken(step) == {"I6"}


# ---------------------------------------------------------------- I7


def test_i7_catches_a_raise_without_knowing_how_the_canary_does():
    walk = Walk().until(lambda w: w.last.action is Action.PROMOTE and w.stage == 2)
    walk.traffic = build.served(5.0, None, version="before")  # the raise did not arrive
    step = next_step(walk)
    assert step.raises
    assert violations(step) == ()
    blind = next_step(walk.sees(canary=TIMEOUT))
    assert not blind.raises
    assert broken(tampered(step, checks=blind.decision.checks)) == {"I7"}


# ---------------------------------------------------------------- I8


def test_i8_catches_a_state_that_grows(rolled_back):
    state = rolled_back.after
    tallies = {f"metric-{n}/canary": counts(0) for n in range(11)}
    assert broken(tampered(rolled_back, state=replace(state, tallies=tallies))) == {"I8"}
    tracks = dict.fromkeys((f"rule-{n}" for n in range(6)), next(iter(state.tracks.values())))
    assert broken(tampered(rolled_back, state=replace(state, tracks=tracks))) == {"I8"}


def test_i8_catches_a_histogram_without_end(rolled_back):
    buckets = tuple((float(n), 0.0) for n in range(MAX_BUCKETS + 1))
    huge = Histogram(buckets=buckets, total_value=None, span_s=60, newest_at=0)
    state = replace(rolled_back.after, tallies={"latency/canary": huge})
    assert broken(tampered(rolled_back, state=state)) == {"I8"}


def test_i8_catches_reasons_without_end(rolled_back):
    reasons = tuple(Reason(code=ReasonCode.GATE, text=f"reason {n}") for n in range(2001))
    assert broken(tampered(rolled_back, reasons=reasons)) == {"I8"}


# ---------------------------------------------------------------- I9


@pytest.mark.parametrize("reasons", [(), (Reason(code=ReasonCode.GATE, text="  "),)])
def test_i9_catches_a_hold_without_a_reason(rolled_back, reasons):
    assert broken(tampered(rolled_back, reasons=reasons)) == {"I9"}


# ---------------------------------------------------------------- what is rightful passes


def test_every_invariant_is_checked_at_every_tick():
    assert list(INVARIANTS) == [f"I{n}" for n in range(1, 10)]


def test_an_attempt_raised_in_the_tick_that_promotes_does_not_stop_it():
    walk = Walk().at_stage(1).until(lambda w: w.state.watched_s >= 24 * HOUR - INTERVAL_S)
    assert walk.wants(attempt=2).tick().action is Action.PROMOTE


def test_an_attempt_raised_while_the_weight_is_unknown_does_not_stop_the_repair():
    walk = Walk().at_stage(2).ticks(3).wants(attempt=2).set_by_others(None)
    walk.tick()
    assert walk.weight == 10


def test_a_policy_with_fewer_metrics_waits_quietly_for_an_unreadable_router():
    walk = Walk().at_stage(1).ticks(5)
    walk.policy = replace(build.plan(digest="edited"), metrics={}, stages=(build.stage(5),), rollback=())
    walk.traffic = TrafficUnreadable("connection refused")
    walk.wants(stage=1).tick()
    assert walk.codes == {"router_unreadable"}


def test_a_shorter_ladder_waits_in_words_for_an_unreadable_router():
    walk = Walk().at_stage(4)
    walk.policy = replace(build.plan(digest="edited"), stages=build.plan().stages[:2])
    walk.traffic = TrafficUnreadable("connection refused")
    walk.wants(stage=2).tick()
    assert walk.summary == "Holding at stage 4: the router cannot be read: connection refused."


def _mark_of(state):
    return Mark(
        rollout=state.rollout,
        release=state.release,
        attempt=state.attempt,
        stage=state.stage,
        epoch=state.epoch,
        latched=state.latch is not None,
    )
