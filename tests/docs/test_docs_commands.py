"""Every shell command in the documentation does what its page says.

The ``sh`` blocks of a page run in order in one empty folder. ``sh exit=3`` says what the last command ends with.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DEADLINE_S = 150


def environment() -> dict[str, str]:
    """The environment without somebody's real settings, and with this canaryd first on the path."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("CANARYD_", "STATE_DIRECTORY"))}
    return own | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}


def expected_code(info: str) -> int:
    match = re.fullmatch(r"sh(?: exit=(\d+))?", info)
    assert match, f"{info!r} says nothing that can be checked"
    return int(match[1] or 0)


@pytest.mark.timeout(2 * DEADLINE_S)
def test_the_commands_of_a_page_run_as_they_stand(script, tmp_path):
    for block in script:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.body],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == expected_code(block.info), f"{block.id}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["README.md", "docs/policy.md", "docs/desired.md", "docs/operations.md"])
def test_the_pages_that_people_copy_from_have_commands_to_run(name, text_of):
    assert re.search(r"^```sh\b", text_of(name), re.MULTILINE)


def test_no_command_hides_behind_another_fence(page):
    """A plain shell fence under another name would never be tested."""
    for info, body in re.findall(
        r"^```(\w*)[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        if info == "console":
            assert re.match(r"[$#] ", body), f"{page.name}: a console block starts with a prompt"
        assert info not in {"bash", "shell", ""}, (
            f"{page.name}: name the language of every block; commands are sh or console"
        )


def test_the_makefile_has_the_targets_that_the_pages_name(text_of):
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    named = set(re.findall(r"\$ make ([a-z]+)", text_of("README.md") + text_of("CONTRIBUTING.md")))
    assert {"demo", "test"} <= named <= targets


def test_the_commands_without_make_are_those_that_make_runs(text_of):
    makefile, readme = text_of("Makefile"), text_of("README.md")
    for command in ("ruff check .", "ruff format --check .", "mypy", "lint-imports", "-m pytest", "canaryd demo"):
        assert command in makefile
        assert command in readme
