"""One HTTP service of the demo world: does a little work, has a health page and metrics, and can be broken.

``python -m canaryd.lab.service --name demo-api --port 9001`` listens on 127.0.0.1. ``POST /_break`` with
``{"kind": "errors"}`` makes it go wrong for good, like a bad release would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import time
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from canaryd.lab.breaking import BreakKind
from canaryd.lab.http_server import Handler, listen

LATENCY_BUCKETS_S = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0)
LATENCY_SPREAD = 0.35
"""Sigma of the log-normal work time: the 95th percentile is at 1.8 times the median."""
USUAL_ERRORS = 0.002
BROKEN_ERRORS = 0.35
BROKEN_DELAY_S = 0.45
MEMORY_LIMIT_BYTES = 256 * 2**20
CRASH_STATUS = 70
CONFIDENCE_MEMORY = 0.98


class Service:
    """What the service does, apart from HTTP."""

    def __init__(self, name: str, version: str, median_s: float, seed: int) -> None:
        self.name = name
        self.version = version
        self.broken: BreakKind | None = None
        self._median_s = median_s
        self._random = random.Random(f"{seed}/{name}")  # noqa: S311 (repeatable on purpose)
        self._confidence = 0.86
        self._measure(CollectorRegistry())

    def _measure(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter("http_requests", "Requests served.", ["service", "code"], registry=registry)
        self._durations = Histogram(
            "http_request_duration_seconds",
            "Time to serve a request.",
            ["service"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        confidence = Gauge("confidence_score", "How sure the answers are.", ["service"], registry=registry)
        memory = Gauge("process_memory_ratio", "Memory used of the limit.", ["service"], registry=registry)
        confidence.labels(self.name).set_function(lambda: self._confidence)
        memory.labels(self.name).set_function(lambda: resident_bytes() / MEMORY_LIMIT_BYTES)
        self._requests.labels(self.name, "200")
        self._durations.labels(self.name)

    def serve(self) -> tuple[int, dict[str, object]]:
        """Do the work of one request and return status and answer."""
        started = time.monotonic()
        time.sleep(self._work_s())
        status = 500 if self._random.random() < self._error_share() else 200
        self._durations.labels(self.name).observe(time.monotonic() - started)
        self._requests.labels(self.name, str(status)).inc()
        return status, {"service": self.name, "version": self.version, "confidence": round(self._answer(), 3)}

    def _work_s(self) -> float:
        work_s = self._median_s * self._random.lognormvariate(0.0, LATENCY_SPREAD)
        return work_s + (BROKEN_DELAY_S if self.broken is BreakKind.LATENCY else 0.0)

    def _error_share(self) -> float:
        return BROKEN_ERRORS if self.broken is BreakKind.ERRORS else USUAL_ERRORS

    def _answer(self) -> float:
        """Return how sure this answer is; the gauge follows slowly."""
        sure = min(1.0, self._random.gauss(0.86, 0.04))
        self._confidence = CONFIDENCE_MEMORY * self._confidence + (1 - CONFIDENCE_MEMORY) * sure
        return sure

    def health(self) -> dict[str, object]:
        """Return the health document."""
        well = self.broken is not BreakKind.HEALTH
        return {"status": "healthy" if well else "degraded", "version": self.version, "pipeline_ready": well}


def resident_bytes() -> int:
    """Return the memory that this process really occupies."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


class ServiceHandler(Handler):
    """The service over HTTP."""

    def __init__(self, service: Service, *args: object) -> None:
        self._service = service
        super().__init__(*args)  # type: ignore[arg-type]  # what socketserver passes on

    def do_GET(self) -> None:  # noqa: N802 (http.server's name)
        """Serve health, metrics, or a request."""
        match self.path.partition("?")[0]:
            case "/health":
                self._answer_json(200, self._service.health())
            case "/metrics":
                self._metrics()
            case "/":
                self._answer_json(*self._service.serve())
            case _:
                self._answer_json(404, {"error": "not found"})

    def do_POST(self) -> None:  # noqa: N802 (http.server's name)
        """Break the service."""
        body = self.body()
        if self.path != "/_break" or body is None:
            self._answer_json(404, {"error": "not found"})
            return
        try:
            kind = BreakKind(json.loads(body)["kind"])
        except (ValueError, KeyError, TypeError):
            self._answer_json(400, {"error": f"expected a kind: one of {', '.join(BreakKind)}"})
            return
        self._service.broken = kind
        self._answer_json(202, {"broken": kind})
        if kind is BreakKind.CRASH:
            os._exit(CRASH_STATUS)

    def _metrics(self) -> None:
        if self._service.broken is BreakKind.SILENCE:
            self._answer_json(503, {"error": "the metrics exporter is not running"})
            return
        self.answer(200, generate_latest(self._service.registry), "text/plain; version=0.0.4; charset=utf-8")

    def _answer_json(self, status: int, document: dict[str, object]) -> None:
        self.answer(status, json.dumps(document).encode(), "application/json")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="canaryd.lab.service", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--median-ms", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    service = Service(options.name, options.version, options.median_ms / 1000, options.seed)
    listen(options.port, partial(ServiceHandler, service)).serve_forever()  # type: ignore[arg-type]  # a factory


if __name__ == "__main__":
    main()
