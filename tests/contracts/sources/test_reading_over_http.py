"""What a hostile, broken or misconfigured server can do to a reader: nothing but be named."""

import gzip
import socket
import ssl
import threading

import httpx
import pytest

from canaryd.core.readings import Fault, Unread
from canaryd.errors import OperatorError
from canaryd.metrics.http_client import Answer, HttpReader
from canaryd.metrics.http_options import HttpOptions


@pytest.fixture
async def reader(surroundings):
    opened = []

    def open_(max_bytes=4 * 1024 * 1024, **options):
        opened.append(HttpReader(HttpOptions(**options), surroundings, max_bytes=max_bytes))
        return opened[-1]

    yield open_
    for each in opened:
        await each.aclose()


async def test_a_whole_answer_is_read(reader, web, page):
    web.pages["/x"] = page(b"hello", status=503)
    assert await reader().get(f"{web.url}/x", deadline_s=5) == Answer(503, b"hello")


async def test_too_large_an_answer_is_cut_off(reader, web, page):
    web.pages["/x"] = page(b"a" * (4 * 1024 * 1024 + 1))
    answer = await reader().get(f"{web.url}/x", deadline_s=5)
    assert answer == Unread(why=Fault.BAD_ANSWER, detail="the answer has more than 4 MiB")


async def test_an_answer_as_large_as_the_limit_is_read(reader, web, page):
    web.pages["/x"] = page(b"a" * 1000)
    assert await reader(max_bytes=1000).get(f"{web.url}/x", deadline_s=5) == Answer(200, b"a" * 1000)


async def test_a_compressed_bomb_is_never_unpacked(reader, web, page):
    web.pages["/x"] = page(gzip.compress(b"\0" * 50_000_000), headers={"content-encoding": "gzip"})
    answer = await reader().get(f"{web.url}/x", deadline_s=5)
    assert answer == Unread(why=Fault.BAD_ANSWER, detail="the answer is compressed, which was not asked for")
    assert web.requests[0].headers["accept-encoding"] == "identity"


async def test_a_redirect_is_not_followed_so_that_no_credential_travels(reader, web, page):
    web.pages["/x"] = page(status=302, headers={"location": "/elsewhere"})
    answer = await reader(token_from="prom-token").get(f"{web.url}/x", deadline_s=5)
    assert answer.refusal().detail == "302 Found (redirects are not followed)"
    assert [request.path for request in web.requests] == ["/x"]


async def test_a_proxy_in_the_environment_is_ignored(reader, web, page, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    web.pages["/x"] = page(b"hello")
    assert (await reader().get(f"{web.url}/x", deadline_s=5)).ok


@pytest.fixture
def raw_server():
    """A server of bytes: ``raw_server(talk)`` calls ``talk(connection, stopped)`` for the first client."""
    stopped = threading.Event()
    opened, threads = [], []

    def serve(talk):
        listener = socket.create_server(("127.0.0.1", 0))

        def run():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                talk(connection, stopped)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        opened.append(listener)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield serve
    stopped.set()
    for thread in threads:
        thread.join(5)
    for listener in opened:
        listener.close()


async def test_one_byte_at_a_time_does_not_stretch_the_deadline(reader, raw_server):
    def drip(connection, stopped):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        try:
            while not stopped.wait(0.05):
                connection.sendall(b"a")
        except OSError:
            pass

    answer = await reader(timeout=0.4).get(raw_server(drip), deadline_s=5)
    assert answer == Unread(why=Fault.TIMEOUT, detail="no answer within 0.4 s")


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
async def test_a_broken_answer_is_unreachable_and_named(reader, raw_server, said):
    url = raw_server(lambda connection, stopped: connection.sendall(said))
    answer = await reader().get(url, deadline_s=5)
    assert isinstance(answer, Unread)
    assert answer.why is Fault.UNREACHABLE
    assert answer.detail == f"{url[7:-1]} broke off, or does not speak HTTP"


async def test_nobody_listening_is_told_with_the_address(reader, web):
    web.close()
    answer = await reader().get(f"{web.url}/x?token=SECRET", deadline_s=5)
    assert answer == Unread(why=Fault.UNREACHABLE, detail=f"connection refused by {web.address}")


async def test_a_name_that_does_not_exist_is_told(reader):
    answer = await reader().get("http://nobody.invalid/x", deadline_s=5)
    assert answer == Unread(why=Fault.UNREACHABLE, detail="the name in nobody.invalid:80 cannot be resolved")


async def test_a_server_without_tls_is_told(reader, web):
    answer = await reader().get(f"https://{web.address}/x", deadline_s=5)
    assert answer.why is Fault.UNREACHABLE
    assert answer.detail.startswith(f"no TLS with {web.address}: ")


@pytest.mark.parametrize(("status", "why"), [(401, Fault.REFUSED), (403, Fault.REFUSED), (429, Fault.REFUSED)])
async def test_a_server_that_says_no_is_told_by_its_status(reader, web, page, status, why):
    web.pages["/x"] = page(b"<html>long story</html>", status=status)
    refusal = (await reader().get(f"{web.url}/x", deadline_s=5)).refusal()
    assert refusal.why is why
    assert refusal.detail.startswith(f"{status} ")
    assert "story" not in refusal.detail


async def test_a_token_is_sent_as_a_bearer_and_shown_nowhere(reader, web, page, caplog):
    caplog.set_level(0)
    web.pages["/x"] = page()
    client = reader(token_from="prom-token")
    await client.get(f"{web.url}/x", deadline_s=5)
    assert web.requests[0].headers["Authorization"] == "Bearer honey-token-1"
    web.close()
    failed = await client.get(f"{web.url}/x", deadline_s=5)
    assert "honey" not in f"{client!r} {vars(client)!r} {failed!r} {caplog.text}"


async def test_a_user_and_password_are_sent_as_basic_authentication(reader, web, page):
    web.pages["/x"] = page()
    options = {"basic_auth": {"username": "canaryd", "password_from": "prom-password"}}
    await reader(**options).get(f"{web.url}/x", deadline_s=5)
    expected = httpx.BasicAuth("canaryd", "honey-password-2")._auth_header
    assert web.requests[0].headers["Authorization"] == expected


async def test_an_unknown_secret_is_found_out_at_the_start(surroundings):
    with pytest.raises(OperatorError, match="no secret prom-tokn"):
        HttpReader(HttpOptions(token_from="prom-tokn"), surroundings)


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_a_useless_ca_file_is_found_out_at_the_start(surroundings, content):
    if content:
        (surroundings.folder / "ca.pem").write_text(content)
    with pytest.raises(OperatorError, match=r"ca_file ca\.pem cannot be used"):
        HttpReader(HttpOptions(ca_file="ca.pem"), surroundings)


async def test_a_ca_file_stands_beside_the_policy(surroundings, reader):
    usual = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not usual:
        pytest.skip("this machine trusts nobody")
    (surroundings.folder / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(usual[0]))
    assert reader(ca_file="ca.pem")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"timeout": 0}, "greater than 0"),
        ({"timeout": "3"}, "a duration needs a unit"),
        ({"timeout": float("nan")}, "finite"),
        ({"timeout": True}, "valid number"),
        ({"timeot": 3}, "Extra inputs"),
        ({"token_from": "a", "basic_auth": {"username": "u", "password_from": "p"}}, "exclude each other"),
    ],
)
def test_options_that_mean_nothing_are_refused(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        HttpOptions.model_validate(wrong)


def test_a_timeout_may_be_written_as_a_duration():
    assert HttpOptions.model_validate({"timeout": "1500ms"}).timeout == 1.5
