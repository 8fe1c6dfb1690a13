"""Whatever is wrong in a file: one line that names file and place, exit code 2, never a traceback."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from canaryd.cli.exit_codes import Exit

CORPUS = Path(__file__).parents[2] / "config"
POLICY = runpy.run_path(str(CORPUS / "conftest.py"))["POLICY"]
GOOD_POLICY = re.sub(r"sum\((\w+\{.*?\})\)", r"sum(increase(\1[$window]))", POLICY)
"""The corpus need not have queries that could work; the command line asks for those as well."""
POLICY_MISTAKES = runpy.run_path(str(CORPUS / "test_config_policy_mistakes.py"))["MISTAKES"]
DESIRED_MISTAKES = runpy.run_path(str(CORPUS / "test_config_desired.py"))["MISTAKES"]
GOOD_DESIRED = b"release: ion-api-2\nstage: 1\n"


def mistaken_policies():
    """Yield a policy with one mistake, and its place."""
    for old, marked, _ in POLICY_MISTAKES:
        before, _, after = POLICY.replace(old, marked, 1).partition("▸")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        yield (before + after).encode(), f"ion-api.yaml:{line}:{column}: "
    for cut in (b"", POLICY.encode()[:17], POLICY.encode()[:400], b"\0" + POLICY.encode(), b"&a [*a]\n", b"[" * 5000):
        yield cut, "ion-api.yaml:"
    yield b"#" * 70_000, "ion-api.yaml: the file is too large"


def mistaken_wishes():
    for text, told in DESIRED_MISTAKES:
        if isinstance(text, str):
            yield text.encode(), f"ion-api.desired.yaml:{told}"
    yield b"\xff\xfe", "ion-api.desired.yaml:1:1: the text is not UTF-8"


PAIRS = [(policy, GOOD_DESIRED, told) for policy, told in mistaken_policies()]
PAIRS += [(GOOD_POLICY.encode(), desired, told) for desired, told in mistaken_wishes()]
IN_PROCESSES = PAIRS[3], PAIRS[20], PAIRS[-8], PAIRS[-4], PAIRS[-1]


@pytest.fixture
def pair(tmp_path):
    def write(policy, desired):
        (tmp_path / "ion-api.yaml").write_bytes(policy)
        (tmp_path / "ion-api.desired.yaml").write_bytes(desired)
        return str(tmp_path / "ion-api.yaml")

    return write


def assert_is_one_line(shown, told):
    assert shown.startswith(f"canaryd: {told}")
    assert shown.removesuffix("\n").isprintable()


def test_the_corpus_is_large_and_about_files_that_are_otherwise_good(pair, in_process):
    assert len(set(PAIRS)) >= 40
    assert in_process("check", "--offline", pair(GOOD_POLICY.encode(), GOOD_DESIRED)).returncode == Exit.OK


def test_check_tells_every_mistake_in_one_line_with_its_place(pair, in_process):
    for policy, desired, told in PAIRS:
        checked = in_process("check", "--offline", pair(policy, desired))
        assert (checked.returncode, checked.stdout) == (Exit.USAGE, "")
        assert_is_one_line(checked.stderr, told)


@pytest.mark.parametrize(("policy", "desired", "told"), IN_PROCESSES, ids=range(len(IN_PROCESSES)))
def test_the_daemon_does_not_start_on_them(pair, canaryd, policy, desired, told):
    ended = canaryd("run", pair(policy, desired), "--http-port", "0", "--log-format", "json")
    assert ended.returncode == Exit.USAGE
    assert "Traceback" not in ended.stderr
    *logged, last = ended.stderr.splitlines(keepends=True)
    assert all(line.startswith("{") for line in logged)
    assert_is_one_line(last, told)
