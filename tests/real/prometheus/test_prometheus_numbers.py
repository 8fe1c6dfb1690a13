"""A real Prometheus and its arithmetic: what it counted is what canaryd reads."""

import math
import random
from dataclasses import replace

import pytest

from canaryd.core.readings import Counts, Gauge, Histogram, MetricKind, NoData, quantile

pytestmark = pytest.mark.prometheus


BOUNDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, math.inf)


async def test_requests_and_errors_of_the_window_are_counted(prometheus, read_one, service, now, counts):
    prometheus.grow("requests_total", 5, until=now, service=service, code="200")
    prometheus.grow("requests_total", 0.5, until=now, service=service, code="503")
    reading = await read_one(counts)
    assert isinstance(reading, Counts)
    assert reading.total == pytest.approx(5.5 * 60)
    assert reading.bad == pytest.approx(0.5 * 60)
    assert reading.span_s == 60


async def test_a_service_that_never_failed_has_no_errors(prometheus, read_one, service, now, counts):
    prometheus.grow("requests_total", 5, until=now, service=service, code="200")
    reading = await read_one(counts)
    assert isinstance(reading, Counts)
    assert reading.bad == 0


async def test_the_look_back_grows_with_the_interval(opened, prometheus, look_now, service, now, counts):
    prometheus.grow("requests_total", 2, until=now, service=service, code="200")
    source = opened(prometheus.url, window="40s")
    for interval_s, expected_s in ((10.0, 40), (300.0, 300)):
        seen = replace(look_now(), interval_s=interval_s)
        reading = (await source.read([counts], seen))[0]
        assert reading.span_s == expected_s
        assert reading.total == pytest.approx(2 * expected_s)


async def test_a_restarted_service_is_counted_through_its_reset(prometheus, read_one, service, now, counts):
    before = [(now - 60, 1000.0), (now - 50, 1100.0), (now - 40, 1200.0)]
    after = [(now - 30, 50.0), (now - 20, 150.0), (now - 10, 250.0), (now, 350.0)]
    prometheus.write("requests_total", before + after, service=service, code="200")
    reading = await read_one(counts)
    assert reading.total == pytest.approx(200 + 50 + 300)


async def test_quantiles_are_those_of_prometheus_itself(prometheus, read_one, service, now, latency):
    chance = random.Random(7)
    for instance in ("a", "b"):
        growth = 0.0
        for bound in BOUNDS:
            growth += chance.random()
            le = "+Inf" if math.isinf(bound) else f"{bound:g}"
            prometheus.grow("seconds_bucket", growth, until=now, service=service, le=le, instance=instance)
    prometheus.grow("seconds_sum", 7, until=now, service=service)
    reading = await read_one(latency)
    assert isinstance(reading, Histogram)
    assert [bound for bound, _ in reading.buckets] == list(BOUNDS)
    assert reading.total_value == pytest.approx(7 * 60)
    rendered = latency.expressions["histogram"].replace("$service", service).replace("$window", "60s")
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
