import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from canaryd.core.model import Desired, EventKind, Observation
from canaryd.core.readings import Readings
from canaryd.notifiers.log import LogNotifier, LogOptions
from canaryd.ports import TickOutcome, TickReport
from canaryd.testing import build
from canaryd.testing.records import hold


async def lines_of(*kinds):
    decision = hold(*kinds)
    report = TickReport(
        rollout="ion-api",
        at=build.instant(0),
        decision=decision,
        observation=Observation(traffic=build.served(5.0), readings=Readings()),
        summary="",
        outcome=TickOutcome.ACTED,
        duration_s=0.1,
        desired=Desired(release="rev-2", stage=5),
    )
    notifier = LogNotifier(LogOptions(), None)
    with capture_logs() as lines:
        await notifier.notify(report)
    await notifier.aclose()
    return lines


async def test_one_line_for_each_event_says_what_happened_and_where():
    assert await lines_of("promoted", "window_opened") == [
        {
            "event": f"rollout.{kind}",
            "log_level": "info",
            "rollout": "ion-api",
            "release": "rev-2",
            "stage": 1,
            "text": f"what happened: {kind}",
        }
        for kind in ("promoted", "window_opened")
    ]


@pytest.mark.parametrize("kind", list(EventKind))
async def test_a_rollback_is_an_error_and_blindness_a_warning(kind):
    levels = {EventKind.ROLLED_BACK: "error", EventKind.POWERLESS: "error", EventKind.BLIND: "warning"}
    (line,) = await lines_of(kind)
    assert line["log_level"] == levels.get(kind, "info")


async def test_a_tick_without_events_is_silent():
    assert await lines_of() == []


def test_there_is_nothing_to_choose():
    with pytest.raises(ValidationError):
        LogOptions(level="debug")
