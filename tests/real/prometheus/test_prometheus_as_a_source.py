"""A real Prometheus keeps the promises of every source, and tells two scraped services apart."""

import time
from dataclasses import replace

import pytest

from canaryd.core.readings import Absence, Counts, MetricKind, NoData, Side
from canaryd.testing.sources import MetricSourceContract, look

pytestmark = pytest.mark.prometheus


class TestContractOnARealServer(MetricSourceContract):
    @pytest.fixture
    def first_look(self, look_now):
        return look_now()

    @pytest.fixture
    def second_look(self, look_now):
        return look_now(at_s=30)

    @pytest.fixture
    def queries(self, counts, latency, confidence):
        return [replace(query, side=side) for side in Side for query in (counts, latency, confidence)]

    @pytest.fixture
    def misspelt_queries(self, query):
        return [(query(MetricKind.GAUGE, value='a{s="$serivce"}'), "did you mean $service")]

    @pytest.fixture
    def source(self, source, prometheus, service, now):
        for code in ("200", "500"):
            prometheus.grow("requests_total", 5, until=now + 30, service=service, code=code)
        for le in ("1", "+Inf"):
            prometheus.grow("seconds_bucket", 3, until=now + 30, service=service, le=le)
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
