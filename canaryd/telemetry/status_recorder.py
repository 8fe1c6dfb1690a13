"""Everything the daemon shows of a tick: metrics, the status document and the heartbeat."""

from __future__ import annotations

from canaryd.core.model import Policy
from canaryd.engine.status import document
from canaryd.ports import TickReport
from canaryd.telemetry.recorder import MetricsRecorder
from canaryd.telemetry.status_board import StatusBoard


class StatusRecorder:
    """Implements ``ports.Recorder`` for one rollout of the daemon."""

    def __init__(self, policy: Policy, metrics: MetricsRecorder, board: StatusBoard) -> None:
        self._policy = policy
        self._metrics = metrics
        self._board = board

    def record(self, report: TickReport) -> None:
        """Publish a finished tick."""
        self._metrics.record(report)
        self._board.publish(report.rollout, document(report, self._policy), report.at, report.decision.next_look_s)

    def failed(self, problem: str) -> None:
        """Count a tick that could not be finished: without a heartbeat, /livez turns red."""
        self._metrics.failed(problem)

    def skipped(self, looks: int) -> None:
        """Count looks that an overrunning tick left out."""
        self._metrics.skipped(looks)
