"""Real HTTP on loopback: a server whose pages a test sets, and surroundings that hold a few secrets."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from canaryd.core.conditions import Unit
from canaryd.core.readings import MetricKind, Side
from canaryd.engine.clock import SystemClock
from canaryd.errors import OperatorError
from canaryd.ports import Look, Query, Surroundings
from canaryd.testing.sources import look

SECRETS = {"prom-token": "honey-token-1", "prom-password": "honey-password-2"}


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    form: str


@dataclass
class Page:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # a source opens ten connections at once


class WebServer:
    """Answers by path; a page may be a function of the request. ``hang`` keeps clients waiting until the end."""

    def __init__(self) -> None:
        self.pages: dict[str, Page | Callable[[Request], Page]] = {}
        self.requests: list[Request] = []
        self.hang = False
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def close(self) -> None:
        if self.released.is_set():
            return
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> Page:
        self.requests.append(request)
        if self.hang:
            self.released.wait(20)
        page = self.pages.get(request.path, Page(status=404))
        return page if isinstance(page, Page) else page(request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                form = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                page = web.answer(Request(self.command, self.path, dict(self.headers.items()), form))
                try:
                    self.send_response(page.status)
                    for name, value in ({"content-length": str(len(page.body))} | page.headers).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(page.body)
                except OSError:
                    self.close_connection = True  # the client has left: that is what some tests are about

            do_POST = do_GET  # noqa: N815 (the base class names it so)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def page() -> type[Page]:
    return Page


def _secret(name: str) -> str:
    try:
        return SECRETS[name]
    except KeyError:
        raise OperatorError(f"no secret {name}") from None


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings(folder=tmp_path, clock=SystemClock(), state_dir=tmp_path, secret=_secret, rollout="ion-api")


@pytest.fixture
def first_look() -> Look:
    return look(0.0)


@pytest.fixture
def second_look() -> Look:
    return look(30.0)


@pytest.fixture
def ask() -> Callable[..., Query]:
    """A query builder: ``ask(kind, url, side=…, up=…, **expressions)``."""

    def build(kind: MetricKind, url: str, *, side: Side = Side.CANARY, up: object = None, **expressions: str) -> Query:
        return Query(
            metric=f"a_{kind}",
            kind=kind,
            unit=Unit.NUMBER,
            side=side,
            target={"service": f"ion-{side}", "url": url},
            expressions=expressions,
            up=up or {},
        )

    return build
