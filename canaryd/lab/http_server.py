"""The HTTP manners that the lab's servers share: loopback, HTTP/1.1 with keep-alive, bounded, quiet."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

IDLE_TIMEOUT_S = 60.0
MAX_BODY = 64 * 1024


class LoopbackServer(ThreadingHTTPServer):
    """A thread for each connection, on 127.0.0.1 only."""

    daemon_threads = True
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    """Answers whole bodies, and is ready for the next request on the same connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT_S
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet: unbuffered, delayed acknowledgements cost 40 ms an answer

    def answer(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        """Send one whole answer; ``headers`` are names with underscores for dashes."""
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def body(self) -> bytes | None:
        """Return the request's body, or None (and no further request on this connection) when it is too long."""
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    def version_string(self) -> str:
        """Return a name without versions."""
        return "canaryd-lab"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        """Say nothing: a hundred requests a second are no news."""


def listen(port: int, handler: type[Handler]) -> LoopbackServer:
    """Bind to the port, or end the process with one clear line."""
    try:
        return LoopbackServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise SystemExit(f"127.0.0.1:{port} cannot be listened on: {error.strerror}") from None
