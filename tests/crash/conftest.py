"""Real processes under strace, which makes chosen system calls fail or kills at them.

The programs run from a fork server, so that tracing starts after their imports and a run takes milliseconds.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)


@pytest.fixture(scope="session", autouse=True)
def no_stray_event_loop():
    """Without this, asking for the current loop before the first asynchronous test makes one nobody closes."""
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session", autouse=True)
def strace():
    missing = shutil.which("strace") is None or subprocess.run(["strace", "-qq", "true"], check=False).returncode
    if missing and os.environ.get("CI") == "true":
        pytest.fail("strace is missing or may not trace")
    if missing:
        pytest.skip("strace is missing or may not trace")


@dataclass
class Ended:
    """How a traced program ended, what it printed, and the system calls it made on the watched paths."""

    status: int
    output: str
    trace: str

    @property
    def was_killed(self):
        return self.status == -signal.SIGKILL

    @property
    def calls(self):
        return Counter(CALL.findall(self.trace))

    def position(self, pattern, after=-1):
        """Return where in the trace a call stands; what is not there fails the test."""
        found = re.compile(pattern).search(self.trace, after + 1)
        assert found, f"no {pattern} after position {after} in\n{self.trace}"
        return found.start()


class ForkServer:
    """A program that is imported once and run many times."""

    def __init__(self, program):
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def prepare(self, *arguments):
        """Make a process that waits, and return its number."""
        self._send(json.dumps(arguments))
        return int(self._process.stdout.readline())

    def go(self):
        """Let it run, and return its exit status and all it printed."""
        self._send("")
        lines = []
        for line in self._process.stdout:
            if line.startswith("ended "):
                return int(line.removeprefix("ended ")), "".join(lines)
            lines.append(line)
        pytest.fail(f"the program cannot run: {''.join(lines)}")

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def _send(self, line):
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


@dataclass
class Tracer:
    """Runs a program with faults injected into its system calls on some paths, and on no others."""

    server: ForkServer
    paths: tuple[str, ...]

    def run(self, folder, *arguments, inject="", trace="file,desc"):
        log = folder.with_name(f"{folder.name}.trace")
        command = ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={trace}"]
        command += [part for path in self.paths for part in ("-P", str(folder / path))]
        command += ["-e", f"inject={inject}"] if inject else []
        pid = self.server.prepare(str(folder), *arguments)
        with subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, text=True) as tracing:
            attached = tracing.stderr.readline()
            assert "attached" in attached, attached
            status, output = self.server.go()
            tracing.communicate(timeout=10)
        return Ended(status, output, log.read_text(errors="replace"))


@pytest.fixture(scope="session")
def server():
    """Return a program's fork server, started when it is first asked for."""
    servers = {}

    def of(program):
        if program not in servers:
            servers[program] = ForkServer(program)
        return servers[program]

    yield of
    for one in servers.values():
        one.close()


@pytest.fixture
def tracer(server):
    return lambda program, paths: Tracer(server(program), paths)


@pytest.fixture
def kill_at_every(tmp_path):
    """Kill a program at each of its calls to one system call in turn, each time in a fresh copy of the folder."""

    def sweep(tracer, folder, syscall, *arguments):
        def run(name, **faults):
            place = shutil.copytree(folder, tmp_path / f"{syscall}-{name}")
            return place, tracer.run(place, *arguments, trace=syscall, **faults)

        _, whole = run("whole")
        assert whole.status == 0, whole.output
        assert whole.calls[syscall], f"the program never calls {syscall}"
        for number in range(1, whole.calls[syscall] + 1):
            place, ended = run(number, inject=f"{syscall}:signal=KILL:when={number}")
            assert ended.was_killed, ended
            yield place, ended

    return sweep
