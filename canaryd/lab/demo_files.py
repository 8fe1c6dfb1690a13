"""The demo's folder: ports, policy and desired state, written once and then left to whoever edits them."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from canaryd.errors import OperatorError

ROLLOUT = "demo-api"
RELEASE = "demo-api-2.0.0"
LAST_STAGE = 5
DAY_S = 6.0
"""Seconds that stand for a day of the plan at speed 1."""

POLICY = """\
# The policy of the demo: a plan of 24 h, 24 h, 48 h, 72 h and then without end, with a day made $day_s s long.
rollout: $rollout
desired: $rollout.desired.yaml
interval: 500ms
stable: {service: $rollout, url: "http://127.0.0.1:$stable"}
canary: {service: $rollout-canary, url: "http://127.0.0.1:$canary"}

router: {type: config_file, path: canary.json}     # the front door reads this file and splits real requests by it

sources:
  pages: {type: scrape}                # each side's own /metrics
  health: {type: http_json}            # each side's own /health

metrics:
  errors: {source: pages, bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
  latency: {source: pages, histogram: http_request_duration_seconds, unit: s}
  confidence: {source: pages, value: confidence_score}
  memory: {source: pages, value: process_memory_ratio, unit: ratio}
  health: {source: health, path: /health, up: {status: healthy, pipeline_ready: true}}

# A few tenths of a percent of errors are usual on both sides. With so few requests one of them weighs much: the limits
# are wider than in real life, and rules wait for enough requests before they judge.
stages:
  - weight: 5
    window: $window_1
    require: [errors.rate < 8%, latency.p95 < 150ms, confidence > 0.75]
    at_least: 20 requests
  - {weight: 10, window: $window_2, require: [errors.rate < 6%, latency.p95 < 150ms, confidence > 0.73]}
  - {weight: 25, window: $window_3, require: [errors.rate < 5%, latency.p95 < 150ms, confidence > 0.71]}
  - {weight: 50, window: $window_4, require: [errors.rate < 4%, latency.mean < 0.9x stable, confidence > 0.69]}
  - {weight: 100, approval: required}

rollback:
  - {when: errors.rate > 15%, at_least: 20 requests, to: stable}
  - {when: errors.rate > 6%, for: 3, at_least: 20 requests}
  - {when: latency.p95 > 300ms, for: 2, at_least: 20 requests}
  - {when: memory > 85%, for: 2}
  - {when: health is down, for: 3, to: stable}

blind: {page_after: 3s, roll_back_after: never}
"""

DESIRED = """\
# What people want of $rollout.
release: $release
stage: $last_stage            # climb no higher; 0 is all stable
attempt: 1
paused: false
approved: [$last_stage]       # a person agrees to 100 %: here beforehand, so that the demo need not wait for one
waived: []
"""


ALL_STABLE = json.dumps({"enabled": False, "traffic_percent": 0})
"""The front door's config before the first rollout."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens on 127.0.0.1."""

    stable: int
    canary: int
    front_door: int
    daemon: int


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """The files of one demo."""

    path: Path
    ports: Ports

    @property
    def policy(self) -> Path:
        """The policy file."""
        return self.path / f"{ROLLOUT}.yaml"

    @property
    def router_config(self) -> Path:
        """The file that the daemon writes and the front door reads."""
        return self.path / "canary.json"

    @property
    def state_dir(self) -> Path:
        """The daemon's state: where every other canaryd command looks for it, too."""
        return self.path / ".canaryd"

    def log(self, name: str) -> Path:
        """Return the log of one child process."""
        return self.path / f"{name}.log"


def prepare(path: Path, speed: float) -> DemoFolder:
    """Return the demo's folder, filled on first use; what an earlier run left there stays as it is.

    The ports stay, too: they are part of the policy, and evidence never crosses a change of policy.

    Raises:
        OperatorError: The folder cannot be used.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        folder = DemoFolder(path.resolve(), _ports(path / "ports.json"))
        _write_once(folder.policy, _policy(folder.ports, speed))
        _write_once(folder.router_config, ALL_STABLE)
        desired = Template(DESIRED).substitute(rollout=ROLLOUT, release=RELEASE, last_stage=LAST_STAGE)
        _write_once(folder.path / f"{ROLLOUT}.desired.yaml", desired)
    except OSError as error:
        raise OperatorError(f"{path} cannot be used for a demo: {error.strerror}") from None
    return folder


def _ports(path: Path) -> Ports:
    _write_once(path, json.dumps(asdict(free_ports())))
    try:
        ports = Ports(**json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        ports = None
    if ports is None or not all(type(port) is int and 0 < port < 65536 for port in asdict(ports).values()):
        raise OperatorError(f"{path} is not what a demo writes; take it away or choose another folder")
    return ports


def taken_ports(ports: Ports) -> list[int]:
    """Return those ports that somebody listens on."""
    return [port for port in asdict(ports).values() if _is_taken(port)]


def _is_taken(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def free_ports() -> Ports:
    """Return ports that nobody listens on, each another one."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(4)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return Ports(*(one.getsockname()[1] for one in sockets))


def _policy(ports: Ports, speed: float) -> str:
    day_s = DAY_S / speed
    windows = {f"window_{stage}": f"{days * day_s * 1000:.0f}ms" for stage, days in enumerate((1, 1, 2, 3), start=1)}
    return Template(POLICY).substitute(rollout=ROLLOUT, day_s=f"{day_s:g}", **asdict(ports), **windows)


def _write_once(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        pass
