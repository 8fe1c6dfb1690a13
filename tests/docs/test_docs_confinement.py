"""The real daemon makes no system call that the systemd unit would kill it for, and bears the one that it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from canaryd.cli.main import run_command_line

pytestmark = [
    pytest.mark.strace,
    pytest.mark.skipif(
        shutil.which("strace") is None or shutil.which("systemd-analyze") is None,
        reason="strace or systemd-analyze is not installed",
    ),
]
DEADLINE_S = 40.0
REFUSED_AND_BORNE = {"fchown"}


def calls_in(group: str) -> set[str]:
    """The system calls of one of systemd's groups, with those of the groups inside it."""
    done = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", group], capture_output=True, check=True)
    words = {line.strip() for line in done.stdout.decode().splitlines()[1:] if line.strip()}
    inner = {word for word in words if word.startswith("@")}
    return {word for word in words if word.isidentifier()}.union(*(calls_in(each) for each in inner))


@pytest.fixture
def allowed(text_of):
    """The system calls that the unit's own lines allow."""
    calls: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.+)$", text_of("systemd/canaryd.service"), re.MULTILINE):
        groups = [calls_in(group) for group in line.removeprefix("~").split()]
        calls = calls.difference(*groups) if line.startswith("~") else calls.union(*groups)
    return calls


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    """A daemon under strace that may not give files away, with a router file to replace; yields it and its trace."""
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["init", "my-api"]) == 0
    Path("my-api.canary.json").write_text("not JSON")
    command = ["strace", "-f", "-qq", "-o", "trace", "-e", "inject=fchown:error=EPERM"]
    command += [sys.executable, "-m", "canaryd", "run", "my-api.yaml", "--http-port", "0", "--log-format", "json"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CANARYD_")}
    with Path("log").open("wb") as log, subprocess.Popen(command, stderr=log, env=environment) as tracing:
        yield tracing, tmp_path
        for child in psutil.Process(tracing.pid).children() if tracing.poll() is None else []:
            child.kill()


def wait_for(message: str, log: Path, tracing: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while f'"message": "{message}"' not in (text := log.read_text(encoding="utf-8")):
        if tracing.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the daemon never said {message}:\n{text}")
        time.sleep(0.05)


def test_a_daemon_that_replaces_its_routers_file_stays_within_the_units_filter(daemon, allowed):
    tracing, folder = daemon
    wait_for("change.applied", folder / "log", tracing)
    psutil.Process(tracing.pid).children()[0].terminate()
    assert tracing.wait(DEADLINE_S) == 0
    made = set(re.findall(r"^\d+ +([a-z]\w*)\(", (folder / "trace").read_text(errors="replace"), re.MULTILINE))
    assert {"rename", "renameat", "renameat2"} & made
    assert made - allowed == REFUSED_AND_BORNE
    assert json.loads((folder / "my-api.canary.json").read_text())["traffic_percent"] == 0
