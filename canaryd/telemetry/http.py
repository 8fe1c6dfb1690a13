"""A small threaded server for the read-only pages, beside the event loop and independent of it.

One thread a connection, one request a connection. Connections are bounded in number and each in time as a whole,
so that a slow client can neither hold a thread for long nor keep others out.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore, Thread, Timer
from types import TracebackType
from typing import Any, TypeAlias
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry

from canaryd.errors import OperatorError
from canaryd.ports import Clock
from canaryd.telemetry.status_board import StatusBoard
from canaryd.telemetry.web import WebApplication

MAX_CONNECTIONS = 32
CONNECTION_S = 5.0
"""From the first byte awaited to the last one sent; a scrape takes milliseconds."""
STOP_POLL_S = 0.1
MAX_REQUEST_LINE = 8192
BUSY = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

log = structlog.get_logger(__name__)

Connection: TypeAlias = Any
"""A stream socket; the library's type also covers datagrams, which never come here."""
ExceptionInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class HttpSurface:
    """Serves the pages from ``start`` until ``stop``. Bind to a plain address; port 0 takes a free one."""

    def __init__(
        self,
        board: StatusBoard,
        registry: CollectorRegistry,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        allowed_hosts: Collection[str] = (),
        connection_s: float = CONNECTION_S,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._application = WebApplication(board, registry, clock, (host, *allowed_hosts))
        self._bind_to = (host, port)
        self._limits = (connection_s, max_connections)
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Bind and serve; raises OperatorError when the address cannot be had."""
        host, port = self._bind_to
        try:
            self._server = _Server(host, port, *self._limits)
        except OSError as error:
            raise OperatorError(f"cannot serve HTTP on {host} port {port}: {error.strerror or error}") from error
        self._server.set_app(self._application)
        self._thread = Thread(target=self._server.serve_forever, args=(STOP_POLL_S,), name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting; requests under way end by themselves or with the process."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None

    @property
    def address(self) -> tuple[str, int]:
        """Return the address and the real port in use; raises RuntimeError before ``start``."""
        if self._server is None:
            raise RuntimeError("the HTTP surface is not started")
        return self._bind_to[0], self._server.server_port


class _ResponseHandler(ServerHandler):
    server_software = ""  # no banner: versions help attackers most
    request_handler: _RequestHandler

    def log_exception(self, exc_info: ExceptionInfo) -> None:
        log.error("http.failed", exc_info=exc_info)


class _RequestHandler(WSGIRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Answer one request; a request line that is too long is not worth an answer."""
        self.raw_requestline = self.rfile.readline(MAX_REQUEST_LINE + 1)
        if len(self.raw_requestline) > MAX_REQUEST_LINE or not self.parse_request():
            return
        handler = _ResponseHandler(self.rfile, self.wfile, self.get_stderr(), self.get_environ())  # type: ignore[arg-type]
        handler.request_handler = self
        handler.run(self.server.get_app())  # type: ignore[arg-type]

    def version_string(self) -> str:
        """Keep the library's name and version out of error pages."""
        return "canaryd"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Log nothing: a scrape every few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, connection_s: float, max_connections: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._connection_s = connection_s
        self._free = BoundedSemaphore(max_connections)
        super().__init__((host, port), _RequestHandler)

    def server_bind(self) -> None:
        """Bind without the name look-up of the library, which may take as long as DNS likes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def process_request(self, request: Connection, client_address: object) -> None:
        """Give the connection a thread, or say at once that all are taken."""
        if not self._free.acquire(blocking=False):
            self._refuse(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started
            self._free.release()
            self._refuse(request)

    def process_request_thread(self, request: Connection, client_address: object) -> None:
        """Serve one connection, within its time."""
        deadline = Timer(self._connection_s, _hang_up, (request,))
        deadline.daemon = True
        try:
            deadline.start()
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._free.release()

    def handle_error(self, request: Connection, client_address: object) -> None:  # noqa: ARG002 (the library's signature)
        """Note a lost connection where only a person who looks for it sees it."""
        log.debug("http.connection_lost", exc_info=True)

    def _refuse(self, request: Connection) -> None:
        with suppress(OSError):
            request.setblocking(False)
            request.sendall(BUSY)
        self.shutdown_request(request)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
