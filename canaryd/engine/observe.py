"""One look: the router and every source at once, under one deadline. Failures become values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import structlog

from canaryd.core.model import Instant, Observation, RolloutState, Traffic, TrafficUnreadable
from canaryd.core.readings import (
    Counts,
    Fault,
    Gauge,
    Health,
    Histogram,
    Known,
    MetricKind,
    NoData,
    Reading,
    ReadingKey,
    Readings,
    Unread,
    sound,
)
from canaryd.engine.wiring import Rollout
from canaryd.errors import RouterUnavailable
from canaryd.ports import Look, MetricSource, Query

log = structlog.get_logger(__name__)

READING_OF: Mapping[MetricKind, type[Known]] = {
    MetricKind.COUNTS: Counts,
    MetricKind.HISTOGRAM: Histogram,
    MetricKind.GAUGE: Gauge,
    MetricKind.HEALTH: Health,
}
SHORTEST_DEADLINE_S = 1.0
"""A look may last as long as the interval, so that a slow source does not look like a stuck loop, but not less."""


async def observe(rollout: Rollout, look: Look) -> Observation:
    """Look at everything once. Never raises for what the world, or an adapter, does."""
    readings: dict[ReadingKey, Reading] = {}
    traffic: list[Traffic | TrafficUnreadable] = []
    async with anyio.create_task_group() as group:
        group.start_soon(_read_router, rollout, look, traffic)
        for name, queries in rollout.queries.items():
            group.start_soon(_read_source, rollout.sources[name], name, queries, look, readings)
    in_policy_order = {
        (query.metric, query.side): readings[query.metric, query.side]
        for queries in rollout.queries.values()
        for query in queries
    }
    return Observation(traffic=traffic[0], readings=Readings(in_policy_order))


def look_of(rollout: Rollout, state: RolloutState | None, now: Instant) -> Look:
    """Return the circumstances of this look. The stint changes with every change of traffic."""
    since = (state.opened or state.entered) if state else None
    age_s = now.seconds_since(since) if since else 0.0
    interval_s = rollout.policy.interval_s(age_s)
    return Look(
        at=now,
        stint=f"{state.release}#{state.epoch}" if state else "",
        stint_age_s=age_s,
        interval_s=interval_s,
        deadline_s=min(rollout.deadlines.observe_s, max(SHORTEST_DEADLINE_S, interval_s)),
    )


async def _read_router(rollout: Rollout, look: Look, into: list[Traffic | TrafficUnreadable]) -> None:
    try:
        with anyio.fail_after(look.deadline_s):
            into.append(await rollout.router.read())
    except TimeoutError:
        into.append(TrafficUnreadable(f"no answer within {look.deadline_s:g} s"))
    except RouterUnavailable as error:
        into.append(TrafficUnreadable(str(error)))
    except Exception as error:
        log.exception("router.failed", rollout=rollout.policy.rollout)
        into.append(TrafficUnreadable(f"the router failed: {type(error).__name__}"))


async def _read_source(
    source: MetricSource,
    name: str,
    queries: Sequence[Query],
    look: Look,
    into: dict[ReadingKey, Reading],
) -> None:
    try:
        with anyio.fail_after(look.deadline_s):
            readings = await source.read(queries, look)
        judged = [_fitting(query, reading) for query, reading in zip(queries, readings, strict=True)]
    except TimeoutError:
        late = Unread(why=Fault.TIMEOUT, detail=f"{name} did not answer within {look.deadline_s:g} s")
        judged = [late for _ in queries]
    except Exception as error:
        log.exception("source.failed", source=name)
        judged = [Unread(why=Fault.BAD_ANSWER, detail=f"{name} failed: {type(error).__name__}") for _ in queries]
    into.update({(query.metric, query.side): reading for query, reading in zip(queries, judged, strict=True)})


def _fitting(query: Query, reading: Reading) -> Reading:
    """Return a sound reading of the kind that was asked for; the core judges no other."""
    if not isinstance(reading, (NoData, Unread, READING_OF[query.kind])):
        detail = f"a reading of another kind ({type(reading).__name__}) for {query.metric}"
        return Unread(why=Fault.BAD_ANSWER, detail=detail)
    return sound(reading)
