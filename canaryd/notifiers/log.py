"""Tells people through the log: one line for each event."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import structlog
from pydantic import BaseModel

from canaryd.core.model import Event, EventKind
from canaryd.ports import Surroundings, TickReport

log = structlog.get_logger(__name__)

LEVELS: Mapping[EventKind, int] = {
    EventKind.ROLLED_BACK: logging.ERROR,
    EventKind.BLIND: logging.WARNING,
    EventKind.POWERLESS: logging.ERROR,
}
"""How severe an event is; the others are news."""


class LogOptions(BaseModel, strict=True, frozen=True, extra="forbid"):
    """The notifier's section of the policy: there is nothing to choose."""


class LogNotifier:
    """Implements ``ports.Notifier``; the log's own format and level are the process's settings."""

    Options = LogOptions

    def __init__(self, options: LogOptions, surroundings: Surroundings) -> None:
        """Take nothing from either: the log is the process's."""

    async def notify(self, report: TickReport) -> None:
        """Write the events of one tick, in their order."""
        for event in report.decision.events:
            self._write(event, report)

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _write(self, event: Event, report: TickReport) -> None:
        state, name = report.decision.state, f"rollout.{event.kind.value}"
        log.log(
            LEVELS.get(event.kind, logging.INFO),
            name,
            rollout=report.rollout,
            release=state.release,
            stage=state.stage,
            text=event.text,
        )
