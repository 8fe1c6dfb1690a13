"""The systemd unit and the container file are sound, as far as they can be judged without running them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from canaryd.engine.clock import SystemClock
from canaryd.settings import DEFAULT_PORT
from canaryd.telemetry.http import HttpSurface
from canaryd.telemetry.instruments import Instruments
from canaryd.telemetry.status_board import StatusBoard

WORST_EXPOSURE = 15
"""In tenths: systemd calls everything up to 20 OK."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def unit(text_of, tmp_path):
    """The unit with this machine's canaryd in the place of the one that is installed there."""
    path = tmp_path / "canaryd.service"
    program = Path(sys.executable).parent / "canaryd"
    path.write_text(text_of("systemd/canaryd.service").replace("/opt/canaryd/bin/canaryd", str(program)))
    return path


@needs_systemd
def test_systemd_understands_every_line_of_the_unit(unit):
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_finds_the_unit_well_confined(unit):
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={WORST_EXPOSURE}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_unit_waits_for_readiness_is_watched_and_comes_back(text_of):
    lines = set(text_of("systemd/canaryd.service").splitlines())
    assert {"Type=notify", "NotifyAccess=main", "WatchdogSec=60", "Restart=on-failure"} <= lines
    assert {"DynamicUser=yes", "StateDirectory=canaryd", "SystemCallErrorNumber=EPERM"} <= lines


# ---------------------------------------------------------------- the container


@pytest.fixture
def dockerfile(text_of):
    return text_of("Dockerfile").replace("\\\n", " ")


@pytest.fixture
def health_check(dockerfile):
    """The arguments that the health check gives to Python."""
    command = re.search(r"^HEALTHCHECK .*CMD (\[.*\])$", dockerfile, re.MULTILINE)[1]
    return json.loads(command)[1:]


@pytest.fixture
def surface():
    board, clock = StatusBoard(), SystemClock()
    surface = HttpSurface(board, Instruments("test").registry, clock)
    surface.start()
    yield surface, board, clock
    surface.stop()


def ask(health_check: list[str], port: int) -> int:
    arguments = [each.replace(str(DEFAULT_PORT), str(port)) for each in health_check]
    assert arguments != health_check, "the health check asks at the default port"
    return subprocess.run([sys.executable, *arguments], capture_output=True, check=False, timeout=20).returncode


def test_the_containers_health_check_follows_livez(health_check, surface):
    pages, board, clock = surface
    port = pages.address[1]
    board.announce("my-api", clock.now(), 60.0)
    assert ask(health_check, port) == 0
    board.mark_down("my-api", clock.now(), "broken")
    assert ask(health_check, port) == 1


def test_the_container_runs_as_nobody_and_installs_by_hash(dockerfile):
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", dockerfile, re.MULTILINE)
    assert "--require-hashes -r requirements/run.txt" in dockerfile
    assert re.search(r"^ENTRYPOINT \[", dockerfile, re.MULTILINE)


def test_the_build_sees_what_it_copies_and_nothing_else(dockerfile, text_of, root):
    allowed = {line[1:] for line in text_of(".dockerignore").splitlines() if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    copied = {source for sources in copies for source in sources.split()}
    assert copied == allowed
    assert all((root / path).exists() for path in copied)
