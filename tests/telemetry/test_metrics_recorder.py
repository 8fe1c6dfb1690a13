from dataclasses import replace

import pytest

from canaryd.core.model import (
    Action,
    Check,
    CheckRole,
    Instant,
    Latch,
    Outcome,
    Reason,
    ReasonCode,
    RoleCheck,
    TrafficUnreadable,
)
from canaryd.core.phases import Phase
from canaryd.core.readings import Absence, Fault, NoData, Readings, Side, Unread
from canaryd.ports import TickOutcome
from canaryd.telemetry import catalogue
from canaryd.telemetry.instruments import MAX_LABEL_CHARS, MAX_SERIES
from canaryd.telemetry.recorder import MetricsRecorder


def test_the_page_says_where_the_rollout_stands(recorder, hold, scrape):
    recorder.record(hold)
    page = scrape()
    standing = {
        name: page.value(f"canaryd_{name}") for name in ("stage", "desired_stage", "last_stage", "attempt", "epoch")
    }
    assert standing == {"stage": 1, "desired_stage": 2, "last_stage": 2, "attempt": 2, "epoch": 4}
    assert page.chosen("canaryd_phase", "phase") == ["watching"]
    assert page.value("canaryd_finished") == page.value("canaryd_latched") == 0
    assert page.value("canaryd_interval_seconds") == 30


def test_weights_are_shares_between_zero_and_one(recorder, hold, scrape):
    recorder.record(hold)
    page = scrape()
    assert page.value("canaryd_desired_weight_ratio") == page.value("canaryd_observed_weight_ratio") == 0.05


@pytest.mark.parametrize("unknown", ["unreadable", "no weight"])
def test_an_unknown_weight_is_absent_rather_than_the_last_known_one(recorder, hold, scrape, unknown):
    recorder.record(hold)
    traffic = (
        TrafficUnreadable("timeout") if unknown == "unreadable" else replace(hold.observation.traffic, weight=None)
    )
    recorder.record(replace(hold, observation=replace(hold.observation, traffic=traffic)))
    assert scrape().value("canaryd_observed_weight_ratio") is None
    assert scrape().value("canaryd_desired_weight_ratio") == 0.05


def test_the_window_shows_time_watched_and_time_required(recorder, hold, scrape):
    recorder.record(hold)
    assert scrape().value("canaryd_window_watched_seconds") == 120
    assert scrape().value("canaryd_window_required_seconds") == 600


@pytest.mark.parametrize("stage", [0, 2])
def test_a_stage_without_end_requires_no_window(recorder, hold, scrape, decide, stage):
    recorder.record(hold)
    recorder.record(decide(hold, Action.HOLD, stage=stage))
    assert scrape().value("canaryd_window_required_seconds") is None


def test_signals_are_shown_for_both_sides_with_their_unit(recorder, hold, scrape):
    recorder.record(hold)
    page = scrape()
    assert page.value("canaryd_signal_value", signal="errors.rate", side="canary") == 0.02
    assert page.value("canaryd_signal_value", signal="errors.rate", side="stable") == 0
    assert page.value("canaryd_signal_value", signal="health", side="canary") == 1
    assert page.value("canaryd_signal_value", signal="health", side="stable") is None
    assert page.value("canaryd_signal_info", signal="errors.rate", unit="ratio") == 1


def test_checks_show_value_limit_and_exactly_one_outcome(recorder, hold, scrape):
    recorder.record(hold)
    page = scrape()
    memory = {"check": "memory < 1.5x stable", "role": "gate_now"}
    assert page.value("canaryd_check_value", side="canary", **memory) == 0.6
    assert page.value("canaryd_check_value", side="stable", **memory) == 0.5
    assert page.value("canaryd_check_limit", **memory) == 0.75
    assert page.value("canaryd_check_outcome", outcome="pass", **memory) == 1
    assert page.value("canaryd_check_outcome", outcome="fail", check="errors.rate < 1%") == 1
    for check in {sample.labels["check"] for sample in page.samples("canaryd_check_outcome")}:
        assert sum(page.value("canaryd_check_outcome", check=check, outcome=word) for word in OUTCOMES) == 1


OUTCOMES = ("pass", "fail", "no_data", "error")


def test_rules_show_their_streak_and_when_it_acts(recorder, hold, scrape):
    recorder.record(hold)
    assert scrape().value("canaryd_rule_streak", rule="too many errors") == 1
    assert scrape().value("canaryd_rule_streak_limit", rule="too many errors") == 2


def test_checks_that_are_no_longer_made_disappear(recorder, hold, scrape):
    recorder.record(hold)
    recorder.record(replace(hold, decision=replace(hold.decision, checks=())))
    assert scrape().samples("canaryd_check_outcome") == []
    assert scrape().samples("canaryd_rule_streak") == []


def test_only_the_present_release_has_a_series(recorder, hold, scrape, decide):
    for release in ("r7", "r8", "r9"):
        recorder.record(decide(hold, Action.HOLD, release=release))
    assert [sample.labels["release"] for sample in scrape().samples("canaryd_rollout_info")] == ["r9"]


def test_the_reasons_of_a_hold_are_shown_and_counted(recorder, hold, scrape):
    recorder.record(hold)
    recorder.record(hold)
    page = scrape()
    assert page.chosen("canaryd_hold", "reason") == ["window", "gate"]
    assert page.value("canaryd_holds_total", reason="window") == 2
    assert page.value("canaryd_holds_total", reason="paused") == 0


def test_a_move_is_no_hold(recorder, hold, scrape, decide):
    recorder.record(decide(hold, Action.PROMOTE, stage=2))
    assert scrape().chosen("canaryd_hold", "reason") == []
    assert scrape().value("canaryd_holds_total", reason="window") == 0


def test_a_promotion_counts_once_however_often_it_is_decided_again(recorder, hold, scrape, decide):
    assert scrape().value("canaryd_promotions_total") == 0
    for outcome in (TickOutcome.NOT_STORED, TickOutcome.FAILED, TickOutcome.UNKNOWN, TickOutcome.ACTED):
        recorder.record(decide(hold, Action.PROMOTE, outcome, stage=2, epoch=5))
    assert scrape().value("canaryd_promotions_total") == 1


def test_a_raise_that_could_not_be_written_down_is_no_promotion(recorder, hold, scrape, decide):
    recorder.record(decide(hold, Action.PROMOTE, TickOutcome.NOT_STORED, stage=2, epoch=5))
    assert scrape().value("canaryd_promotions_total") == 0


@pytest.mark.parametrize("rule", ["too many errors", "down", "blind"])
def test_a_rollback_counts_under_its_rule_even_when_the_disk_is_full(recorder, hold, scrape, decide, rule):
    latch = Latch(reason="bad", rule=rule, from_stage=1, to_stage=0, at=0)
    assert scrape().value("canaryd_rollbacks_total", reason=rule) == 0
    fields = {"stage": 0, "epoch": 5, "latch": latch, "phase": Phase.ROLLING_BACK}
    recorder.record(decide(hold, Action.ROLL_BACK, TickOutcome.NOT_STORED, **fields))
    recorder.record(decide(hold, Action.ROLL_BACK, TickOutcome.ACTED, **fields))
    page = scrape()
    assert page.value("canaryd_rollbacks_total", reason=rule) == 1
    assert page.value("canaryd_latched") == 1


def test_blind_time_grows_until_a_usable_look(recorder, hold, scrape, decide):
    since = Instant(wall=hold.at.wall - 90, elapsed=hold.at.elapsed - 90, run="test")
    recorder.record(decide(hold, Action.HOLD, blind_since=since))
    assert scrape().value("canaryd_blind_seconds") == 90
    recorder.record(hold)
    assert scrape().value("canaryd_blind_seconds") == 0


def test_missing_data_is_counted_by_cause_and_failed_reads_by_kind(recorder, hold, scrape):
    readings = Readings(
        {
            ("errors", Side.CANARY): NoData(why=Absence.STALE, detail="old"),
            ("memory", Side.STABLE): Unread(why=Fault.REFUSED, detail="403"),
        }
    )
    recorder.record(replace(hold, observation=replace(hold.observation, readings=readings)))
    page = scrape()
    assert page.value("canaryd_absences_total", metric="errors", side="canary", cause="stale") == 1
    assert page.value("canaryd_source_errors_total", metric="memory", side="stable", kind="refused") == 1
    assert page.value("canaryd_signal_value", signal="errors.rate", side="canary") is None


def test_a_broken_desired_file_is_shown_with_the_time_it_was_last_valid(recorder, hold, scrape, clock):
    recorder.record(replace(hold, desired_error="line 3"))
    assert scrape().value("canaryd_desired_file_last_valid_timestamp_seconds") is None
    recorder.record(hold)
    clock.elapsed = 60
    recorder.record(replace(hold, at=clock.now(), desired_error="line 3"))
    page = scrape()
    assert page.value("canaryd_desired_file_error") == 1
    assert page.value("canaryd_desired_file_last_valid_timestamp_seconds") == hold.at.wall
    assert page.value("canaryd_last_tick_timestamp_seconds") == hold.at.wall + 60


def test_ticks_are_counted_by_outcome_and_timed(recorder, hold, scrape):
    recorder.record(hold)
    recorder.record(replace(hold, outcome=TickOutcome.REFUSED, duration_s=3))
    page = scrape()
    assert (
        page.value("canaryd_ticks_total", outcome="held") == page.value("canaryd_ticks_total", outcome="refused") == 1
    )
    assert page.value("canaryd_ticks_total", outcome="failed") == 0
    assert page.value("canaryd_tick_duration_seconds_sum") == 3.2
    assert page.value("canaryd_tick_duration_seconds_bucket", le="0.25") == 1


def test_rollouts_share_the_page_without_touching_each_other(recorder, instruments, policy, hold, scrape, decide):
    other = MetricsRecorder(replace(policy, rollout="search"), instruments)
    recorder.record(hold)
    other.record(replace(decide(hold, Action.HOLD, stage=2), rollout="search"))
    assert scrape().value("canaryd_stage", rollout="shop") == 1
    assert scrape().value("canaryd_stage", rollout="search") == 2


def test_a_policy_with_thousands_of_rules_cannot_flood_the_page(instruments, policy, hold, scrape):
    rule = policy.rollback[0]
    flooded = replace(policy, rollback=tuple(replace(rule, name=f"rule {number}") for number in range(3 * MAX_SERIES)))
    recorder = MetricsRecorder(flooded, instruments)
    check = hold.decision.checks[-1].check
    checks = tuple(RoleCheck(role=CheckRole.RULE, check=check, rule=rule.name) for rule in flooded.rollback)
    recorder.record(replace(hold, decision=replace(hold.decision, checks=checks)))
    page = scrape()
    assert len(page.samples("canaryd_rule_streak")) == MAX_SERIES
    assert len(page.samples("canaryd_rollbacks_total")) == MAX_SERIES
    assert page.value("canaryd_series_dropped_total", metric="canaryd_rule_streak") == 2 * MAX_SERIES


def test_a_counter_that_is_already_shown_goes_on_counting_when_the_limit_is_reached(instruments, scrape):
    for number in range(2 * MAX_SERIES):
        instruments.count(catalogue.ROLLBACKS, "shop", str(number))
    instruments.count(catalogue.ROLLBACKS, "shop", "0")
    assert scrape().value("canaryd_rollbacks_total", reason="0") == 2
    assert scrape().value("canaryd_series_dropped_total") == MAX_SERIES


def test_long_conditions_become_short_labels(recorder, hold, scrape):
    condition = replace(hold.decision.checks[0].check.condition, text="x" * 5000)
    long = Check(condition=condition, outcome=Outcome.FAIL, limit=0.01)
    checks = (RoleCheck(role=CheckRole.GATE_NOW, check=long),)
    recorder.record(replace(hold, decision=replace(hold.decision, checks=checks)))
    assert scrape().value("canaryd_check_limit", check="x" * MAX_LABEL_CHARS) == 0.01


def test_a_hold_for_two_grounds_of_one_kind_counts_once(recorder, hold, scrape):
    reasons = tuple(Reason(code=ReasonCode.GATE, text=text) for text in ("errors", "memory"))
    recorder.record(replace(hold, decision=replace(hold.decision, reasons=reasons)))
    assert scrape().value("canaryd_holds_total", reason="gate") == 1


def test_a_tick_that_failed_counts_and_leaves_the_rest_as_it_was(recorder, hold, scrape):
    recorder.record(hold)
    recorder.failed("an invariant was broken")
    page = scrape()
    assert page.value("canaryd_ticks_total", outcome="failed") == 1
    assert page.value("canaryd_stage") == 1


def test_skipped_looks_are_counted(recorder, scrape):
    assert scrape().value("canaryd_skipped_looks_total") == 0
    recorder.skipped(3)
    assert scrape().value("canaryd_skipped_looks_total") == 3


def test_a_rollout_that_is_no_longer_run_leaves_no_gauges_behind(recorder, instruments, hold, scrape):
    recorder.record(hold)
    instruments.withdraw("shop")
    assert scrape().samples("canaryd_stage") == []
    assert scrape().samples("canaryd_build_info") != []
