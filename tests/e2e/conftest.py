from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest


def wait_until(holds, *, within_s: float = 20.0, what: str = "it"):
    """Ask again and again; return the first answer that is true."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if answer := holds():
            return answer
        time.sleep(0.02)
    pytest.fail(f"{what} did not happen within {within_s:g} s")


@pytest.fixture
def until():
    return wait_until


class Program:
    """A Python program under test, with all it prints."""

    def __init__(self, arguments: list[str], output: Path) -> None:
        self.output = output
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    @property
    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, within_s: float) -> int:
        return self.process.wait(within_s)


@pytest.fixture
def start(tmp_path):
    programs: list[Program] = []

    def start_program(*arguments: str) -> Program:
        programs.append(Program(list(arguments), tmp_path / f"output-{len(programs)}.txt"))
        return programs[-1]

    yield start_program
    for program in programs:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in program.family():
                process.kill()
        program.process.kill()
        program.process.wait()
