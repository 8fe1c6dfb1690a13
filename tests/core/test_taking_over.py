"""What a daemon takes for its own when state, policy or router are not as it left them."""

import pytest

from canaryd.core.model import Mark, TrafficUnreadable
from canaryd.core.phases import Phase
from canaryd.testing import build
from canaryd.testing.build import counts
from canaryd.testing.walk import Walk

BREACH = {"errors": counts(0, total=1000, bad=20)}
GONE = TrafficUnreadable("connection refused")


def test_a_router_that_knows_more_is_believed_also_when_it_could_not_be_read_at_first():
    """The disk was full when the rollback was done, and the router is down when the next daemon starts."""
    walk = Walk().at_stage(2)
    latched = Mark(rollout="ion-api", release="rev-2", attempt=1, stage=1, epoch=walk.state.epoch + 1, latched=True)
    walk.traffic = GONE
    walk.restarts().ticks(3)
    walk.traffic = build.served(5.0, latched)
    walk.ticks(3)
    assert walk.phase is Phase.ROLLED_BACK
    walk.sees(canary=BREACH).ticks(4)
    assert walk.weight == 0


def test_a_larger_epoch_later_in_a_run_still_means_another_daemon():
    walk = Walk().at_stage(2)
    walk.traffic = GONE
    walk.tick()
    newer = Mark(rollout="ion-api", release="rev-2", attempt=1, stage=1, epoch=99)
    walk.traffic = build.served(5.0, newer)
    walk.ticks(3)
    assert walk.codes == {"newer_daemon"}


def test_lost_state_does_not_make_somebody_elses_higher_weight_canaryds_own():
    walk = Walk().at_stage(2).set_by_others(60.0)
    walk.state = None
    walk.restarts().tick()
    assert (walk.stage, walk.weight) == (2, 10)


def test_lost_state_respects_somebody_elses_lower_weight():
    walk = Walk().at_stage(3).set_by_others(7.0)
    walk.state = None
    walk.restarts().ticks(3)
    assert (walk.stage, walk.weight) == (1, 5)


@pytest.mark.parametrize("readings", [{}, BREACH], ids=["watching", "rolled back"])
def test_an_edited_policy_does_not_make_somebody_elses_higher_weight_canaryds_own(readings):
    walk = Walk().at_stage(3).sees(canary=readings).ticks(4).sees().ticks(1)
    weight = walk.weight
    walk.policy = build.plan(digest="edited")
    walk.set_by_others(60.0).ticks(3)
    assert walk.weight <= weight


def test_one_sample_seen_again_and_again_is_no_watched_time():
    walk = Walk().at_stage(1).ticks(3)
    frozen, watched_s = walk.look(walk.at_s), walk.state.watched_s
    walk.look = lambda _at_s: frozen
    walk.ticks(20)
    assert walk.state.watched_s == watched_s
