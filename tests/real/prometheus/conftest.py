"""One real Prometheus for the whole test run: written to by remote write, and scraping two real services."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import prometheus_client
import pytest

from canaryd.core.conditions import Unit
from canaryd.core.readings import MetricKind, Side
from canaryd.engine.clock import SystemClock
from canaryd.metrics.prometheus import PrometheusOptions, PrometheusSource
from canaryd.ports import Look, Query, Surroundings
from canaryd.testing.sources import look

PATIENCE_S = 20.0
SECRETS = {"prom-token": "honey-token", "prom-password": "honey-password"}

# ---------------------------------------------------------------- remote write, by hand


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def message(tag: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return varint(tag << 3 | 2) + varint(len(content)) + content


def series(labels: Mapping[str, str], samples: Sequence[tuple[float, float]]) -> bytes:
    """Return a TimeSeries: labels sorted by name, samples as (Unix seconds, value)."""
    named = b"".join(message(1, message(1, n.encode()) + message(2, labels[n].encode())) for n in sorted(labels))
    points = (b"\x09" + struct.pack("<d", value) + b"\x10" + varint(round(at * 1000)) for at, value in samples)
    return message(1, named + b"".join(message(2, point) for point in points))


def snappy(content: bytes) -> bytes:
    """Return snappy's block format without compression: literals of up to 64 KiB."""
    pieces = [content[start : start + 65536] for start in range(0, len(content), 65536)]
    return varint(len(content)) + b"".join(b"\xf4" + struct.pack("<H", len(piece) - 1) + piece for piece in pieces)


# ---------------------------------------------------------------- the server


class PrometheusServer:
    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url
        self._client = httpx.Client(trust_env=False, timeout=5.0)

    def write(self, name: str, samples: Sequence[tuple[float, float]], **labels: str) -> None:
        """Store samples, (Unix seconds, value), of one series."""
        body = snappy(series({"__name__": name, **labels}, samples))
        headers = {"content-encoding": "snappy", "content-type": "application/x-protobuf"}
        self._client.post(f"{self.url}/api/v1/write", content=body, headers=headers).raise_for_status()

    def grow(self, name: str, per_s: float, *, until: float, step_s: float = 10, **labels: str) -> None:
        """Store ten minutes of a counter that grows evenly, from zero."""
        count = int(600 / step_s)
        samples = [(until - step_s * (count - n), per_s * step_s * n) for n in range(count + 1)]
        self.write(name, samples, **labels)

    def ask(self, expression: str, at: float) -> list[dict]:
        form = {"query": expression, "time": f"{at:.3f}"}
        return self._client.post(f"{self.url}/api/v1/query", data=form).raise_for_status().json()["data"]["result"]

    def wait_for(self, expression: str) -> None:
        """Wait until an expression has a result."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.ask(expression, time.time()):
            assert time.monotonic() < deadline, f"{expression} never had a result"
            time.sleep(0.1)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Stop the process: its port accepts connections and nobody answers."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self._client.close()
        self.process.terminate()
        self.process.wait(PATIENCE_S)


CONFIG = """
global: {{scrape_interval: 1s}}
storage: {{tsdb: {{out_of_order_time_window: 6h}}}}
scrape_configs:
  - job_name: services
    static_configs:
      - {{targets: ["127.0.0.1:{stable}"], labels: {{service: scraped-stable}}}}
      - {{targets: ["127.0.0.1:{canary}"], labels: {{service: scraped-canary}}}}
"""


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(program: str, folder: Path, config: str) -> PrometheusServer:
    (folder / "prometheus.yml").write_text(config)
    port = _free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
    server = PrometheusServer(process, f"http://127.0.0.1:{port}")
    _wait_until_ready(server, folder / "log")
    return server


def _wait_until_ready(server: PrometheusServer, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert server.process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            if httpx.get(f"{server.url}/-/ready", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)


class Service:
    """A real service with real metrics: requests by code, their seconds, and a confidence."""

    def __init__(self) -> None:
        registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter("http_requests", "Requests.", ["code"], registry=registry)
        self.seconds = prometheus_client.Histogram("http_seconds", "Time.", registry=registry)
        self.confidence = prometheus_client.Gauge("confidence_score", "Confidence.", registry=registry)
        self._server, self._thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
        self.port = self._server.server_port

    def serve(self, code: int, seconds: float, times: int = 1) -> None:
        for _ in range(times):
            self.requests.labels(str(code)).inc()
            self.seconds.observe(seconds)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="session")
def services() -> Iterator[dict[Side, Service]]:
    both = {side: Service() for side in Side}
    yield both
    for service in both.values():
        service.close()


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory, services: dict[Side, Service]) -> Iterator[PrometheusServer]:
    program = shutil.which("prometheus")
    if program is None:
        report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        report("the prometheus program is not installed (Debian package prometheus)")
    config = CONFIG.format(stable=services[Side.STABLE].port, canary=services[Side.CANARY].port)
    server = _start(program, tmp_path_factory.mktemp("prometheus"), config)
    yield server
    server.close()


# ---------------------------------------------------------------- canaryd's side


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings(
        folder=tmp_path, clock=SystemClock(), state_dir=tmp_path, secret=SECRETS.__getitem__, rollout="ion-api"
    )


@pytest.fixture
async def opened(surroundings: Surroundings):
    """Open sources that are closed after the test: ``opened(url, **options)``."""
    sources: list[PrometheusSource] = []

    def open_(url: str, **options: object) -> PrometheusSource:
        sources.append(PrometheusSource(PrometheusOptions.model_validate({"url": url, **options}), surroundings))
        return sources[-1]

    yield open_
    for source in sources:
        await source.aclose()


@pytest.fixture
def now() -> float:
    """A whole second of the present: samples are placed around it."""
    return float(int(time.time()))


@pytest.fixture
def look_now(now: float) -> Callable[..., Look]:
    def build(**changes: float) -> Look:
        return look(wall=now, **changes)

    return build


@pytest.fixture
def service(request: pytest.FixtureRequest) -> str:
    """A label of its own for each test: all of them write to the same server."""
    return request.node.nodeid.rsplit("::", 1)[-1]


@pytest.fixture
def query(service: str) -> Callable[..., Query]:
    def build(kind: MetricKind, *, side: Side = Side.CANARY, service: str = service, **expressions: str) -> Query:
        target = {"service": service}
        return Query(metric=f"a_{kind}", kind=kind, unit=Unit.NUMBER, side=side, target=target, expressions=expressions)

    return build


@pytest.fixture
def counts(query: Callable[..., Query]) -> Query:
    bad = 'sum(increase(requests_total{service="$service",code=~"5.."}[$window]))'
    return query(MetricKind.COUNTS, bad=bad, total='sum(increase(requests_total{service="$service"}[$window]))')


@pytest.fixture
def latency(query: Callable[..., Query]) -> Query:
    buckets = 'sum by (le) (increase(seconds_bucket{service="$service"}[$window]))'
    return query(MetricKind.HISTOGRAM, histogram=buckets, sum='sum(increase(seconds_sum{service="$service"}[$window]))')


@pytest.fixture
def confidence(query: Callable[..., Query]) -> Query:
    return query(MetricKind.GAUGE, value='avg(confidence{service="$service"})')


@pytest.fixture
def source(opened: Callable[..., PrometheusSource], prometheus: PrometheusServer) -> PrometheusSource:
    return opened(prometheus.url)


@pytest.fixture
def read_one(source: PrometheusSource, look_now: Callable[..., Look]):
    async def read(query: Query, **look: float):
        return (await source.read([query], look_now(**look)))[0]

    return read
