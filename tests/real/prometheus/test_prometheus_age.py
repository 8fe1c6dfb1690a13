"""A real Prometheus shows a dead series for five minutes: canaryd knows better, and how old everything is."""

import pytest

from canaryd.core.readings import Absence, Counts, Gauge, MetricKind, NoData
from canaryd.metrics.promql import selectors

pytestmark = pytest.mark.prometheus


async def test_a_look_without_a_new_scrape_is_the_same_sample(source, prometheus, look_now, service, now, confidence):
    prometheus.write("confidence", [(now - 17, 0.8)], service=service)
    for later_s in (0, 20):
        reading = (await source.read([confidence], look_now(at_s=later_s)))[0]
        assert reading == Gauge(value=0.8, newest_at=now - 17)


async def test_a_series_that_nobody_writes_any_more_is_stale_long_before_prometheus_forgets_it(
    prometheus, read_one, service, now, confidence
):
    prometheus.write("confidence", [(now - 240, 0.8)], service=service)
    reading = await read_one(confidence)
    assert reading == NoData(why=Absence.STALE, detail="the newest point is 4 min old")


async def test_an_answer_is_as_old_as_its_oldest_part(prometheus, read_one, query, service, now):
    prometheus.write("used", [(now - 200, 80.0)], service=service)
    prometheus.write("limit", [(now - 5, 100.0)], service=service)
    reading = await read_one(query(MetricKind.GAUGE, value='used{service="$service"} / limit{service="$service"}'))
    assert isinstance(reading, NoData)
    assert reading.why is Absence.STALE


async def test_counts_that_stopped_are_stale_rather_than_unknown(prometheus, read_one, service, now, counts):
    prometheus.grow("requests_total", 5, until=now - 120, service=service, code="200")
    reading = await read_one(counts)
    assert reading == NoData(why=Absence.STALE, detail="the newest point is 2 min old")


@pytest.mark.parametrize(("age_s", "fresh"), [(420, True), (700, False)])
async def test_rare_points_count_where_the_operator_allows_them_to_be_old(
    opened, prometheus, look_now, service, now, age_s, fresh, counts
):
    prometheus.grow("requests_total", 1, until=now - age_s, step_s=60, service=service, code="200")
    source = opened(prometheus.url, window="15m", stale_after="10m")
    reading = (await source.read([counts], look_now()))[0]
    assert isinstance(reading, Counts) is fresh, reading
    if fresh:
        assert reading.newest_at == now - age_s


async def test_late_data_is_read_as_of_when_it_was_complete(opened, prometheus, look_now, service, now, confidence):
    prometheus.write("confidence", [(now - 190, 0.7), (now - 10, 0.1)], service=service)
    reading = (await opened(prometheus.url, delay="180s").read([confidence], look_now()))[0]
    assert reading == Gauge(value=0.7, newest_at=now - 190)


async def test_late_data_of_a_new_stage_is_waited_for_even_without_a_look_back(
    opened, prometheus, look_now, service, now, confidence
):
    prometheus.write("confidence", [(now - 190, 0.7)], service=service)
    source = opened(prometheus.url, delay=180)
    (early,) = await source.read([confidence], look_now(stint_age_s=170))
    assert early == NoData(
        why=Absence.WARMING, detail="data that is 180 s behind would reach into the stage before; 10 s to go"
    )
    assert isinstance((await source.read([confidence], look_now(stint_age_s=180)))[0], Gauge)


async def test_a_new_stage_waits_until_the_look_back_lies_inside_it(prometheus, read_one, service, now, counts):
    prometheus.grow("requests_total", 5, until=now, service=service, code="200")
    early = await read_one(counts, stint_age_s=48)
    assert early == NoData(
        why=Absence.WARMING, detail="the look-back of 60 s would reach into the stage before; 12 s to go"
    )
    assert isinstance(await read_one(counts, stint_age_s=60), Counts)


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
