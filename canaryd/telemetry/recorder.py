"""Turns the report of each tick into metrics."""

from __future__ import annotations

from canaryd.core.model import Action, Decision, Policy, ReasonCode
from canaryd.core.readings import NoData, Unread
from canaryd.ports import TickOutcome, TickReport
from canaryd.telemetry import catalogue
from canaryd.telemetry.gauges import gauges_of
from canaryd.telemetry.instruments import Instruments


class MetricsRecorder:
    """Keeps the metrics of one rollout: a ``ports.Recorder``. Call it from one thread."""

    def __init__(self, policy: Policy, instruments: Instruments) -> None:
        self._policy = policy
        self._instruments = instruments
        self._desired_valid_at: float | None = None
        self._last_move: tuple[object, ...] | None = None
        self._start_counters_at_zero()

    def record(self, report: TickReport) -> None:
        """Update every metric from one tick."""
        if not report.desired_error:
            self._desired_valid_at = report.at.wall
        self._publish_gauges(report)
        self._count_tick(report)
        self._count_readings(report)
        if self._is_new_move(report):
            self._count_move(report)

    def failed(self, _problem: str) -> None:
        """Count a tick that could not be finished; gauges stay as the last finished one left them."""
        self._instruments.count(catalogue.TICKS, self._policy.rollout, TickOutcome.FAILED)

    def skipped(self, looks: int) -> None:
        """Count looks that were due while a tick overran its interval."""
        self._instruments.count(catalogue.SKIPPED_LOOKS, self._policy.rollout, amount=looks)

    def _publish_gauges(self, report: TickReport) -> None:
        gauges = dict(gauges_of(self._policy, report))
        if self._desired_valid_at is not None:
            gauges[catalogue.DESIRED_FILE_VALID] = {(report.rollout,): self._desired_valid_at}
        self._instruments.publish(report.rollout, gauges)

    def _count_tick(self, report: TickReport) -> None:
        rollout, count = report.rollout, self._instruments.count
        count(catalogue.TICKS, rollout, report.outcome)
        self._instruments.observe(catalogue.TICK_DURATION, report.duration_s, rollout)
        if report.decision.action is Action.HOLD:
            for code in {reason.code for reason in report.decision.reasons}:
                count(catalogue.HOLDS, rollout, code)

    def _count_readings(self, report: TickReport) -> None:
        for (metric, side), reading in report.observation.readings.by_key.items():
            match reading:
                case Unread(why=kind):
                    self._instruments.count(catalogue.SOURCE_ERRORS, report.rollout, metric, side, kind)
                case NoData(why=cause):
                    self._instruments.count(catalogue.ABSENCES, report.rollout, metric, side, cause)
                case _:
                    pass

    def _is_new_move(self, report: TickReport) -> bool:
        """Tell a new move from one that is decided again because the last tick could not carry it out."""
        decision = report.decision
        if decision.action not in (Action.PROMOTE, Action.ROLL_BACK) or not _went_ahead(report):
            return False
        state = decision.state
        move = (decision.action, state.release, state.attempt, state.epoch, state.stage)
        is_new = move != self._last_move
        self._last_move = move
        return is_new

    def _count_move(self, report: TickReport) -> None:
        if report.decision.action is Action.PROMOTE:
            self._instruments.count(catalogue.PROMOTIONS, report.rollout)
        else:
            self._instruments.count(catalogue.ROLLBACKS, report.rollout, _rollback_reason(report.decision))

    def _start_counters_at_zero(self) -> None:
        """Make counters visible before their first event, so that their first increase is seen as one."""
        rollout, policy = self._policy.rollout, self._policy
        rules = {rule.name for stage in policy.stages for rule in stage.rollback} | {r.name for r in policy.rollback}
        self._instruments.count(catalogue.PROMOTIONS, rollout, amount=0)
        self._instruments.count(catalogue.SKIPPED_LOOKS, rollout, amount=0)
        for outcome in TickOutcome:
            self._instruments.count(catalogue.TICKS, rollout, outcome, amount=0)
        for code in ReasonCode:
            self._instruments.count(catalogue.HOLDS, rollout, code, amount=0)
        for reason in sorted(rules | {ReasonCode.BLIND}):
            self._instruments.count(catalogue.ROLLBACKS, rollout, reason, amount=0)


def _went_ahead(report: TickReport) -> bool:
    """Tell whether a move was carried out or is on its way; a raise that could not be written down is not."""
    if report.outcome is TickOutcome.NOT_STORED:
        return report.decision.action is not Action.PROMOTE
    return report.outcome is not TickOutcome.FAILED


def _rollback_reason(decision: Decision) -> str:
    """Return the rule that fired, or ``blind``."""
    latch = decision.state.latch
    return latch.rule if latch is not None else ReasonCode.BLIND
