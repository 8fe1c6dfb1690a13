"""The daemon in real processes, and the small world around it: two services, one folder, one router file."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
import structlog

from canaryd.cli.main import run_command_line
from canaryd.lab.http_server import Handler, LoopbackServer

PATIENCE_S = 20.0
"""Much longer than anything takes: on a busy machine a test must be late, not wrong."""


def wait_for(answer, what, *, within_s=PATIENCE_S):
    """Ask again and again until the answer is true, and return it."""
    deadline = time.monotonic() + within_s
    while not (found := answer()):
        assert time.monotonic() < deadline, f"{what() if callable(what) else what} did not come within {within_s:g} s"
        time.sleep(0.01)
    return found


# ---------------------------------------------------------------- the services


@dataclass
class Service:
    """One side. Every look at its metrics finds a hundred requests more, of which ``bad`` failed."""

    bad: int = 0
    healthy: bool = True
    confidence: float = 0.9
    served: int = 0
    failed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self):
        self._server = _Server(("127.0.0.1", 0), partial(_Pages, self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def metrics(self):
        with self._lock:
            self.served += 100
            self.failed += self.bad
            good = self.served - self.failed
            return f'requests_total{{code="200"}} {good}\nrequests_total{{code="500"}} {self.failed}\n'

    def health(self):
        return json.dumps({"status": "healthy" if self.healthy else "degraded", "confidence": self.confidence})

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(LoopbackServer):
    def handle_error(self, request, client_address):
        """Say nothing: a daemon that is killed hangs up."""


class _Pages(Handler):
    def __init__(self, service, *args):
        self._service = service
        super().__init__(*args)

    def do_GET(self):  # noqa: N802 (http.server names it so)
        page = self._service.metrics() if self.path == "/metrics" else self._service.health()
        self.answer(200, page.encode(), "text/plain")


@pytest.fixture
def service():
    """Start one more service that ends with the test."""
    with ExitStack() as stack:

        def start_service():
            started = Service()
            stack.callback(started.close)
            return started

        yield start_service


# ---------------------------------------------------------------- the files of one rollout


POLICY = """\
rollout: {name}
desired: {name}.desired.yaml
interval: {interval}
stable: {{url: "{stable}"}}
canary: {{url: "{canary}"}}
router: {{type: config_file, path: {name}.canary.json}}
sources:
  pages: {{type: scrape}}
  health: {{type: http_json}}
metrics:
  errors: {{source: pages, bad: 'requests_total{{code="500"}}', total: requests_total}}
  health: {{source: health, up: {{status: healthy}}}}
stages:
  - {{weight: 5, window: {window}, require: [errors.rate < 1%], at_least: 100 requests}}
  - {{weight: 20, window: {window}, require: [errors.rate < 1%]}}
  - {{weight: 50, window: {window}, require: [errors.rate < 1%]}}
  - {{weight: 100}}
rollback:
  - {{when: errors.rate > 5%, for: 2, to: stable}}
  - {{when: health is down, for: 2, to: stable}}
"""
WEIGHTS = {0: 0, 1: 5, 2: 20, 3: 50, 4: 100}


class Site:
    """The folder in which people write what they want, and what canaryd makes of it."""

    def __init__(self, folder, stable, canary, name="api"):
        self.folder, self.stable, self.canary, self.name = folder, stable, canary, name
        self.run = run_canaryd
        self.policy_path = folder / f"{name}.yaml"
        self.desired_path = folder / f"{name}.desired.yaml"
        self.router_path = folder / f"{name}.canary.json"

    def write_policy(self, *replaced, interval="100ms", window="300ms"):
        """Write the policy; ``replaced`` are pairs of old and new text."""
        text = POLICY.format(
            name=self.name, interval=interval, window=window, stable=self.stable.url, canary=self.canary.url
        )
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        _replace(self.policy_path, text)
        return self

    def want(self, stage=4, *, release="api-2", **more):
        lines = {"release": release, "stage": stage, **more}
        _replace(self.desired_path, "".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items()))
        return self

    @property
    def traffic(self):
        """What the router file says; nothing while there is none."""
        return json.loads(self.router_path.read_text()) if self.router_path.exists() else {}

    @property
    def weight(self):
        return self.traffic.get("traffic_percent")

    def command(self, verb, *arguments):
        """Run one short command to its end."""
        return self.run(verb, str(self.policy_path), *arguments)

    def status(self):
        return json.loads(self.command("status", "--json").stdout)


def _replace(path, text):
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


@pytest.fixture
def another_site(tmp_path, service):
    """Make another rollout in the same folder, with services of its own."""

    def make(name):
        return Site(tmp_path, service(), service(), name).write_policy().want()

    return make


@pytest.fixture
def site(another_site):
    return another_site("api")


BY_CONFIDENCE = (
    ("  errors: {source: pages, bad: 'requests_total{code=\"500\"}', total: requests_total}",
     "  confidence: {source: health, value: confidence}"),
    ("errors.rate < 1%", "confidence > 0.75"),
    (", at_least: 100 requests", ""),
    ("errors.rate > 5%", "confidence < 0.5"),
)  # fmt: skip
"""A policy that looks at one number of the health document: known from the first look on, without any counting."""


@pytest.fixture
def by_confidence():
    return BY_CONFIDENCE


# ---------------------------------------------------------------- the processes


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Keep byte code for the many starts of one test run, whatever the machine's setting is."""
    os.environ["PYTHONPYCACHEPREFIX"] = str(tmp_path_factory.mktemp("bytecode"))
    before = os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    yield
    del os.environ["PYTHONPYCACHEPREFIX"]
    if before is not None:
        os.environ["PYTHONDONTWRITEBYTECODE"] = before


def environment(**more):
    """Return the environment of a child, without settings of whoever runs the tests."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CANARYD_", "NOTIFY_"))}
    return clean | more


def run_canaryd(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "canaryd", *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Daemon:
    """``canaryd run`` as a process, with its log as events."""

    def __init__(self, log, *arguments, **more):
        self._log = log
        command = [sys.executable, "-m", "canaryd", "run", *arguments, "--http-port", "0", "--log-format", "json"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, env=environment(**more), stdout=file, stderr=file)

    @property
    def end_of_log(self):
        return "\n".join(line[:500] for line in self.text.splitlines()[-20:])

    @property
    def text(self):
        return self._log.read_text(encoding="utf-8", errors="replace")

    def events(self, message=""):
        lines = [
            json.loads(line) for line in self.text.splitlines(keepends=True) if line[:1] == "{" and line[-1:] == "\n"
        ]
        return [line for line in lines if line["message"].startswith(message)]

    def wait_for(self, message, count=1):
        """Wait for a log line; a daemon that ends instead fails the test with what it said."""

        def answer():
            found = self.events(message)
            assert found or self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.end_of_log}"
            return found[count - 1] if len(found) >= count else None

        return wait_for(answer, lambda: f"{message} in\n{self.end_of_log}")

    @property
    def ready_at(self):
        """Unix seconds at which it held its leases; None when it never came so far."""
        started = self.events("daemon.started")
        return datetime.fromisoformat(started[0]["time"]).timestamp() if started else None

    @property
    def url(self):
        return f"http://{self.wait_for('daemon.started')['http']}"

    def get(self, path):
        return httpx.get(self.url + path, trust_env=False, timeout=5.0)

    def status(self, rollout="api"):
        return self.get(f"/api/v1/rollouts/{rollout}").json()

    def wait_for_status(self, holds, rollout="api"):
        """Wait until a rollout's status is as wanted, and return it."""

        def answer():
            status = self.status(rollout)
            return status if "phase" in status and holds(status) else None

        return wait_for(answer, lambda: f"a status of {rollout} as wanted in\n{self.end_of_log}")

    def stop(self, number=signal.SIGTERM, within_s=PATIENCE_S):
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def run_daemon(tmp_path):
    """Start daemons that end with the test at the latest."""
    daemons = []

    def start(*sites, **more):
        log = tmp_path / f"daemon-{len(daemons)}.log"
        daemons.append(Daemon(log, *[str(one.policy_path) for one in sites], **more))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.kill()


@pytest.fixture
def eventually():
    return wait_for


# ---------------------------------------------------------------- what the router was told


class RouterHistory:
    """Every content that a router file ever had, seen by a thread that looks at it all the time."""

    def __init__(self, path: Path):
        self.seen: list[tuple[float, dict]] = []
        self._path = path
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _watch(self):
        last = None
        while not self._done.wait(0.004):
            if not self._path.exists():
                continue
            with self._path.open("rb") as file:
                content, at = file.read(), os.fstat(file.fileno()).st_mtime
            if content != last:
                last = content
                self.seen.append((at, json.loads(content)))


@pytest.fixture
def history():
    return RouterHistory


@pytest.fixture
def canaryd():
    """Run any command to its end; keywords are its environment."""
    return run_canaryd


@pytest.fixture
def in_process(capsys):
    """Run a command as a process would, without starting one."""
    root = logging.getLogger()
    before = root.handlers, root.level

    def run(*arguments):
        code = run_command_line(arguments)
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, shown.out, shown.err)

    yield run
    root.handlers, root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
