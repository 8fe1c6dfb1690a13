"""A metric source that says what a test wants, and the promises that every metric source must keep.

Plugin authors subclass ``MetricSourceContract`` and provide its fixtures; pytest does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import anyio

from canaryd.core.model import Instant
from canaryd.core.readings import (
    Absence,
    Counts,
    Fault,
    Gauge,
    Health,
    Histogram,
    MetricKind,
    NoData,
    Reading,
    ReadingKey,
    Unread,
    sound,
)
from canaryd.ports import Finding, Look, MetricSource, Query

Script = Callable[[Query, Look], Reading]

READING_OF: Mapping[MetricKind, type] = {
    MetricKind.COUNTS: Counts,
    MetricKind.HISTOGRAM: Histogram,
    MetricKind.GAUGE: Gauge,
    MetricKind.HEALTH: Health,
}
"""What a kind of metric is read as when all is well."""


class ScriptedSource:
    """Implements ``ports.MetricSource`` from a function of query and look, or from fixed readings by (metric, side).

    A metric that a mapping does not hold has no series. ``looks`` keeps what was asked, ``closed`` whether
    connections were given back. ``delay_s`` is how long each answer takes; longer than the look's deadline it
    becomes a timeout, as with a real source.
    """

    def __init__(
        self,
        script: Script | Mapping[ReadingKey, Reading],
        *,
        delay_s: float = 0.0,
        findings: Sequence[Finding] = (),
        refuses: Mapping[str, str] | None = None,
    ) -> None:
        self.script: Script = script if callable(script) else _from_mapping(script)
        self.delay_s = delay_s
        self.findings = findings
        self.refuses = refuses or {}
        self.looks: list[Look] = []
        self.closed = False

    def validate(self, query: Query) -> None:
        """Raise ValueError for the metrics named in ``refuses``, with their message."""
        if query.metric in self.refuses:
            raise ValueError(self.refuses[query.metric])

    async def read(self, queries: Sequence[Query], look: Look) -> Sequence[Reading]:
        """Return what the script says."""
        self.looks.append(look)
        await anyio.sleep(min(self.delay_s, look.deadline_s))
        if self.delay_s >= look.deadline_s:
            late = Unread(why=Fault.TIMEOUT, detail=f"no answer within {look.deadline_s:g} s")
            return [late for _ in queries]
        return [self.script(query, look) for query in queries]

    async def check(self) -> Sequence[Finding]:
        """Return the findings it was given."""
        return self.findings

    async def aclose(self) -> None:
        """Remember that it was closed."""
        self.closed = True


def _from_mapping(readings: Mapping[ReadingKey, Reading]) -> Script:
    def read(query: Query, look: Look) -> Reading:  # noqa: ARG001 (fixed readings are the same at every look)
        nothing = NoData(why=Absence.NO_SERIES, detail=f"nothing is scripted for {query.metric} on {query.side}")
        return readings.get((query.metric, query.side), nothing)

    return read


def look(at_s: float = 0.0, *, stint_age_s: float = 3600.0, deadline_s: float = 5.0, wall: float = 1.7e9) -> Look:
    """Return a look ``at_s`` seconds into a test, in the middle of a stage."""
    at = Instant(wall=wall + at_s, elapsed=at_s, run="test")
    return Look(at=at, stint="release#1", stint_age_s=stint_age_s, interval_s=30.0, deadline_s=deadline_s)


class MetricSourceContract:
    """What the engine relies on. Subclasses provide the fixtures that the tests take as arguments.

    ``source`` reads good data for all of ``queries`` (both sides) at ``second_look``, once it has read
    ``first_look`` of the same stint. ``empty_source`` reaches a world that knows none of the metrics,
    ``unreachable_source`` one that refuses connections, ``slow_source`` one that never answers.
    ``misspelt_queries`` are (query, word that the complaint must hold).
    """

    names_absence: ClassVar[frozenset[Absence]] = frozenset({Absence.NO_SERIES, Absence.WARMING})
    """How an empty world may be described."""

    async def test_it_reads_every_query_in_order_as_what_its_kind_is(
        self, source: MetricSource, queries: Sequence[Query], first_look: Look, second_look: Look
    ) -> None:
        """The engine pairs readings with queries by position."""
        await source.read(queries, first_look)
        readings = await source.read(queries, second_look)
        assert [type(reading) for reading in readings] == [READING_OF[query.kind] for query in queries], readings

    async def test_no_reading_lands_on_another_metric_when_the_order_changes(
        self, source: MetricSource, queries: Sequence[Query], first_look: Look, second_look: Look
    ) -> None:
        """What a source remembers is by metric and side, not by position."""
        await source.read(queries, first_look)
        turned = [*reversed(queries)]
        readings = await source.read(turned, second_look)
        assert [type(reading) for reading in readings] == [READING_OF[query.kind] for query in turned], readings

    async def test_good_readings_are_sound(
        self, source: MetricSource, queries: Sequence[Query], first_look: Look, second_look: Look
    ) -> None:
        """Nothing that a source calls good is turned down by the core."""
        await source.read(queries, first_look)
        readings = await source.read(queries, second_look)
        assert [sound(reading) for reading in readings] == list(readings)

    async def test_the_newest_point_is_not_from_the_future(
        self, source: MetricSource, queries: Sequence[Query], first_look: Look, second_look: Look
    ) -> None:
        """A point from the future would hide the next ones."""
        await source.read(queries, first_look)
        for reading in await source.read(queries, second_look):
            assert not isinstance(reading, (NoData, Unread))
            assert reading.newest_at <= second_look.at.wall + 1

    async def test_asking_nothing_answers_nothing(self, source: MetricSource, first_look: Look) -> None:
        """A source that no metric uses is still polled."""
        assert list(await source.read([], first_look)) == []

    async def test_good_queries_are_valid(self, source: MetricSource, queries: Sequence[Query]) -> None:
        """What can be read passes validation."""
        for query in queries:
            source.validate(query)

    async def test_misspelt_queries_are_refused_with_a_hint(
        self, source: MetricSource, misspelt_queries: Sequence[tuple[Query, str]]
    ) -> None:
        """The complaint names what was meant, before anything moves."""
        assert misspelt_queries
        for query, hint in misspelt_queries:
            assert hint in _complaint(source, query)

    async def test_an_empty_world_is_no_data_and_never_a_number(
        self, empty_source: MetricSource, queries: Sequence[Query], first_look: Look, second_look: Look
    ) -> None:
        """Missing is not zero. Health is the exception: a missing page is its sign."""
        await empty_source.read(queries, first_look)
        for query, reading in zip(queries, await empty_source.read(queries, second_look), strict=True):
            if query.kind is MetricKind.HEALTH:
                assert isinstance(reading, Health)
                assert not reading.up
            else:
                assert isinstance(reading, NoData), reading
                assert reading.why in self.names_absence
                assert reading.detail

    async def test_an_unreachable_world_is_said_to_be(
        self, unreachable_source: MetricSource, queries: Sequence[Query], first_look: Look
    ) -> None:
        """Nobody listening is an error value with words, not an exception."""
        for query, reading in zip(queries, await unreachable_source.read(queries, first_look), strict=True):
            assert _failed(query, reading, Fault.UNREACHABLE), reading

    async def test_a_hung_world_costs_no_more_than_the_deadline(
        self, slow_source: MetricSource, queries: Sequence[Query], first_look: Look
    ) -> None:
        """The look goes on without it."""
        hurried = replace(first_look, deadline_s=0.3)
        with anyio.fail_after(2.0):
            readings = await slow_source.read(queries, hurried)
        for query, reading in zip(queries, readings, strict=True):
            assert _failed(query, reading, Fault.TIMEOUT), reading

    async def test_closing_twice_is_harmless(self, source: MetricSource) -> None:
        """A failed start closes what was opened, and then everything."""
        await source.aclose()
        await source.aclose()


def _complaint(source: MetricSource, query: Query) -> str:
    try:
        source.validate(query)
    except ValueError as error:
        return str(error)
    return ""


def _failed(query: Query, reading: Reading, fault: Fault) -> bool:
    if query.kind is MetricKind.HEALTH:
        return isinstance(reading, Health) and not reading.up and bool(reading.detail)
    return isinstance(reading, Unread) and reading.why is fault and bool(reading.detail)
