"""The promises of every metric source, kept by the fake and by the three real ones over real HTTP."""

import itertools
import json
from dataclasses import replace
from urllib.parse import parse_qs

import anyio
import pytest

from canaryd.core.readings import Absence, Counts, Fault, Gauge, Health, Histogram, MetricKind, NoData, Side, Unread
from canaryd.metrics.http_json import HttpJsonSource
from canaryd.metrics.prometheus import PrometheusSource
from canaryd.metrics.scrape import ScrapeSource
from canaryd.testing.sources import MetricSourceContract, ScriptedSource


class TestScriptedSource(MetricSourceContract):
    @pytest.fixture
    def queries(self, ask):
        return [ask(kind, "", side=side) for kind in MetricKind for side in Side]

    @pytest.fixture
    def source(self):
        def script(query, look):
            at = look.at.wall
            return {
                MetricKind.COUNTS: Counts(bad=1, total=50, span_s=30, newest_at=at),
                MetricKind.HISTOGRAM: Histogram(
                    buckets=((1.0, 4.0), (float("inf"), 5.0)), total_value=3.0, span_s=30, newest_at=at
                ),
                MetricKind.GAUGE: Gauge(value=0.9, newest_at=at),
                MetricKind.HEALTH: Health(up=True, detail="", newest_at=at),
            }[query.kind]

        return ScriptedSource(script, refuses={"misspelt": "did you mean rate?"})

    @pytest.fixture
    def misspelt_queries(self, ask, queries):
        return [(replace(queries[0], metric="misspelt"), "rate")]

    @pytest.fixture
    def empty_source(self, queries):
        down = {
            (q.metric, q.side): Health(up=False, detail="nobody there", newest_at=0)
            for q in queries
            if q.kind is MetricKind.HEALTH
        }
        return ScriptedSource(down)

    @pytest.fixture
    def unreachable_source(self):
        return ScriptedSource(_unreachable)

    @pytest.fixture
    def slow_source(self):
        def late(query, look):
            raise AssertionError("a source that is too slow has nothing to say")

        return _WithHealthDown(late, delay_s=60)


def _unreachable(query, look):
    if query.kind is MetricKind.HEALTH:
        return Health(up=False, detail="connection refused", newest_at=look.at.wall)
    return Unread(why=Fault.UNREACHABLE, detail="connection refused")


class _WithHealthDown(ScriptedSource):
    async def read(self, queries, look):
        readings = await super().read(queries, look)
        return [
            Health(up=False, detail=reading.detail, newest_at=0) if query.kind is MetricKind.HEALTH else reading
            for query, reading in zip(queries, readings, strict=True)
        ]


class OverHttp(MetricSourceContract):
    """Sources over HTTP: their world is one loopback server that empties, disappears or hangs."""

    @pytest.fixture
    async def opened(self, surroundings):
        sources = []

        def open_(kind, **options):
            sources.append(kind(kind.Options(**options), surroundings))
            return sources[-1]

        yield open_
        for each in sources:
            await each.aclose()

    @pytest.fixture
    def unreachable_source(self, source, web):
        web.close()
        return source

    @pytest.fixture
    def slow_source(self, source, web):
        web.hang = True
        return source

    @pytest.fixture
    def empty_source(self, source, web):
        self.empty(web)
        return source


class TestHttpJsonSource(OverHttp):
    @pytest.fixture
    def source(self, opened, web, page):
        web.pages["/health"] = page(json.dumps({"status": "healthy", "load": {"now": 0.7}}).encode())
        return opened(HttpJsonSource)

    def empty(self, web):
        web.pages["/health"].body = b"{}"

    @pytest.fixture
    def queries(self, ask, web):
        up = {"status": "healthy"}
        return [
            *(ask(MetricKind.HEALTH, web.url, side=side, up=up) for side in Side),
            *(ask(MetricKind.GAUGE, web.url, side=side, value="load.now") for side in Side),
        ]

    @pytest.fixture
    def misspelt_queries(self, ask, web):
        return [
            (ask(MetricKind.GAUGE, web.url, valeu="load.now"), "did you mean value"),
            (ask(MetricKind.GAUGE, web.url), "needs value"),
            (ask(MetricKind.GAUGE, web.url, value="load..now"), "no JMESPath"),
            (ask(MetricKind.HEALTH, web.url, up={"[": 1}), "no JMESPath"),
            (ask(MetricKind.HEALTH, web.url, path="/h/$servic"), "did you mean $service"),
            (ask(MetricKind.HEALTH, "ftp://somewhere"), "http"),
            (ask(MetricKind.HEALTH, "http://me:secret@somewhere"), "basic_auth"),
            (ask(MetricKind.COUNTS, web.url, bad="a", total="b"), "prometheus or scrape"),
            (ask(MetricKind.HISTOGRAM, web.url, histogram="a"), "prometheus or scrape"),
        ]


class TestScrapeSource(OverHttp):
    @pytest.fixture
    def source(self, opened, web, page):
        looks = itertools.count(1)
        web.pages["/metrics"] = lambda request: page(
            "".join(
                f"{line}\n"
                for n in [next(looks)]
                for line in (
                    f'requests_total{{code="200"}} {100 * n}',
                    f'requests_total{{code="500"}} {n}',
                    f'seconds_bucket{{le="1.0"}} {90 * n}',
                    f'seconds_bucket{{le="+Inf"}} {100 * n}',
                    f"seconds_sum {50 * n}",
                    f"seconds_count {100 * n}",
                    "memory_ratio 0.4",
                )
            ).encode()
        )
        return opened(ScrapeSource)

    def empty(self, web):
        page = web.pages["/metrics"](None)
        web.pages["/metrics"] = replace(page, body=b"")

    @pytest.fixture
    def queries(self, ask, web):
        return [
            query
            for side in Side
            for query in (
                ask(MetricKind.COUNTS, web.url, side=side, bad='requests_total{code=~"5.."}', total="requests_total"),
                ask(MetricKind.HISTOGRAM, web.url, side=side, histogram="seconds"),
                ask(MetricKind.GAUGE, web.url, side=side, value="memory_ratio"),
            )
        ]

    @pytest.fixture
    def misspelt_queries(self, ask, web):
        return [
            (ask(MetricKind.GAUGE, web.url, value='a{s="$servic"}'), "did you mean $service"),
            (ask(MetricKind.GAUGE, web.url, value="rate(a[1m])"), "Prometheus server"),
            (ask(MetricKind.GAUGE, web.url, value='a{b="c"'), "selector"),
            (ask(MetricKind.GAUGE, web.url, value='a{b=="c"}'), "condition"),
            (ask(MetricKind.GAUGE, web.url, value='a{b=~"("}'), "b=~"),
            (ask(MetricKind.GAUGE, web.url, value=""), "needs value"),
            (ask(MetricKind.COUNTS, web.url, bad="a", totl="b"), "did you mean total"),
            (ask(MetricKind.HEALTH, web.url), "http_json"),
        ]


class TestPrometheusSource(OverHttp):
    """Against canned answers of the query API; the real server is in ``tests/real``."""

    @pytest.fixture
    def source(self, opened, web, page):
        web.pages["/api/v1/query"] = lambda request: page(_answer(request))
        return opened(PrometheusSource, url=web.url)

    def empty(self, web):
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()
        known = web.pages["/api/v1/query"]
        web.pages["/api/v1/query"] = lambda request: replace(known(request), body=body)

    @pytest.fixture
    def queries(self, ask, web):
        return [
            query
            for side in Side
            for query in (
                ask(MetricKind.COUNTS, web.url, side=side, bad="sum(bad[$window])", total="sum(total[$window])"),
                ask(MetricKind.HISTOGRAM, web.url, side=side, histogram="sum by (le) (bucket[$window])"),
                ask(MetricKind.GAUGE, web.url, side=side, value='confidence{service="$service"}'),
            )
        ]

    @pytest.fixture
    def misspelt_queries(self, ask, web):
        return [
            (ask(MetricKind.GAUGE, web.url, value='a{s="$servic"}'), "did you mean $service"),
            (ask(MetricKind.GAUGE, web.url, value="a{s=$service}"), "inside quotes"),
            (ask(MetricKind.COUNTS, web.url, bad="a[$window]", total="a[5m]"), r"[$window]"),
            (ask(MetricKind.COUNTS, web.url, bad="a[$window]"), "needs total"),
            (ask(MetricKind.HISTOGRAM, web.url, histogramm="a"), "did you mean histogram"),
            (ask(MetricKind.HEALTH, web.url), "http_json"),
        ]


def _answer(request):
    form = {name: values[0] for name, values in parse_qs(request.form).items()}
    query, at = form["query"], float(form["time"])
    if query.startswith("max(timestamp("):
        found = [({}, at - 10)]
    elif "bucket" in query:
        found = [({"le": "1"}, 9), ({"le": "+Inf"}, 10)]
    else:
        found = [({}, 3)]
    result = [{"metric": labels, "value": [at, str(value)]} for labels, value in found]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def test_a_scripted_mapping_has_no_series_for_what_it_does_not_hold(ask, first_look):
    reading = anyio.run(ScriptedSource({}).read, [ask(MetricKind.GAUGE, "")], first_look)[0]
    assert isinstance(reading, NoData)
    assert reading.why is Absence.NO_SERIES
