"""The daemon as a process for ``bench.py``: how it starts, idles, and how soon it takes a bad release back."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from bench_services import Counting, StandIn, served

PATIENCE_S = 60.0
WARM_UP_TICKS = 5

POLICY = """\
rollout: {name}
desired: {name}.desired.yaml
interval: 1s
stable: {{url: "{url}"}}
canary: {{url: "{url}"}}
router: {{type: config_file, path: {name}.json}}
sources: {{pages: {{type: scrape}}}}
metrics: {{errors: {{source: pages, bad: failed_total, total: requests_total}}}}
stages: [{{weight: 5}}]
rollback: [{{when: errors.rate > 5%, for: 2, to: stable}}]
"""

PROMETHEUS_POLICY = """\
rollout: idle
desired: idle.desired.yaml
interval: 1s
stable: {{job: self}}
canary: {{job: self}}
router: {{type: config_file, path: idle.json}}
sources: {{prom: {{type: prometheus, url: "{url}", window: 5s}}}}
metrics:
  errors:
    source: prom
    bad: '0 * sum(increase(prometheus_http_requests_total{{job="$job"}}[$window]))'
    total: 'sum(increase(prometheus_http_requests_total{{job="$job"}}[$window]))'
  latency:
    source: prom
    histogram: 'sum by (le) (increase(prometheus_http_request_duration_seconds_bucket{{job="$job"}}[$window]))'
    unit: s
  memory: {{source: prom, value: 'process_resident_memory_bytes{{job="$job"}}', unit: bytes}}
stages: [{{weight: 5, window: 24h, require: [errors.rate < 1%, latency.p95 < 10s]}}, {{weight: 100}}]
rollback: [{{when: errors.rate > 5%, for: 3}}, {{when: memory > 64 GiB, for: 3}}]
"""


# ---------------------------------------------------------------- the process


class Daemon:
    """``canaryd run`` with its log as a stream of events."""

    def __init__(self, policies: Sequence[Path], environment: dict[str, str]) -> None:
        arguments = [str(path) for path in policies]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "canaryd", "run", *arguments, "--http-port", "0", "--log-format", "json"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield log lines as they come."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            yield json.loads(line)
        raise SystemExit(f"the daemon ended with {self.process.wait()}")

    def wait_for(self, message: str, count: int = 1) -> dict[str, Any]:
        """Return the log line that is the last of so many of a kind."""
        for event in self.events():
            count -= event["message"].startswith(message)
            if not count:
                return event
        raise AssertionError("the log never ends")


@contextmanager
def running(policies: Sequence[Path], environment: dict[str, str]) -> Iterator[Daemon]:
    """Run a daemon as long as the block lasts; a watchdog ends it when nothing happens for too long."""
    daemon = Daemon(policies, environment)
    watchdog = threading.Timer(PATIENCE_S + 120, daemon.process.kill)
    watchdog.start()
    try:
        yield daemon
    finally:
        watchdog.cancel()
        daemon.process.kill()
        daemon.process.communicate()


@contextmanager
def workplace() -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a folder, and an environment in which byte code is kept as it is where canaryd is installed."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CANARYD_", "NOTIFY_"))}
        clean.pop("PYTHONDONTWRITEBYTECODE", None)
        yield Path(folder), clean | {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}


def rollout(folder: Path, name: str, policy: str, stage: int) -> Path:
    """Write the two files of a rollout."""
    (folder / f"{name}.desired.yaml").write_text(f"release: rev-2\nstage: {stage}\n", encoding="utf-8")
    path = folder / f"{name}.yaml"
    path.write_text(policy, encoding="utf-8")
    return path


# ---------------------------------------------------------------- start-up


def start_up_ratios(rounds: int) -> tuple[list[float], float]:
    """Return ratios of start-up to bare imports, taken in turns, and the fastest start-up in seconds."""
    with workplace() as (folder, environment), served(Counting()) as (_, url):
        path = rollout(folder, "start", POLICY.format(name="start", url=url), 0)
        first_tick_s([path], environment), imports_s(environment)  # the first one compiles
        pairs = [(first_tick_s([path], environment), imports_s(environment)) for _ in range(rounds)]
    return [start / imports for start, imports in pairs], min(start for start, _ in pairs)


def first_tick_s(policies: Sequence[Path], environment: dict[str, str]) -> float:
    """Return seconds from the start of the process to its first finished tick."""
    with running(policies, environment) as daemon:
        daemon.wait_for("decision.")
        return time.perf_counter() - daemon.started


def imports_s(environment: dict[str, str]) -> float:
    """Return the seconds of a process that only imports what canaryd cannot do without."""
    before = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import httpx, pydantic, structlog"], env=environment, check=True)
    return time.perf_counter() - before


# ---------------------------------------------------------------- idle


@dataclass(frozen=True)
class Idle:
    """What an idle daemon needs."""

    resident_bytes: int
    cpu_share: float
    ticks: int
    prometheus: str


def idle_daemon(seconds: float) -> Idle:
    """Watch one rollout that holds in its first window."""
    with workplace() as (folder, environment), prometheus(folder) as (url, which):
        path = rollout(folder, "idle", PROMETHEUS_POLICY.format(url=url), 1)
        first_tick_s([path], environment)  # what compiles needs more memory
        with running([path], environment) as daemon:
            address = daemon.wait_for("daemon.started")["http"]
            drain(daemon)
            wait_for_ticks(address, WARM_UP_TICKS)
            return measured(daemon, address, seconds, which)


def drain(daemon: Daemon) -> None:
    """Go on reading the log, so that the daemon never waits for its reader."""
    threading.Thread(target=daemon.process.stderr.read, daemon=True).start()  # type: ignore[union-attr]


def measured(daemon: Daemon, address: str, seconds: float, which: str) -> Idle:
    """Measure memory and time between two points."""
    process = psutil.Process(daemon.process.pid)
    before, cpu_before, ticks_before = time.perf_counter(), cpu_s(process), ticks(address)
    time.sleep(seconds)
    share = (cpu_s(process) - cpu_before) / (time.perf_counter() - before)
    return Idle(process.memory_info().rss, share, ticks(address) - ticks_before, which)


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time used so far."""
    times = process.cpu_times()
    return times.user + times.system


def ticks(address: str) -> int:
    """Return how many ticks the daemon has counted."""
    page = httpx.get(f"http://{address}/metrics", trust_env=False).text
    return sum(int(float(line.split()[-1])) for line in page.splitlines() if line.startswith("canaryd_ticks_total{"))


def wait_for_ticks(address: str, count: int) -> None:
    """Wait until the daemon is in its stride."""
    deadline = time.monotonic() + PATIENCE_S
    while ticks(address) < count:
        if time.monotonic() > deadline:
            raise SystemExit("the daemon makes no ticks")
        time.sleep(0.2)


@contextmanager
def prometheus(folder: Path) -> Iterator[tuple[str, str]]:
    """Start a Prometheus that scrapes itself, or where it is not installed, something that answers like one."""
    program = shutil.which("prometheus")
    if program is None:
        with served(StandIn()) as (_, url):
            yield url, "a stand-in for Prometheus"
        return
    address = f"127.0.0.1:{free_port()}"
    config = folder / "prometheus.yml"
    scrape = f"[{{job_name: self, scrape_interval: 1s, static_configs: [{{targets: ['{address}']}}]}}]"
    config.write_text(f"scrape_configs: {scrape}\n", encoding="utf-8")
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    with subprocess.Popen([program, *options, "--log.level=error"]) as process:
        try:
            wait_for_data(f"http://{address}")
            yield f"http://{address}", "real Prometheus"
        finally:
            process.kill()


def wait_for_data(url: str) -> None:
    """Wait until Prometheus is ready and has scraped itself a few times."""
    deadline = time.monotonic() + PATIENCE_S
    question = {"query": "sum(increase(prometheus_http_requests_total[5s]))"}
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/api/v1/query", params=question, trust_env=False).json()["data"]["result"]:
                return
        except (httpx.TransportError, ValueError):
            pass
        time.sleep(0.1)
    raise SystemExit("Prometheus does not start")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# ---------------------------------------------------------------- breach to stable


def breach_to_stable_s(trials: int) -> list[float]:
    """Return seconds from the breach to the changed router file, of rollouts side by side in one daemon."""
    with workplace() as (folder, environment), ExitStack() as stack:
        services = [stack.enter_context(served(Counting())) for _ in range(trials)]
        names = [f"trial-{number}" for number in range(trials)]
        paths = [
            rollout(folder, name, POLICY.format(name=name, url=url), 1)
            for name, (_, url) in zip(names, services, strict=True)
        ]
        stack.enter_context(running(paths, environment)).wait_for("decision.finish", trials)
        broken_at = break_at_random_moments([service for service, _ in services])
        wait_until_all_stable([folder / f"{name}.json" for name in names])
        back_at = [(folder / f"{name}.json").stat().st_mtime for name in names]
    return [back - broken for back, broken in zip(back_at, broken_at, strict=True)]


def break_at_random_moments(services: Sequence[Counting]) -> list[float]:
    """Break one service after the other within two intervals; return the Unix times."""
    moments = random.Random(1)
    broken_at = []
    for service in services:
        time.sleep(moments.uniform(0, 2 / len(services)))
        broken_at.append(service.fail())
    return broken_at


def wait_until_all_stable(files: Sequence[Path]) -> None:
    """Wait until every router file is back at weight 0."""
    deadline = time.monotonic() + PATIENCE_S
    while any(json.loads(file.read_bytes())["traffic_percent"] for file in files):
        if time.monotonic() > deadline:
            raise SystemExit("not every rollout was taken back")
        time.sleep(0.05)
