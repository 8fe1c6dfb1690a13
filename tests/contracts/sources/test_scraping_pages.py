"""Counting without a Prometheus server: what a look reports is the growth of the page since the look before."""

from dataclasses import replace

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.core.readings import Absence, Counts, Fault, Gauge, Histogram, MetricKind, NoData, Side, Unread
from canaryd.metrics.exposition import parse_page, parse_selector
from canaryd.metrics.scrape import ScrapeOptions, ScrapeSource
from canaryd.testing.sources import look


@pytest.fixture
async def source(surroundings):
    source = ScrapeSource(ScrapeOptions(), surroundings)
    yield source
    await source.aclose()


@pytest.fixture
def shows(web, page):
    """Set the page's lines, without their common indentation."""

    def show(*lines, path="/metrics"):
        web.pages[path] = page("".join(f"{line}\n" for line in lines).encode())

    return show


@pytest.fixture
def errors(ask, web):
    return ask(MetricKind.COUNTS, web.url, bad='requests_total{code=~"5.."}', total="requests_total")


@pytest.fixture
def read_one(source):
    async def read(query, at_s=0.0, **changes):
        return (await source.read([query], replace(look(at_s), **changes)))[0]

    return read


def totals(ok, failed=None, instance="a"):
    lines = [f'requests_total{{code="200",instance="{instance}"}} {ok}']
    return lines if failed is None else [*lines, f'requests_total{{code="503",instance="{instance}"}} {failed}']


async def test_the_first_look_of_a_stage_only_sets_the_mark(read_one, shows, errors):
    shows(*totals(1000, 10))
    first = await read_one(errors)
    assert first == NoData(why=Absence.WARMING, detail="counting starts with this first look at the stage")
    shows(*totals(1100, 15))
    second = await read_one(errors, 30)
    assert second == Counts(bad=5, total=105, span_s=30, newest_at=look(30).at.wall)


async def test_another_stage_starts_counting_anew(read_one, shows, errors):
    shows(*totals(1000))
    await read_one(errors)
    shows(*totals(5000))
    assert (await read_one(errors, 30, stint="release#2")).why is Absence.WARMING
    shows(*totals(5010))
    assert (await read_one(errors, 60, stint="release#2")).total == 10


async def test_a_gap_of_more_than_three_intervals_is_not_counted(read_one, shows, errors):
    shows(*totals(1000))
    await read_one(errors)
    shows(*totals(2000))
    gap = await read_one(errors, 91)
    assert gap == NoData(why=Absence.WARMING, detail="counting starts again: the last look was 1 min 31 s ago")
    shows(*totals(2007))
    assert (await read_one(errors, 121)).total == 7


async def test_a_missed_look_is_made_up_for_by_the_next(read_one, shows, errors, web, page):
    shows(*totals(1000))
    await read_one(errors)
    web.pages["/metrics"] = page(status=500)
    assert (await read_one(errors, 30)).why is Fault.BAD_ANSWER
    shows(*totals(1200))
    assert await read_one(errors, 60) == Counts(bad=0, total=200, span_s=60, newest_at=look(60).at.wall)


async def test_a_restarted_process_counts_from_zero(read_one, shows, errors):
    shows(*totals(1000, 100))
    await read_one(errors)
    shows(*totals(20, 2))
    assert await read_one(errors, 30) == Counts(bad=2, total=22, span_s=30, newest_at=look(30).at.wall)


async def test_the_first_failure_ever_is_counted(read_one, shows, errors):
    shows(*totals(1000))
    await read_one(errors)
    shows(*totals(1009, 1))
    assert (await read_one(errors, 30)).bad == 1


async def test_a_series_that_left_takes_nothing_with_it(read_one, shows, errors):
    shows(*totals(1000), *totals(500, instance="b"))
    await read_one(errors)
    shows(*totals(1010))
    assert (await read_one(errors, 30)).total == 10


async def test_no_request_between_two_looks_is_no_traffic(read_one, shows, errors):
    shows(*totals(1000, 1))
    await read_one(errors)
    assert await read_one(errors, 30) == NoData(why=Absence.NO_TRAFFIC, detail="no request in the last 30 s")


async def test_two_looks_at_the_same_moment_lose_no_requests(read_one, shows, errors):
    shows(*totals(1000))
    await read_one(errors)
    shows(*totals(1004))
    assert (await read_one(errors, 0)).why is Absence.WARMING
    assert (await read_one(errors, 30)).total == 4


async def test_a_wall_clock_that_jumps_back_does_not_turn_points_old(read_one, shows, errors):
    shows(*totals(1000))
    await read_one(errors)
    shows(*totals(1001))
    before = await read_one(errors, 30)
    shows(*totals(1002))
    jumped = look(60)
    after = await read_one(errors, 60, at=replace(jumped.at, wall=jumped.at.wall - 7200))
    assert after.newest_at == before.newest_at + 30
    assert after.span_s == 30


async def test_both_sides_and_several_metrics_share_one_request_a_page(source, ask, web, shows):
    shows("a 1", "b 2")
    shows("a 3", path="/own")
    readings = await source.read(
        [
            ask(MetricKind.GAUGE, web.url, value="a"),
            ask(MetricKind.GAUGE, web.url, value="b"),
            ask(MetricKind.GAUGE, web.url, side=Side.STABLE, value="a", path="/own"),
        ],
        look(),
    )
    assert [reading.value for reading in readings] == [1, 2, 3]
    assert sorted(request.path for request in web.requests) == ["/metrics", "/own"]


async def test_what_a_real_service_shows_is_counted(read_one, ask, web, page):
    registry = prometheus_client.CollectorRegistry()
    seconds = prometheus_client.Histogram("http_seconds", "Time.", ["route"], registry=registry, buckets=(0.5, 1, 5))
    web.pages["/metrics"] = lambda request: page(prometheus_client.generate_latest(registry))
    query = ask(MetricKind.HISTOGRAM, web.url, histogram='http_seconds{route!="/health"}')
    seconds.labels("/a").observe(0.1)
    assert (await read_one(query)).why is Absence.WARMING
    for route, value in (("/a", 0.3), ("/b", 0.7), ("/b", 9.0), ("/health", 0.01)):
        seconds.labels(route).observe(value)
    reading = await read_one(query, 30)
    assert isinstance(reading, Histogram)
    assert reading.buckets == ((0.5, 1), (1.0, 2), (5.0, 2), (float("inf"), 3))
    assert reading.total_value == pytest.approx(10.0)


async def test_a_histogram_may_be_named_by_its_buckets_and_lack_a_sum(read_one, ask, web, shows):
    query = ask(MetricKind.HISTOGRAM, web.url, histogram="t_bucket")
    shows('t_bucket{le="1"} 1', 't_bucket{le="+Inf"} 2')
    await read_one(query)
    shows('t_bucket{le="1"} 3', 't_bucket{le="+Inf"} 6')
    reading = await read_one(query, 30)
    assert reading.buckets == ((1.0, 2), (float("inf"), 4))
    assert reading.total_value is None


@pytest.mark.parametrize("line", ['t_bucket{le="1"} 1', "t_bucket 1", 't_bucket{le="wide"} 1'])
async def test_buckets_that_cannot_be_ordered_are_a_bad_answer(read_one, ask, web, shows, line):
    query = ask(MetricKind.HISTOGRAM, web.url, histogram="t")
    shows(line)
    await read_one(query)
    assert (await read_one(query, 30)).why is Fault.BAD_ANSWER


async def test_a_misspelt_name_is_answered_with_the_nearest_on_the_page(read_one, ask, web, shows):
    shows(*totals(1))
    query = ask(MetricKind.COUNTS, web.url, bad="request_total", total="request_total")
    assert await read_one(query) == NoData(
        why=Absence.NO_SERIES, detail="the page has no request_total; its nearest name is requests_total"
    )


async def test_labels_that_nothing_has_are_told_apart_from_a_missing_name(read_one, ask, web, shows):
    shows("memory 1")
    reading = await read_one(ask(MetricKind.GAUGE, web.url, value='memory{service="$service"}'))
    assert reading.detail == "no series of memory on the page has the labels asked for"


async def test_a_gauge_of_several_series_is_not_guessed(read_one, ask, web, shows):
    shows('memory{pod="a"} 1', 'memory{pod="b"} 2')
    reading = await read_one(ask(MetricKind.GAUGE, web.url, value="memory"))
    assert isinstance(reading, Unread)
    assert reading.why is Fault.SEVERAL_SERIES
    assert '{pod="a"}, {pod="b"}' in reading.detail


async def test_one_of_several_is_chosen_by_the_side_s_own_labels(read_one, ask, web, shows):
    shows('memory{service="ion-stable"} 1', 'memory{service="ion-canary"} 2')
    reading = await read_one(ask(MetricKind.GAUGE, web.url, value='memory{service="$service"}'))
    assert isinstance(reading, Gauge)
    assert reading.value == 2


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
async def test_a_gauge_that_is_no_number_says_so(read_one, ask, web, shows, value):
    shows(f"memory {value}")
    assert (await read_one(ask(MetricKind.GAUGE, web.url, value="memory"))).why is Absence.NOT_A_NUMBER


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"a{", b"\xff\xfe", b"{}", b'a{b="c} 1'])
async def test_a_page_of_another_kind_is_a_bad_answer(read_one, ask, web, page, body):
    web.pages["/metrics"] = page(body)
    reading = await read_one(ask(MetricKind.GAUGE, web.url, value="a"))
    assert reading == Unread(why=Fault.BAD_ANSWER, detail="the page is not in the Prometheus text format")


@given(st.text(st.sampled_from('ab_{}="\\, \n#1.eN+~TYPE HELP'), max_size=60))
def test_no_page_whatever_does_more_than_being_refused(text):
    try:
        page = parse_page(text)
    except ValueError:
        return
    assert all(series for series in page.values())


@given(
    text=st.text(max_size=20),
    other=st.text(max_size=20),
)
def test_a_selector_chooses_exactly_the_label_values_it_names(text, other):
    from canaryd.metrics.promql import render
    from canaryd.metrics.series import Series

    page = {"m": [Series({"l": text}, 1.0), Series({"l": other}, 2.0)]}
    expected = [series for series in page["m"] if series.labels["l"] == text]
    rest = [series for series in page["m"] if series.labels["l"] != text]
    for op, chosen in (("=", expected), ("=~", expected), ("!=", rest), ("!~", rest)):
        selector = parse_selector(render(f'm{{l{op}"$value"}}', {"value": text}))
        assert selector.choose(page) == chosen


@pytest.mark.parametrize(
    ("selector", "codes"),
    [
        ('m{code=~"5.."}', ["500"]),
        ('m{code!~"5..|404"}', ["200"]),
        ("m{code!='500',}", ["200", "404"]),
        ('m{code=~"00"}', []),
        ('m{ code = "404" , method="" }', ["404"]),
        (" m ", ["200", "404", "500"]),
        ("m{}", ["200", "404", "500"]),
        (r"m{code=~`\d00`}", ["200", "500"]),
    ],
)
def test_selectors_mean_what_they_mean_in_prometheus(selector, codes):
    page = parse_page("".join(f'm{{code="{code}"}} 1\n' for code in ("200", "404", "500")))
    assert [series.labels["code"] for series in parse_selector(selector).choose(page)] == codes
