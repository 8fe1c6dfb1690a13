"""What people read on canaryd's status when a real Prometheus has this or that to say, or nothing."""

import math
import random
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from canaryd.core.readings import Absence, Counts, Fault, Gauge, Histogram, MetricKind, NoData, Side, Unread, quantile
from canaryd.metrics.promql import selectors
from canaryd.testing.sources import MetricSourceContract, look

pytestmark = pytest.mark.prometheus

COUNTS = {
    "bad": 'sum(increase(requests_total{service="$service",code=~"5.."}[$window]))',
    "total": 'sum(increase(requests_total{service="$service"}[$window]))',
}
CONFIDENCE = {"value": 'avg(confidence{service="$service"})'}
LATENCY = {
    "histogram": 'sum by (le) (increase(seconds_bucket{service="$service"}[$window]))',
    "sum": 'sum(increase(seconds_sum{service="$service"}[$window]))',
}
BOUNDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, math.inf)


def every(step_s, until, *, growing, last_s=600):
    """Samples of a counter that grows by ``growing`` a second."""
    count = int(last_s / step_s)
    return [(until - step_s * (count - n), growing * step_s * n) for n in range(count + 1)]


@pytest.fixture
def source(opened, prometheus):
    return opened(prometheus.url)


@pytest.fixture
def read_one(source, look_now):
    async def read(query, **look):
        return (await source.read([query], look_now(**look)))[0]

    return read


# ---------------------------------------------------------------- numbers


async def test_requests_and_errors_of_the_window_are_counted(prometheus, read_one, query, service, now):
    prometheus.write("requests_total", every(10, now, growing=5), service=service, code="200")
    prometheus.write("requests_total", every(10, now, growing=0.5), service=service, code="503")
    reading = await read_one(query(MetricKind.COUNTS, **COUNTS))
    assert isinstance(reading, Counts)
    assert reading.total == pytest.approx(5.5 * 60)
    assert reading.bad == pytest.approx(0.5 * 60)
    assert reading.span_s == 60


async def test_a_service_that_never_failed_has_no_errors(prometheus, read_one, query, service, now):
    prometheus.write("requests_total", every(10, now, growing=5), service=service, code="200")
    reading = await read_one(query(MetricKind.COUNTS, **COUNTS))
    assert isinstance(reading, Counts)
    assert reading.bad == 0


async def test_the_look_back_grows_with_the_interval(opened, prometheus, look_now, query, service, now):
    prometheus.write("requests_total", every(10, now, growing=2), service=service, code="200")
    source = opened(prometheus.url, window="40s")
    for interval_s, expected_s in ((10.0, 40), (300.0, 300)):
        seen = replace(look_now(), interval_s=interval_s)
        reading = (await source.read([query(MetricKind.COUNTS, **COUNTS)], seen))[0]
        assert reading.span_s == expected_s
        assert reading.total == pytest.approx(2 * expected_s)


async def test_a_restarted_service_is_counted_through_its_reset(prometheus, read_one, query, service, now):
    before = [(now - 60, 1000.0), (now - 50, 1100.0), (now - 40, 1200.0)]
    after = [(now - 30, 50.0), (now - 20, 150.0), (now - 10, 250.0), (now, 350.0)]
    prometheus.write("requests_total", before + after, service=service, code="200")
    reading = await read_one(query(MetricKind.COUNTS, **COUNTS))
    assert reading.total == pytest.approx(200 + 50 + 300)


async def test_quantiles_are_those_of_prometheus_itself(prometheus, read_one, query, service, now):
    chance = random.Random(7)
    for instance in ("a", "b"):
        growth = 0.0
        for bound in BOUNDS:
            growth += chance.random()
            le = "+Inf" if math.isinf(bound) else f"{bound:g}"
            prometheus.write(
                "seconds_bucket", every(10, now, growing=growth), service=service, le=le, instance=instance
            )
    prometheus.write("seconds_sum", every(10, now, growing=7), service=service)
    reading = await read_one(query(MetricKind.HISTOGRAM, **LATENCY))
    assert isinstance(reading, Histogram)
    assert [bound for bound, _ in reading.buckets] == list(BOUNDS)
    assert reading.total_value == pytest.approx(7 * 60)
    rendered = LATENCY["histogram"].replace("$service", service).replace("$window", "60s")
    for q in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999):
        theirs = float(prometheus.ask(f"histogram_quantile({q}, {rendered})", now)[0]["value"][1])
        assert quantile(reading, q) == pytest.approx(theirs, abs=1e-6)


async def test_a_label_cannot_break_out_of_its_quotes(prometheus, read_one, query, now):
    for hostile in ('x"} or vector(1) #', "back\\slash", "new\nline", "dot.*", "{a}|$(b)"):
        prometheus.write("confidence", [(now, 0.5)], service=hostile)
        for op in ("=", "=~"):
            reading = await read_one(
                query(MetricKind.GAUGE, service=hostile, value=f'confidence{{service{op}"$service"}}')
            )
            assert reading == Gauge(value=0.5, newest_at=now), hostile
    reading = await read_one(query(MetricKind.GAUGE, service="d.t.*", value='confidence{service=~"$service"}'))
    assert isinstance(reading, NoData)


# ---------------------------------------------------------------- age


async def test_a_look_without_a_new_scrape_is_the_same_sample(source, prometheus, look_now, query, service, now):
    prometheus.write("confidence", [(now - 17, 0.8)], service=service)
    for later_s in (0, 20):
        reading = (await source.read([query(MetricKind.GAUGE, **CONFIDENCE)], look_now(at_s=later_s)))[0]
        assert reading == Gauge(value=0.8, newest_at=now - 17)


async def test_a_series_that_nobody_writes_any_more_is_stale_long_before_prometheus_forgets_it(
    prometheus, read_one, query, service, now
):
    prometheus.write("confidence", [(now - 240, 0.8)], service=service)
    reading = await read_one(query(MetricKind.GAUGE, **CONFIDENCE))
    assert reading == NoData(why=Absence.STALE, detail="the newest point is 4 min old")


async def test_an_answer_is_as_old_as_its_oldest_part(prometheus, read_one, query, service, now):
    prometheus.write("used", [(now - 200, 80.0)], service=service)
    prometheus.write("limit", [(now - 5, 100.0)], service=service)
    reading = await read_one(query(MetricKind.GAUGE, value='used{service="$service"} / limit{service="$service"}'))
    assert isinstance(reading, NoData)
    assert reading.why is Absence.STALE


async def test_counts_that_stopped_are_stale_rather_than_unknown(prometheus, read_one, query, service, now):
    prometheus.write("requests_total", every(10, now - 120, growing=5), service=service, code="200")
    reading = await read_one(query(MetricKind.COUNTS, **COUNTS))
    assert reading == NoData(why=Absence.STALE, detail="the newest point is 2 min old")


@pytest.mark.parametrize(("age_s", "fresh"), [(420, True), (700, False)])
async def test_rare_points_count_where_the_operator_allows_them_to_be_old(
    opened, prometheus, look_now, query, service, now, age_s, fresh
):
    prometheus.write("requests_total", every(60, now - age_s, growing=1), service=service, code="200")
    source = opened(prometheus.url, window="15m", stale_after="10m")
    reading = (await source.read([query(MetricKind.COUNTS, **COUNTS)], look_now()))[0]
    assert isinstance(reading, Counts) is fresh, reading
    if fresh:
        assert reading.newest_at == now - age_s


async def test_late_data_is_read_as_of_when_it_was_complete(opened, prometheus, look_now, query, service, now):
    prometheus.write("confidence", [(now - 190, 0.7), (now - 10, 0.1)], service=service)
    reading = (await opened(prometheus.url, delay="180s").read([query(MetricKind.GAUGE, **CONFIDENCE)], look_now()))[0]
    assert reading == Gauge(value=0.7, newest_at=now - 190)


async def test_a_new_stage_waits_until_the_look_back_lies_inside_it(prometheus, read_one, query, service, now):
    prometheus.write("requests_total", every(10, now, growing=5), service=service, code="200")
    early = await read_one(query(MetricKind.COUNTS, **COUNTS), stint_age_s=48)
    assert early == NoData(
        why=Absence.WARMING, detail="the look-back of 60 s would reach into the stage before; 12 s to go"
    )
    assert isinstance(await read_one(query(MetricKind.COUNTS, **COUNTS), stint_age_s=60), Counts)


EXPRESSIONS = [
    'sum by (le) (increase(seconds_bucket{service="a}b"}[60s]))',
    'sum(rate(a{x=~"5.."}[1m] offset 5m)) without (foo) / on(instance) group_left(bar) b',
    '{__name__=~"conf.*",service!~"x"} + 1e-3 * Inf - NaN',
    "max_over_time(rate(foo[5m])[10m:1m]) # it's a \"comment\n or vector(0)",
    "a{x='1'} @ end() > bool 0.5 and on() b unless ignoring(q) c",
    "SUM(job:errors:rate5m) BY (c) ^ 2",
    'label_replace(topk(3, foo), "a", "$1", "b", "(.*)")',
    'quantile_over_time(0.9, foo{a=""}[5m]) > -1',
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_selector_found_in_an_expression_has_an_age_of_its_own(prometheus, expression, now):
    found = selectors(expression)
    assert found
    for selector in found:
        prometheus.ask(f"max(timestamp({selector}))", now)
    prometheus.ask(expression, now)


# ---------------------------------------------------------------- everything else has a name of its own


async def test_nothing_at_all_is_not_zero(read_one, query):
    reading = await read_one(query(MetricKind.COUNTS, **COUNTS))
    assert isinstance(reading, NoData)
    assert reading.why is Absence.NO_SERIES
    assert "returned nothing: sum(increase(requests_total" in reading.detail


async def test_a_look_back_that_holds_a_single_scrape_is_explained(prometheus, read_one, query, service, now):
    prometheus.write("requests_total", every(60, now - 5, growing=5), service=service, code="200")
    reading = await read_one(query(MetricKind.COUNTS, **COUNTS))
    assert isinstance(reading, NoData)
    assert reading.detail.endswith("although its series have points: are there two of them within 60 s?")


async def test_a_side_without_requests_has_no_rate(prometheus, read_one, query, service, now):
    prometheus.write("requests_total", every(10, now, growing=0), service=service, code="200")
    reading = await read_one(query(MetricKind.COUNTS, **COUNTS))
    assert reading == NoData(why=Absence.NO_TRAFFIC, detail="no request in the last 60 s")


async def test_several_series_are_named_and_none_of_them_is_chosen(prometheus, read_one, query, service, now):
    for code in ("500", "502", "503", "504"):
        prometheus.write("confidence", [(now, 1)], service=service, code=code)
    reading = await read_one(query(MetricKind.GAUGE, value='confidence{service="$service"}'))
    assert reading == Unread(
        why=Fault.SEVERAL_SERIES,
        detail='4 series where one number was expected: {code="500"}, {code="502"}, {code="503"} …: '
        "wrap the query in sum()",
    )


async def test_a_histogram_of_several_instances_must_be_summed(prometheus, read_one, query, service, now):
    for instance in ("a", "b"):
        prometheus.write("seconds_bucket", every(10, now, growing=1), service=service, le="+Inf", instance=instance)
    reading = await read_one(
        query(MetricKind.HISTOGRAM, histogram='increase(seconds_bucket{service="$service"}[$window])')
    )
    assert isinstance(reading, Unread)
    assert reading.why is Fault.SEVERAL_SERIES
    assert "sum by (le)" in reading.detail


async def test_not_a_number_is_no_number(prometheus, read_one, query, service, now):
    prometheus.write("confidence", [(now, math.nan)], service=service)
    reading = await read_one(query(MetricKind.GAUGE, **CONFIDENCE))
    assert isinstance(reading, NoData)
    assert reading.why is Absence.NOT_A_NUMBER


async def test_errors_above_the_total_are_not_believed(prometheus, read_one, query, service, now):
    prometheus.write("requests_total", every(10, now, growing=5), service=service, code="200")
    reading = await read_one(query(MetricKind.COUNTS, bad=f"2 * {COUNTS['total']}", total=COUNTS["total"]))
    assert reading == Unread(why=Fault.BAD_ANSWER, detail="600 bad of 300 in total cannot be true")


async def test_a_query_that_prometheus_rejects_is_told_in_its_own_words(read_one, query):
    reading = await read_one(query(MetricKind.GAUGE, value="sum(confidence"))
    assert isinstance(reading, Unread)
    assert reading.why is Fault.REFUSED
    assert reading.detail.startswith("400 Bad Request: ")
    assert "unclosed left parenthesis" in reading.detail


async def test_a_query_that_cannot_be_evaluated_is_told_in_prometheus_own_words(
    prometheus, read_one, query, service, now
):
    prometheus.write("confidence", [(now, 1)], service=service, code="a")
    prometheus.write("confidence", [(now, 1)], service=service, code="b")
    both = 'confidence{service="$service"}'
    reading = await read_one(query(MetricKind.GAUGE, value=f"{both} / on(service) {both}"))
    assert isinstance(reading, Unread)
    assert reading.detail.startswith("422 ")
    assert "duplicate series" in reading.detail


async def test_a_range_without_a_function_is_explained(prometheus, read_one, query, service, now):
    prometheus.write("confidence", [(now, 1)], service=service)
    reading = await read_one(query(MetricKind.GAUGE, value='confidence{service="$service"}[1m]'))
    assert isinstance(reading, Unread)
    assert "function around the [range]" in reading.detail


async def test_a_hung_server_is_given_up_in_time(opened, prometheus, look_now, query):
    source = opened(prometheus.url, timeout=0.3)
    with prometheus.hung():
        reading = (await source.read([query(MetricKind.GAUGE, **CONFIDENCE)], look_now()))[0]
    assert reading == Unread(why=Fault.TIMEOUT, detail="no answer within 0.3 s")


@pytest.fixture
def guarded(prometheus):
    """A proxy before Prometheus that lets only our credentials through."""
    allowed = {"Bearer honey-token", httpx.BasicAuth("canaryd", "honey-password")._auth_header}

    class Guard(BaseHTTPRequestHandler):
        def do_POST(self):
            form = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("authorization") not in allowed:
                self.send_error(401)
                return
            headers = {"content-type": self.headers["content-type"]}
            answer = httpx.post(prometheus.url + self.path, content=form, headers=headers, trust_env=False)
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Guard) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


CREDENTIALS = [{"token_from": "prom-token"}, {"basic_auth": {"username": "canaryd", "password_from": "prom-password"}}]


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=["token", "basic"])
async def test_credentials_open_the_door(opened, guarded, prometheus, look_now, query, now, service, credentials):
    prometheus.write("confidence", [(now, 0.8)], service=service)
    reading = (await opened(guarded, **credentials).read([query(MetricKind.GAUGE, **CONFIDENCE)], look_now()))[0]
    assert reading == Gauge(value=0.8, newest_at=now)


async def test_without_credentials_the_refusal_is_told(opened, guarded, look_now, query):
    reading = (await opened(guarded).read([query(MetricKind.GAUGE, **CONFIDENCE)], look_now()))[0]
    assert reading == Unread(why=Fault.REFUSED, detail="401 Unauthorized")


# ---------------------------------------------------------------- as a whole


class TestContractOnARealServer(MetricSourceContract):
    @pytest.fixture
    def first_look(self, look_now):
        return look_now()

    @pytest.fixture
    def second_look(self, look_now):
        return look_now(at_s=30)

    @pytest.fixture
    def queries(self, query):
        return [
            built
            for side in Side
            for built in (
                query(MetricKind.COUNTS, side=side, **COUNTS),
                query(MetricKind.HISTOGRAM, side=side, **LATENCY),
                query(MetricKind.GAUGE, side=side, **CONFIDENCE),
            )
        ]

    @pytest.fixture
    def misspelt_queries(self, query):
        return [(query(MetricKind.GAUGE, value='a{s="$serivce"}'), "did you mean $service")]

    @pytest.fixture
    def source(self, source, prometheus, service, now):
        for code in ("200", "500"):
            prometheus.write("requests_total", every(10, now + 30, growing=5), service=service, code=code)
        for le in ("1", "+Inf"):
            prometheus.write("seconds_bucket", every(10, now + 30, growing=3), service=service, le=le)
        prometheus.write("confidence", [(now, 0.9), (now + 30, 0.9)], service=service)
        return source

    @pytest.fixture
    def empty_source(self, opened, prometheus):
        return opened(prometheus.url)

    @pytest.fixture
    def unreachable_source(self, opened):
        return opened("http://127.0.0.1:1")

    @pytest.fixture
    def slow_source(self, opened, prometheus):
        with prometheus.hung():
            yield opened(prometheus.url)


async def test_check_says_whether_a_prometheus_answers(opened, prometheus):
    good, bad = opened(prometheus.url), opened("http://127.0.0.1:1")
    assert [finding.ok for finding in await good.check()] == [True]
    (finding,) = await bad.check()
    assert not finding.ok
    assert finding.detail == "connection refused by 127.0.0.1:1"


async def test_two_scraped_services_are_told_apart(opened, prometheus, services, query):
    """Everything real: two services, their pages, the server that scrapes them, and the source."""
    for side, service in services.items():
        service.confidence.set({Side.STABLE: 0.9, Side.CANARY: 0.6}[side])
        service.serve(200, 0.2)
        service.serve(500, 0.2)
    for side in Side:
        prometheus.wait_for(f'count_over_time(http_requests_total{{service="scraped-{side}",code="500"}}[30s]) > 2')
    services[Side.CANARY].serve(200, 3.0, times=40)
    services[Side.CANARY].serve(500, 3.0, times=10)
    prometheus.wait_for('sum(increase(http_requests_total{service="scraped-canary"}[60s])) >= 50')
    expressions = {
        "bad": 'sum(increase(http_requests_total{service="$service",code=~"5.."}[$window]))',
        "total": 'sum(increase(http_requests_total{service="$service"}[$window]))',
    }
    value = {"value": 'avg(confidence_score{service="$service"})'}
    queries = [
        query(kind, side=side, service=f"scraped-{side}", **given)
        for side in Side
        for kind, given in ((MetricKind.COUNTS, expressions), (MetricKind.GAUGE, value))
    ]
    at = time.time()
    idle, stable, busy, canary = await opened(prometheus.url).read(queries, look(wall=at))
    assert isinstance(idle, NoData)
    assert idle.why is Absence.NO_TRAFFIC
    assert isinstance(busy, Counts)
    assert busy.bad / busy.total == pytest.approx(0.2, abs=0.03)  # Prometheus extrapolates each series by itself
    assert (stable.value, canary.value) == (0.9, 0.6)
    assert at - 3 < canary.newest_at <= at
