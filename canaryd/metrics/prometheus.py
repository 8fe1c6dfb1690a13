"""Reads both sides from a Prometheus server, or from anything that speaks its query API.

An instant query is stamped with the time it was asked, and a series that nobody writes any more stays visible for
five minutes. So each look also asks for the time of the newest raw sample of every selector that the numbers
depend on (``max(timestamp(<selector>))``). A reading is as old as the oldest of them: that time is its
``newest_at``, and beyond ``stale_after`` it is no reading at all. An expression without selectors is as new as
its evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated

import anyio
from pydantic import Field, field_validator

from canaryd.core.readings import Absence, MetricKind, NoData, Reading, Unread
from canaryd.metrics.expressions import Grammar, Keys
from canaryd.metrics.http_client import HttpReader
from canaryd.metrics.http_options import HttpOptions, Seconds, checked_url
from canaryd.metrics.prometheus_api import Vector, check_server, instant_query
from canaryd.metrics.prometheus_readings import Answers, Moment, Question, read
from canaryd.metrics.promql import render, uses_window
from canaryd.ports import Finding, Look, Query, Surroundings

MAX_DELAY_S = 3600.0
MAX_WINDOW_S = 86400.0

_GRAMMAR = Grammar(
    source="prometheus",
    kinds={
        MetricKind.COUNTS: Keys(needed=("bad", "total")),
        MetricKind.HISTOGRAM: Keys(needed=("histogram",), optional=("sum",)),
        MetricKind.GAUGE: Keys(needed=("value",)),
    },
    elsewhere={MetricKind.HEALTH: "a source of type http_json"},
)


class PrometheusOptions(HttpOptions):
    """A policy's section for a source of type ``prometheus``."""

    url: str
    """The server's address, with its route prefix if it has one."""
    delay: Annotated[Seconds, Field(ge=0, le=MAX_DELAY_S)] = 0.0
    """Seconds by which the data lags behind: everything is read as it was that long ago."""
    window: Annotated[Seconds, Field(gt=0, le=MAX_WINDOW_S)] = 60.0
    """The shortest look-back in seconds: at least two scrapes long, or rates have no value."""
    stale_after: Annotated[Seconds, Field(gt=0, le=MAX_WINDOW_S)] | None = None
    """Seconds after which the newest point is too old; by default two intervals, and at least ``window``."""

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        return checked_url(url)


class PrometheusSource:
    """Implements ``ports.MetricSource`` by PromQL: counts, histograms and gauges."""

    Options = PrometheusOptions

    def __init__(self, options: PrometheusOptions, surroundings: Surroundings) -> None:
        self._options = options
        self._http = HttpReader(options, surroundings)

    def validate(self, query: Query) -> None:
        """Raise ValueError for missing expressions, unknown placeholders, or counts without ``$window``."""
        _GRAMMAR.check(query)
        for key, template in query.expressions.items():
            render(template, query.target, self._options.window)
            if query.kind is not MetricKind.GAUGE and not uses_window(template):
                raise ValueError(
                    f"{key} of {query.metric} must look back over [$window], as in increase(…[$window]), "
                    "so that it never counts requests of the stage before"
                )

    async def read(self, queries: Sequence[Query], look: Look) -> Sequence[Reading]:
        """Ask everything at once, each text once, and return one reading for each query."""
        moment = self._moment(look)
        questions = [self._question(query, moment) for query in queries]
        waits = [self._warming(question, moment, look) for question in questions]
        ready = [question for question, wait in zip(questions, waits, strict=True) if wait is None]
        answers = await self._ask({text for each in ready for text in each.texts(moment)}, moment, look)
        return [wait or read(question, answers, moment) for question, wait in zip(questions, waits, strict=True)]

    async def check(self) -> Sequence[Finding]:
        """Ask for the server's version, or where that is not offered, for a constant."""
        return [await check_server(self._http, self._options.url)]

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    def _moment(self, look: Look) -> Moment:
        return Moment(
            evaluated_at=look.at.wall - self._options.delay,
            window_s=max(look.interval_s, self._options.window),
            stale_after_s=self._options.stale_after or max(2 * look.interval_s, self._options.window),
        )

    def _question(self, query: Query, moment: Moment) -> Question:
        return Question(
            query, {key: render(text, query.target, moment.window_s) for key, text in query.expressions.items()}
        )

    def _warming(self, question: Question, moment: Moment, look: Look) -> NoData | None:
        """Return why it is too early: what is seen now still belongs to the stage before."""
        looks_back = any(uses_window(template) for template in question.query.expressions.values())
        reach_s = self._options.delay + (moment.window_s if looks_back else 0.0)
        to_go_s = reach_s - look.stint_age_s
        if to_go_s <= 0:
            return None
        reach = f"the look-back of {moment.window_s:g} s" if looks_back else f"data that is {reach_s:g} s behind"
        detail = f"{reach} would reach into the stage before; {math.ceil(to_go_s)} s to go"
        return NoData(why=Absence.WARMING, detail=detail)

    async def _ask(self, texts: Iterable[str], moment: Moment, look: Look) -> Answers:
        answers: dict[str, Vector | Unread] = {}

        async def ask(text: str) -> None:
            answers[text] = await instant_query(
                self._http, self._options.url, text, at=moment.evaluated_at, deadline_s=look.deadline_s
            )

        async with anyio.create_task_group() as group:
            for text in texts:
                group.start_soon(ask, text)
        return answers
