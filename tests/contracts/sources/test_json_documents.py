"""What a health page may say, and what its silence means."""

import json

import pytest

from canaryd.core.readings import Absence, Fault, Gauge, Health, MetricKind
from canaryd.metrics.http_json import HttpJsonOptions, HttpJsonSource
from canaryd.testing.sources import look

UP = {"status": "healthy", "pipeline_ready": True}
HEALTHY = {"status": "healthy", "pipeline_ready": True, "version": "1.4.2"}


@pytest.fixture
async def source(surroundings):
    source = HttpJsonSource(HttpJsonOptions(timeout=0.5), surroundings)
    yield source
    await source.aclose()


@pytest.fixture
def health(source, ask, web, page):
    async def read(document, *, up=UP, status=200):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        web.pages["/health"] = page(body, status=status)
        return (await source.read([ask(MetricKind.HEALTH, web.url, up=up)], look()))[0]

    return read


@pytest.fixture
def gauge(source, ask, web, page):
    async def read(body, value="load.now", status=200):
        web.pages["/health"] = page(body, status=status)
        return (await source.read([ask(MetricKind.GAUGE, web.url, value=value)], look()))[0]

    return read


async def test_a_healthy_service_is_up_and_tells_its_version(health):
    assert await health(HEALTHY) == Health(up=True, detail="", newest_at=look().at.wall, version="1.4.2")


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        (HEALTHY | {"status": "degraded"}, "status is degraded, not healthy"),
        (HEALTHY | {"pipeline_ready": False}, "pipeline_ready is false, not true"),
        (HEALTHY | {"pipeline_ready": 1}, "pipeline_ready is 1, not true"),
        (HEALTHY | {"pipeline_ready": "true"}, "pipeline_ready is the text true, not true"),
        ({"status": "healthy"}, "pipeline_ready is missing, not true"),
        (HEALTHY | {"status": {"a": 1}}, "status is an object, not healthy"),
        (HEALTHY | {"status": "bad\nnews"}, "status is bad\\nnews, not healthy"),
        ([], "status is missing, not healthy"),
        (b"OK", "the answer is not JSON"),
        (b'{"status": NaN}', "the answer is not JSON"),
        (b"[" * 200_000, "the answer is not JSON"),
        (b"\xff", "the answer is not JSON"),
    ],
)
async def test_what_is_not_as_it_should_be_is_named(health, document, detail):
    reading = await health(document)
    assert not reading.up
    assert reading.detail == detail


async def test_a_failing_status_is_down_whatever_the_document_says(health):
    reading = await health(HEALTHY, status=503)
    assert (reading.up, reading.detail) == (False, "503 Service Unavailable")


async def test_a_failing_status_comes_with_the_document_s_own_words(health):
    reading = await health({"status": "starting", "pipeline_ready": True}, status=503)
    assert reading.detail == "503 Service Unavailable, status is starting, not healthy"


async def test_without_expectations_any_2xx_is_up(health):
    assert (await health(b"fine, thanks", up={}, status=204)).up
    assert not (await health(b"moved", up={}, status=301)).up


@pytest.mark.parametrize(("version", "shown"), [("v" * 5000, "v" * 100), (7, ""), ("1\x1b[2J", "1[2J")])
async def test_a_version_is_short_printable_text_or_nothing(health, version, shown):
    assert (await health(HEALTHY | {"version": version})).version == shown


async def test_a_service_that_is_gone_is_down(source, ask, web):
    web.close()
    reading = (await source.read([ask(MetricKind.HEALTH, web.url, up=UP)], look()))[0]
    assert reading == Health(up=False, detail=f"connection refused by {web.address}", newest_at=look().at.wall)


async def test_a_service_that_hangs_is_down(source, ask, web):
    web.hang = True
    reading = (await source.read([ask(MetricKind.HEALTH, web.url, up=UP)], look()))[0]
    assert (reading.up, reading.detail) == (False, "no answer within 0.5 s")


async def test_a_number_is_picked_out_of_the_document(gauge):
    assert await gauge(b'{"load": {"now": 7}}') == Gauge(value=7.0, newest_at=look().at.wall)
    assert (await gauge(b'[{"ok": 1}, {"ok": 3}]', "sum([].ok)")).value == 4


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"load": {"now": true}}', Fault.BAD_ANSWER),
        (b'{"load": {"now": "7"}}', Fault.BAD_ANSWER),
        (b'{"load": {"now": [7]}}', Fault.BAD_ANSWER),
        (b'{"load": {"now": null}}', Absence.NO_SERIES),
        (b"{}", Absence.NO_SERIES),
        (b'{"load": {"now": NaN}}', Fault.BAD_ANSWER),
        (b'{"load": {"now": 1e999}}', Absence.NOT_A_NUMBER),
        (b'{"load": {"now": 1' + b"0" * 400 + b"}}", Absence.NOT_A_NUMBER),
        (b'{"load": {"now": 1' + b"0" * 5000 + b"}}", Fault.BAD_ANSWER),
        (b"", Fault.BAD_ANSWER),
    ],
)
async def test_what_is_no_number_is_never_taken_for_one(gauge, body, why):
    assert (await gauge(body)).why is why


async def test_a_function_that_cannot_be_applied_is_a_bad_answer(gauge):
    assert (await gauge(b'{"load": "high"}', "abs(load)")).why is Fault.BAD_ANSWER


async def test_a_gauge_needs_a_good_answer(gauge):
    assert (await gauge(b'{"load": {"now": 7}}', status=500)).detail == "500 Internal Server Error"


async def test_one_document_is_read_once_for_all_its_metrics(source, ask, web, page):
    web.pages["/health"] = page(json.dumps(HEALTHY | {"load": 1}).encode())
    queries = [ask(MetricKind.HEALTH, web.url, up=UP), ask(MetricKind.GAUGE, web.url, value="load")]
    readings = await source.read(queries, look())
    assert [type(reading) for reading in readings] == [Health, Gauge]
    assert len(web.requests) == 1
