"""Answers that no healthy Prometheus gives: each is named, none becomes a number."""

import json
import math
from urllib.parse import parse_qs

import pytest

from canaryd.core.readings import Absence, Fault, Gauge, Histogram, MetricKind, NoData, Unread
from canaryd.metrics.prometheus import PrometheusOptions, PrometheusSource
from canaryd.testing.sources import look

NOW = look().at.wall


def vector(*found, at=NOW):
    result = [{"metric": labels, "value": [at, str(value)]} for labels, value in found]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


@pytest.fixture
async def source(surroundings, web):
    source = PrometheusSource(PrometheusOptions(url=f"{web.url}/prefix/"), surroundings)
    yield source
    await source.aclose()


@pytest.fixture
def read(source, ask, web, page):
    """Read one query; ``body`` answers its expression, and every selector's newest point is 5 s old."""

    async def answer(body, kind=MetricKind.GAUGE, status=200, **expressions):
        def api(request):
            asked = parse_qs(request.form)["query"][0]
            return page(vector(({}, NOW - 5))) if asked.startswith("max(timestamp(") else page(body, status=status)

        web.pages["/prefix/api/v1/query"] = api
        return (await source.read([ask(kind, "", **(expressions or {"value": "m"}))], look()))[0]

    return answer


async def test_a_vector_of_one_is_a_number_as_new_as_its_newest_sample(read):
    assert await read(vector(({}, 0.5))) == Gauge(value=0.5, newest_at=NOW - 5)


async def test_a_scalar_is_as_new_as_its_evaluation(read):
    body = b'{"status":"success","data":{"resultType":"scalar","result":[1,"3"]}}'
    assert await read(body, value="scalar(1 + 2)") == Gauge(value=3, newest_at=NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"{}",
        b'{"status":"success"}',
        b'{"status":"success","data":{"resultType":"matrix","result":[]}}',
        b'{"status":"success","data":{"resultType":"string","result":[1,"x"]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":{}},"value":[1,"1"]}]}}',
        b'{"data":' + b"[" * 100_000,
    ],
)
async def test_an_answer_of_another_form_is_a_bad_answer(read, body):
    reading = await read(body)
    assert isinstance(reading, Unread)
    assert reading.why is Fault.BAD_ANSWER


@pytest.mark.parametrize(
    ("status", "body", "why", "detail"),
    [
        (400, {"errorType": "bad_data", "error": "parse error"}, Fault.REFUSED, "400 Bad Request: parse error"),
        (503, {"errorType": "timeout", "error": "query timed out"}, Fault.TIMEOUT, "503 Service Unavailable: query"),
        (422, {"errorType": "execution", "error": "too\nmany"}, Fault.REFUSED, "422 Unprocessable Entity: too many"),
        (502, {}, Fault.BAD_ANSWER, "502 Bad Gateway"),
    ],
)
async def test_an_error_is_told_in_the_server_s_own_words(read, status, body, why, detail):
    reading = await read(json.dumps({"status": "error", **body}).encode(), status=status)
    assert reading.why is why
    assert reading.detail.startswith(detail)


async def test_a_long_story_is_cut_short(read):
    body = json.dumps({"status": "error", "errorType": "bad_data", "error": "x" * 5000}).encode()
    assert len((await read(body, status=400)).detail) < 230


async def test_bad_counts_that_are_not_a_number_are_not_zero(source, ask, web, page):
    def api(request):
        asked = parse_qs(request.form)["query"][0]
        value = {"b[60s]": "NaN", "t[60s]": 10}.get(asked, NOW)
        return page(vector(({}, value)))

    web.pages["/prefix/api/v1/query"] = api
    query = ask(MetricKind.COUNTS, "", bad="b[$window]", total="t[$window]")
    (reading,) = await source.read([query], look())
    assert isinstance(reading, NoData)
    assert reading.why is Absence.NOT_A_NUMBER


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ([({"le": "+Inf"}, 3), ({"le": "1"}, 2), ({"le": "0.5"}, 2.5)], ((0.5, 2.5), (1.0, 2.5), (math.inf, 3.0))),
        ([({"le": "+Inf"}, 3), ({"le": "1"}, 1), ({"le": "1.0"}, 1)], ((1.0, 2.0), (math.inf, 3.0))),
        ([({"le": "1"}, 1)], Fault.BAD_ANSWER),
        ([({}, 1)], Fault.BAD_ANSWER),
        ([({"le": "wide"}, 1)], Fault.BAD_ANSWER),
        ([({"le": str(n)}, 1) for n in range(501)] + [({"le": "+Inf"}, 1)], Fault.BAD_ANSWER),
        ([({"le": "+Inf"}, "NaN")], Absence.NOT_A_NUMBER),
        ([({"le": "+Inf"}, 0), ({"le": "1"}, 0)], Absence.NO_TRAFFIC),
        ([({"le": "+Inf", "pod": "a"}, 1), ({"le": "+Inf", "pod": "b"}, 1)], Fault.SEVERAL_SERIES),
    ],
)
async def test_buckets_are_ordered_and_made_whole_or_refused(read, found, outcome):
    reading = await read(vector(*found), MetricKind.HISTOGRAM, histogram="h[$window]")
    assert (reading.buckets if isinstance(reading, Histogram) else reading.why) == outcome


async def test_the_same_text_is_asked_once_a_look(source, ask, web, page):
    web.pages["/prefix/api/v1/query"] = lambda request: page(vector(({}, NOW)))
    await source.read([ask(MetricKind.GAUGE, "", value="m"), ask(MetricKind.GAUGE, "", value="m")], look())
    assert sorted(parse_qs(request.form)["query"][0] for request in web.requests) == ["m", "max(timestamp(m))"]
    assert {request.method for request in web.requests} == {"POST"}
    assert parse_qs(web.requests[0].form)["timeout"] == ["4500ms"]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"url": "ftp://host"}, "http"),
        ({"url": "http://"}, "with a host"),
        ({"url": "http://me:secret@host"}, "use basic_auth"),
        ({"url": "http://host/?token=x"}, "a query"),
        ({"url": "http://host:99999"}, "not a URL"),
        ({"url": "http://host", "window": 0}, "greater than 0"),
        ({"url": "http://host", "delay": "2 d"}, "less than or equal"),
        ({"url": "http://host", "headers": {}}, "Extra inputs"),
        ({}, "Field required"),
    ],
)
def test_options_that_cannot_work_are_refused(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        PrometheusOptions.model_validate(wrong)


@pytest.mark.parametrize(("build_status", "api_body"), [(200, b""), (404, vector(({}, 1), at=0))])
async def test_check_falls_back_to_a_constant_where_the_version_is_hidden(source, web, page, build_status, api_body):
    web.pages["/prefix/api/v1/status/buildinfo"] = page(b"{}", status=build_status)
    web.pages["/prefix/api/v1/query"] = page(api_body)
    assert [finding.ok for finding in await source.check()] == [True]
