"""Whatever keeps a real Prometheus from giving a number has a name of its own."""

import math
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from canaryd.core.readings import Absence, Fault, Gauge, MetricKind, NoData, Unread

pytestmark = pytest.mark.prometheus


async def test_nothing_at_all_is_not_zero(read_one, counts):
    reading = await read_one(counts)
    assert isinstance(reading, NoData)
    assert reading.why is Absence.NO_SERIES
    assert "returned nothing: sum(increase(requests_total" in reading.detail


async def test_a_look_back_that_holds_a_single_scrape_is_explained(prometheus, read_one, service, now, counts):
    prometheus.grow("requests_total", 5, until=now - 5, step_s=60, service=service, code="200")
    reading = await read_one(counts)
    assert isinstance(reading, NoData)
    assert reading.detail.endswith("although its series have points: are there two of them within 60 s?")


async def test_a_side_without_requests_has_no_rate(prometheus, read_one, service, now, counts):
    prometheus.grow("requests_total", 0, until=now, service=service, code="200")
    reading = await read_one(counts)
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
        prometheus.grow("seconds_bucket", 1, until=now, service=service, le="+Inf", instance=instance)
    reading = await read_one(
        query(MetricKind.HISTOGRAM, histogram='increase(seconds_bucket{service="$service"}[$window])')
    )
    assert isinstance(reading, Unread)
    assert reading.why is Fault.SEVERAL_SERIES
    assert "sum by (le)" in reading.detail


async def test_not_a_number_is_no_number(prometheus, read_one, service, now, confidence):
    prometheus.write("confidence", [(now, math.nan)], service=service)
    reading = await read_one(confidence)
    assert isinstance(reading, NoData)
    assert reading.why is Absence.NOT_A_NUMBER


async def test_errors_above_the_total_are_not_believed(prometheus, read_one, service, now, counts):
    prometheus.grow("requests_total", 5, until=now, service=service, code="200")
    total = counts.expressions["total"]
    reading = await read_one(replace(counts, expressions={"bad": f"2 * {total}", "total": total}))
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


async def test_a_hung_server_is_given_up_in_time(opened, prometheus, look_now, confidence):
    source = opened(prometheus.url, timeout=0.3)
    with prometheus.hung():
        reading = (await source.read([confidence], look_now()))[0]
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
async def test_credentials_open_the_door(opened, guarded, prometheus, look_now, now, service, credentials, confidence):
    prometheus.write("confidence", [(now, 0.8)], service=service)
    reading = (await opened(guarded, **credentials).read([confidence], look_now()))[0]
    assert reading == Gauge(value=0.8, newest_at=now)


async def test_without_credentials_the_refusal_is_told(opened, guarded, look_now, confidence):
    reading = (await opened(guarded).read([confidence], look_now()))[0]
    assert reading == Unread(why=Fault.REFUSED, detail="401 Unauthorized")
