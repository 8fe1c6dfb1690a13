import asyncio
import http.client
import json
import logging
import socket
import threading
from contextlib import ExitStack

import pytest

from canaryd.errors import OperatorError
from canaryd.telemetry import http as http_module
from canaryd.telemetry.http import HttpSurface
from canaryd.telemetry.status_board import MAX_DOCUMENT_BYTES, MIN_LIFE_S, StatusBoard

INTERVAL_S = 30.0


@pytest.fixture
def board(clock):
    board = StatusBoard()
    board.announce("shop", clock.now(), INTERVAL_S)
    return board


@pytest.fixture
def serve(board, instruments, clock):
    """Start a surface on a free port; it is stopped at the end of the test."""
    with ExitStack() as stack:

        def start(**options):
            surface = HttpSurface(board, instruments.registry, clock, **options)
            surface.start()
            stack.callback(surface.stop)
            return surface

        yield start


@pytest.fixture
def get(serve):
    """Ask a surface for a path and return status, headers and body."""
    default = []

    def ask(path, method="GET", surface=None, **headers):
        if surface is None:
            default[:] = default or [serve()]
            surface = default[0]
        connection = http.client.HTTPConnection(*surface.address, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    return ask


def status(answer):
    return answer[0]


def document(answer):
    return json.loads(answer[2])


def test_a_rollout_is_alive_until_its_tick_is_three_intervals_late(get, board, clock):
    board.publish("shop", {"rollout": "shop"}, clock.now(), INTERVAL_S)
    clock.elapsed = 3 * INTERVAL_S - 0.1
    assert status(get("/livez")) == 200
    clock.elapsed = 3 * INTERVAL_S
    answer = get("/livez")
    assert status(answer) == 503
    assert document(answer)["rollouts"] == [
        {"rollout": "shop", "alive": False, "ticked": True, "down": "", "age_s": 90.0, "limit_s": 90.0}
    ]


def test_a_rollout_that_never_ticked_is_measured_from_when_it_was_announced(get, clock):
    clock.elapsed = 3 * INTERVAL_S - 0.1
    assert status(get("/livez")) == 200
    clock.elapsed = 3 * INTERVAL_S
    assert status(get("/livez")) == 503


def test_very_short_intervals_do_not_make_a_slow_look_deadly(get, board, clock):
    board.beat("shop", clock.now(), 0.1)
    clock.elapsed = MIN_LIFE_S - 0.1
    assert status(get("/livez")) == 200
    clock.elapsed = MIN_LIFE_S
    assert status(get("/livez")) == 503


def test_one_stuck_rollout_among_several_is_enough_and_is_named(get, board, clock):
    board.announce("search", clock.now(), INTERVAL_S)
    clock.elapsed = 100
    board.beat("search", clock.now(), INTERVAL_S)
    answer = get("/livez")
    assert status(answer) == 503
    assert [item["rollout"] for item in document(answer)["rollouts"] if not item["alive"]] == ["shop"]


def test_a_rollout_whose_policy_changed_gets_new_time_and_keeps_its_document(get, board, clock):
    board.publish("shop", {"stage": 1}, clock.now(), INTERVAL_S)
    clock.elapsed = 3 * INTERVAL_S
    board.announce("shop", clock.now(), INTERVAL_S)
    assert status(get("/livez")) == status(get("/readyz")) == 200
    assert document(get("/api/v1/rollouts/shop")) == {"stage": 1}


def test_nothing_is_expected_of_a_rollout_that_was_withdrawn(get, board, clock):
    clock.elapsed = 1000
    board.withdraw("shop")
    assert status(get("/livez")) == 200
    assert status(get("/api/v1/rollouts/shop")) == 404


def test_ready_means_that_every_rollout_has_finished_a_tick(get, board, clock):
    board.announce("search", clock.now(), INTERVAL_S)
    board.beat("shop", clock.now(), INTERVAL_S)
    answer = get("/readyz")
    assert (status(answer), document(answer)["waiting_for"]) == (503, ["search"])
    board.beat("search", clock.now(), INTERVAL_S)
    assert status(get("/readyz")) == 200


async def test_pages_answer_while_the_event_loop_is_stuck(get, board, clock):
    board.publish("shop", {"rollout": "shop", "stage": 2}, clock.now(), INTERVAL_S)
    answers = {}
    asked = threading.Event()

    def ask_from_outside():
        clock.elapsed = 3 * INTERVAL_S
        for path in ("/livez", "/metrics", "/api/v1/rollouts/shop"):
            answers[path] = get(path)
        asked.set()

    asker = threading.Thread(target=ask_from_outside)
    asyncio.get_running_loop().call_soon(asker.start)
    asyncio.get_running_loop().call_soon(asked.wait, 20)  # nothing else runs on the loop until then
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asker.join(10)
    assert {path: status(answer) for path, answer in answers.items()} == {
        "/livez": 503,
        "/metrics": 200,
        "/api/v1/rollouts/shop": 200,
    }
    assert document(answers["/api/v1/rollouts/shop"]) == {"rollout": "shop", "stage": 2}


def test_metrics_include_the_process_and_the_rollout(get, recorder, hold):
    recorder.record(hold)
    code, headers, body = get("/metrics")
    assert (code, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert b"process_resident_memory_bytes" in body
    assert b'canaryd_stage{rollout="shop"} 1.0' in body


def test_a_document_appears_with_the_first_tick(get, board, clock):
    assert status(get("/api/v1/rollouts/shop")) == 503
    board.publish("shop", '{"stage": 1}', clock.now(), INTERVAL_S)
    assert document(get("/api/v1/rollouts/shop")) == {"stage": 1}


def test_the_list_leads_to_every_rollout(get, board, clock):
    board.publish("shop", {"stage": 1}, clock.now(), INTERVAL_S)
    listed = document(get("/api/v1/rollouts"))["rollouts"]
    assert [item["rollout"] for item in listed] == ["shop"]
    assert document(get(listed[0]["url"])) == {"stage": 1}


def test_a_heartbeat_without_news_keeps_the_document(get, board, clock):
    board.publish("shop", {"stage": 1}, clock.now(), INTERVAL_S)
    board.beat("shop", clock.now(), INTERVAL_S)
    assert document(get("/api/v1/rollouts/shop")) == {"stage": 1}


def test_a_document_that_is_not_finite_json_is_refused_but_the_heart_beats(get, board, clock):
    clock.elapsed = 100
    with pytest.raises(ValueError, match="JSON"):
        board.publish("shop", {"value": float("nan")}, clock.now(), INTERVAL_S)
    assert status(get("/livez")) == 200


def test_a_huge_document_is_replaced_by_an_explanation(get, board, clock):
    board.publish("shop", {"filler": "x" * MAX_DOCUMENT_BYTES}, clock.now(), INTERVAL_S)
    assert "bytes" in document(get("/api/v1/rollouts/shop"))["error"]


def test_the_home_page_escapes_what_it_shows(get, board, clock):
    board.publish("shop", {"stage": 1, "summary": "<script>alert(1)</script>"}, clock.now(), INTERVAL_S)
    body = get("/")[2].decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    assert "<script" not in body


@pytest.mark.parametrize("path", ["/nowhere", "/metrics/more", "/api/v1/rollouts/", "/api/v1/rollouts/unknown", "/%00"])
def test_unknown_paths_are_not_found_and_say_so_in_json(get, path):
    answer = get(path)
    assert status(answer) == 404
    assert document(answer)["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/api/v1/rollouts/shop"])
def test_nothing_can_be_changed_over_http(get, method, path):
    code, headers, _ = get(path, method=method)
    assert (code, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/nowhere"])
def test_head_answers_like_get_without_a_body(get, path):
    assert get(path, method="HEAD")[0] == get(path)[0]
    assert get(path, method="HEAD")[2] == b""


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:80", "10.1.2.3", "canary.example"])
@pytest.mark.parametrize("path", ["/livez", "/metrics"])
def test_known_names_and_plain_addresses_are_served(serve, get, host, path):
    surface = serve(allowed_hosts=("Canary.Example",))
    assert status(get(path, surface=surface, Host=host)) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost, evil"]
)
@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_a_rebound_name_is_refused(get, host, path):
    assert status(get(path, Host=host)) == 421


def test_a_request_without_host_is_refused(serve):
    with socket.create_connection(serve().address, timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").readline().split()[1] == b"400"


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/nowhere"])
def test_every_answer_carries_the_protective_headers_and_no_banner(get, path):
    headers = get(path)[1]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Server"] is None


def test_error_answers_of_the_protocol_carry_no_version(serve):
    with socket.create_connection(serve().address, timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n")
        answer = connection.makefile("rb").read()
    assert b" 431 " in answer.splitlines()[0]
    assert b"Python" not in answer
    assert b"WSGI" not in answer


def test_a_slow_client_does_not_keep_others_waiting(serve, get):
    surface = serve()
    with socket.create_connection(surface.address, timeout=10) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert status(get("/livez", surface=surface)) == 200


def test_a_slow_client_is_cut_off_even_if_it_keeps_sending(serve):
    surface = serve(connection_s=0.3)
    with socket.create_connection(surface.address, timeout=0.05) as slow:
        answer = None
        for _ in range(100):
            try:
                slow.sendall(b"x")
                answer = slow.recv(1)
            except TimeoutError:
                continue
            except OSError:
                answer = b""
            break
    assert answer == b""


def test_connections_beyond_the_limit_are_told_so_and_room_comes_back(serve, get):
    surface = serve(connection_s=0.5, max_connections=2)
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(surface.address, timeout=10)) for _ in range(2)]
        with socket.create_connection(surface.address, timeout=10) as one_too_many:
            assert b"503" in one_too_many.makefile("rb").readline()
        for connection in slow:
            assert connection.recv(1) == b""  # cut off when their time is over
    surface_answers_again(surface, get)


def surface_answers_again(surface, get):
    """The thread of a cut connection gives its place back just after the cut; ask until it has."""
    for _ in range(200):
        try:
            if status(get("/livez", surface=surface)) == 200:
                return
        except OSError:
            continue
    pytest.fail("no room came back")


def test_an_endless_request_line_is_hung_up_on(serve):
    with socket.create_connection(serve().address, timeout=10) as connection:
        try:
            connection.sendall(b"GET /" + b"x" * 100_000)
            answer = connection.recv(100)
        except ConnectionError:
            answer = b""
    assert answer == b""


def test_a_page_that_fails_says_500_and_logs_it_without_stopping_the_others(get, board, monkeypatch, clock):
    board.publish("shop", "this is no JSON", clock.now(), INTERVAL_S)
    seen = []
    monkeypatch.setattr(http_module.log, "error", lambda event, **_: seen.append(event), raising=False)
    assert status(get("/")) == 500
    assert seen == ["http.failed"]
    assert status(get("/livez")) == 200


def test_a_taken_port_is_the_operators_to_solve(serve):
    port = serve().address[1]
    with pytest.raises(OperatorError, match=f"port {port}"):
        serve(port=port)


def test_the_surface_can_be_bound_to_ipv6(serve, get):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        surface = serve(host="::1")
    except OperatorError:
        pytest.skip("no IPv6 loopback here")
    assert status(get("/livez", surface=surface)) == 200


def test_after_stop_nobody_answers(serve):
    surface = serve()
    address = surface.address
    surface.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=1).close()


def test_requests_leave_no_trace_on_standard_error(get, capfd, caplog):
    with caplog.at_level(logging.INFO):
        get("/metrics")
        get("/nowhere")
    assert capfd.readouterr().err == ""
    assert caplog.records == []


def test_a_rollout_that_is_down_is_no_reason_to_restart_the_one_beside_it(board, clock, get):
    board.publish("shop", {}, clock.now(), 30.0)
    board.mark_down("till", clock.now(), "till.yaml: there is no such file")
    assert status(get("/livez")) == 200
    assert status(get("/readyz")) == 503
    assert document(get("/readyz"))["waiting_for"] == ["till"]


def test_a_process_in_which_no_rollout_runs_is_not_alive(board, clock, get):
    board.mark_down("shop", clock.now(), "shop.yaml: there is no such file")
    assert status(get("/livez")) == 503
