"""Reads each side's own metrics page, and counts by comparing two looks: no Prometheus server is needed.

A page holds running totals since its process started. What a look reports is the growth since the look before, so
the first look of a stage only sets the mark, and a restarted process counts from zero. One page is one process:
behind a load balancer every look would see another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import anyio
from anyio import to_thread

from canaryd.config.misfit import nearest
from canaryd.core.readings import Absence, Fault, Gauge, MetricKind, NoData, Reading, Unread
from canaryd.metrics import series
from canaryd.metrics.exposition import Page, Selector, parse_page, parse_selector
from canaryd.metrics.expressions import Grammar, Keys
from canaryd.metrics.http_client import HttpReader
from canaryd.metrics.http_options import HttpOptions, side_url
from canaryd.metrics.increase import CounterMemory, Increase
from canaryd.metrics.promql import render
from canaryd.metrics.series import Series
from canaryd.metrics.steady_time import SteadyTime
from canaryd.ports import Finding, Look, Query, Surroundings

ACCEPT = "text/plain; version=0.0.4"

_GRAMMAR = Grammar(
    source="scrape",
    kinds={
        MetricKind.COUNTS: Keys(needed=("bad", "total"), optional=("path",)),
        MetricKind.HISTOGRAM: Keys(needed=("histogram",), optional=("sum", "path")),
        MetricKind.GAUGE: Keys(needed=("value",), optional=("path",)),
    },
    elsewhere={MetricKind.HEALTH: "a source of type http_json"},
)


class ScrapeOptions(HttpOptions):
    """A policy's section for a source of type ``scrape``."""

    path: str = "/metrics"
    """Where the page is, below each side's ``url``; a metric may give a ``path`` of its own."""


class ScrapeSource:
    """Implements ``ports.MetricSource`` by the Prometheus text format: counts, histograms and gauges."""

    Options = ScrapeOptions

    def __init__(self, options: ScrapeOptions, surroundings: Surroundings) -> None:
        self._path = options.path
        self._http = HttpReader(options, surroundings)
        self._memory = CounterMemory()
        self._time = SteadyTime()

    def validate(self, query: Query) -> None:
        """Raise ValueError for missing expressions, malformed selectors, unknown placeholders or a missing url."""
        _GRAMMAR.check(query)
        self._url(query)
        _selectors(query)

    async def read(self, queries: Sequence[Query], look: Look) -> Sequence[Reading]:
        """Read each page once, then answer every query from it."""
        pages = await self._pages({self._url(query) for query in queries}, look)
        return [self._reading(query, pages[self._url(query)], look) for query in queries]

    async def check(self) -> Sequence[Finding]:
        """Say nothing: each side's page is read only when a metric asks for it."""
        return []

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    def _url(self, query: Query) -> str:
        return side_url(query.target, query.expressions.get("path", self._path))

    async def _pages(self, urls: Iterable[str], look: Look) -> Mapping[str, Page | Unread]:
        pages: dict[str, Page | Unread] = {}

        async def fetch(url: str) -> None:
            pages[url] = await self._page(url, look)

        async with anyio.create_task_group() as group:
            for url in urls:
                group.start_soon(fetch, url)
        return pages

    async def _page(self, url: str, look: Look) -> Page | Unread:
        answer = await self._http.get(url, deadline_s=look.deadline_s, accept=ACCEPT)
        if isinstance(answer, Unread):
            return answer
        if not answer.ok:
            return answer.refusal()
        try:  # a large page takes a moment to parse: not on the event loop
            return await to_thread.run_sync(lambda: parse_page(answer.body.decode()), abandon_on_cancel=True)
        except ValueError:
            return Unread(why=Fault.BAD_ANSWER, detail="the page is not in the Prometheus text format")

    def _reading(self, query: Query, page: Page | Unread, look: Look) -> Reading:
        if isinstance(page, Unread):
            return page
        selectors = _selectors(query)
        found = {key: selector.choose(page) for key, selector in selectors.items()}
        newest_at = self._time.unix(look.at)
        if query.kind is MetricKind.GAUGE:
            return _gauge(found["value"], newest_at) or _nothing(selectors["value"], page)
        return self._growth(query, found, look, newest_at) or _nothing(selectors[_DECISIVE[query.kind]], page)

    def _growth(self, query: Query, found: Found, look: Look, newest_at: float) -> Reading | None:
        if not all(math.isfinite(each.value) for all_ in found.values() for each in all_):
            return series.not_a_number()
        increase = self._memory.increase((query.metric, query.side), found, look)
        if not found[_DECISIVE[query.kind]]:
            return None
        if isinstance(increase, NoData):
            return increase
        if query.kind is MetricKind.COUNTS:
            bad, total = increase.total("bad"), increase.total("total")
            return series.counts(bad, total, span_s=increase.span_s, newest_at=newest_at)
        return _histogram(increase, newest_at)


Found = Mapping[str, Sequence[Series]]
"""The chosen series by expression."""

_DECISIVE = {MetricKind.COUNTS: "total", MetricKind.HISTOGRAM: "histogram", MetricKind.GAUGE: "value"}
"""The expression without which there is no reading."""


def _selectors(query: Query) -> Mapping[str, Selector]:
    """Return the selectors of a query, a histogram's as its ``_bucket`` and ``_sum``."""
    given = {
        key: parse_selector(render(text, query.target)) for key, text in query.expressions.items() if key != "path"
    }
    if query.kind is not MetricKind.HISTOGRAM:
        return given
    base = given["histogram"].name.removesuffix("_bucket")
    of_base = {part: given["histogram"].renamed(f"{base}_{suffix}") for part, suffix in _HISTOGRAM_PARTS.items()}
    return {**of_base, "sum": given.get("sum", of_base["sum"])}


_HISTOGRAM_PARTS = {"histogram": "bucket", "sum": "sum"}


def _histogram(increase: Increase, newest_at: float) -> Reading:
    buckets = series.buckets(increase.series["histogram"])
    if isinstance(buckets, Unread):
        return buckets
    total_value = increase.total("sum") if increase.series["sum"] else None
    return series.histogram(buckets, total_value, span_s=increase.span_s, newest_at=newest_at)


def _gauge(found: Sequence[Series], newest_at: float) -> Reading | None:
    if not found:
        return None
    if len(found) > 1:
        return series.several(found, "name the labels of the one that is meant")
    value = found[0].value
    return Gauge(value=value, newest_at=newest_at) if math.isfinite(value) else series.not_a_number()


def _nothing(selector: Selector, page: Page) -> NoData:
    if selector.name in page:
        detail = f"no series of {selector.name} on the page has the labels asked for"
    else:
        close = nearest(selector.name, page)
        detail = f"the page has no {selector.name}{f'; its nearest name is {close}' if close else ''}"
    return NoData(why=Absence.NO_SERIES, detail=detail)
