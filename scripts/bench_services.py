"""What the daemon looks at in ``bench_daemon.py``: a service with metrics, and a stand-in for Prometheus."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from canaryd.lab.http_server import Handler, LoopbackServer


class Counting:
    """A service whose counters grow by a hundred requests at each look; broken, a third of them fail."""

    def __init__(self) -> None:
        self._total = self._failed = 0
        self._broken = False
        self._lock = threading.Lock()

    def fail(self) -> float:
        """Break it; return the Unix time from which on that can be seen."""
        with self._lock:
            self._broken = True
            return time.time()

    def page(self) -> str:
        """Return its metrics."""
        with self._lock:
            self._total += 100
            self._failed += 33 if self._broken else 0
            return f"requests_total {self._total}\nfailed_total {self._failed}\n"


class StandIn:
    """Answers every query of Prometheus' API with the number 1."""

    def page(self) -> str:
        """Return an instant vector."""
        result = [{"metric": {"le": "+Inf"}, "value": [time.time(), "1"]}]
        return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


S = TypeVar("S", Counting, StandIn)


class _Page(Handler):
    def __init__(self, service: Counting | StandIn, *args: object) -> None:
        self._service = service
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:  # noqa: N802 (http.server names it so)
        """Answer any request with the page."""
        self.answer(200, self._service.page().encode(), "text/plain")

    def do_POST(self) -> None:  # noqa: N802 (http.server names it so)
        """Answer a query."""
        self.body()
        self.answer(200, self._service.page().encode(), "application/json")


class _Server(LoopbackServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a daemon that is killed hangs up."""


@contextmanager
def served(service: S) -> Iterator[tuple[S, str]]:
    """Serve a page as long as the block lasts."""
    server = _Server(("127.0.0.1", 0), partial(_Page, service))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield service, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
