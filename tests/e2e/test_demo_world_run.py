"""``canaryd demo`` as a user runs it: the exit code, what it says, and that nothing is left running."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

from canaryd.errors import OperatorError
from canaryd.lab.breaking import Break, BreakKind, parse_break

DEMO = ("-m", "canaryd", "demo", "--speed", "4")
WITHIN_S = 90

pytestmark = pytest.mark.timeout(150)


def alive(processes):
    return [process for process in processes if process.is_running() and process.status() != "zombie"]


def status(folder):
    command = [sys.executable, "-m", "canaryd", "status", str(folder / "demo-api.yaml"), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)


def canary_answers(text):
    return int(re.search(r"([\d,]+) from canary", text)[1].replace(",", ""))


def test_a_good_release_climbs_every_stage_to_100_percent(start, tmp_path):
    demo = start(*DEMO, "--dir", str(tmp_path / "demo"))
    assert demo.wait(WITHIN_S) == 0
    stages = [line["stage"] for line in reversed(status(tmp_path / "demo")["journal"]) if " is served" in line["text"]]
    assert stages == [1, 2, 3, 4, 5]
    assert json.loads((tmp_path / "demo" / "canary.json").read_text())["traffic_percent"] == 100
    assert canary_answers(demo.text) > 100


@pytest.mark.parametrize(
    ("kind", "grounds"),
    [
        ("errors@1", "errors.rate is"),
        ("latency", "latency.p95 is"),
        ("crash@1", "health is down on canary"),
        ("health", "status is degraded"),
    ],
)
def test_a_release_that_goes_wrong_is_taken_back(start, tmp_path, kind, grounds):
    demo = start(*DEMO, "--break", kind, "--dir", str(tmp_path / "demo"))
    assert demo.wait(WITHIN_S) == 3
    after = status(tmp_path / "demo")
    assert (after["phase"], after["observed_weight"]) == ("rolled_back", after["weight"])
    assert after["stage"] < parse_break(kind, 5).stage
    assert grounds in after["latch"]["reason"]


def test_a_release_that_goes_wrong_at_100_percent_is_taken_back_as_well(start):
    demo = start(*DEMO, "--break", "health@5")
    assert demo.wait(WITHIN_S) == 3
    assert "rolled back from stage 5" in demo.text


def test_when_the_metrics_fall_silent_the_daemon_holds_and_says_so(start, tmp_path):
    demo = start(*DEMO, "--break", "silence@1", "--dir", str(tmp_path / "demo"))
    assert demo.wait(WITHIN_S) == 4
    assert "503 Service Unavailable" in demo.text
    after = status(tmp_path / "demo")
    assert (after["stage"], after["observed_weight"], after["latch"]) == (1, 5, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_stops_everything_and_leaves_no_temporary_files(start, until, number):
    demo = start(*DEMO)
    until(lambda: "Stage 1 is served" in demo.text, what="the first stage")
    family = demo.family()
    folder = re.search(r"files +(\S+)", demo.text)[1]
    assert len(family) == 4
    demo.signal(number)
    assert demo.wait(20) == 128 + number
    assert alive(family) == []
    assert subprocess.run(["test", "-e", folder], check=False).returncode == 1


def test_interrupted_while_it_starts_it_leaves_nothing_running(start, until):
    demo = start(*DEMO)
    family = until(demo.family, what="the first child")
    demo.signal(signal.SIGINT)
    assert demo.wait(20) == 130
    assert alive(family) == []


def test_killed_it_leaves_nothing_running_and_carries_on_where_it_was(start, until, tmp_path):
    command = (*DEMO, "--dir", str(tmp_path / "demo"))
    first = start(*command)
    until(lambda: "Stage 2 is served" in first.text, what="the second stage")
    family = first.family()
    first.process.kill()
    first.wait(10)
    until(lambda: not alive(family), within_s=5, what="the end of every child")

    second = start(*command)
    assert second.wait(WITHIN_S) == 0
    stages = [line["stage"] for line in reversed(status(tmp_path / "demo")["journal"]) if " is served" in line["text"]]
    assert stages == [1, 2, 3, 4, 5]


def test_a_second_demo_in_the_same_folder_is_told_what_is_in_its_way(start, until, tmp_path):
    command = (*DEMO, "--dir", str(tmp_path / "demo"))
    first = start(*command)
    until(lambda: "Stage 1 is served" in first.text, what="the first stage")
    second = start(*command)
    assert second.wait(30) == 2
    assert "does another demo run in" in second.text
    assert "Traceback" not in second.text
    assert len(alive(first.family())) == 4


def test_a_folder_that_cannot_be_used_is_named(start, tmp_path):
    (tmp_path / "file").write_text("")
    demo = start(*DEMO, "--dir", str(tmp_path / "file"))
    assert demo.wait(20) == 2
    assert f"{tmp_path / 'file'} cannot be used for a demo" in demo.text


@pytest.mark.parametrize("ports", ["", "{}", "[1]", '{"stable": 1, "canary": 2, "front_door": 3, "daemon": "4"}'])
def test_a_folder_with_other_files_in_it_is_left_alone(start, tmp_path, ports):
    (tmp_path / "ports.json").write_text(ports)
    demo = start(*DEMO, "--dir", str(tmp_path))
    assert demo.wait(20) == 2
    assert "is not what a demo writes" in demo.text
    assert not (tmp_path / "demo-api.yaml").exists()


# ---------------------------------------------------------------- --break


def test_a_break_has_a_kind_and_a_stage():
    assert parse_break("latency@4", 5) == Break(BreakKind.LATENCY, 4)
    assert parse_break("silence", 5) == Break(BreakKind.SILENCE, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("error", "Did you mean errors?"),
        ("gremlins", "expected one of errors, latency, crash, health, silence"),
        ("", "expected one of"),
        ("errors@", "expected a stage from 1 to 5"),
        ("errors@0", "expected a stage from 1 to 5"),
        ("errors@6", "expected a stage from 1 to 5"),
        ("errors@two", "expected a stage from 1 to 5"),
        ("errors@1@2", "expected a stage from 1 to 5"),
    ],
)
def test_a_break_that_cannot_be_says_what_can(text, told):
    with pytest.raises(OperatorError, match=re.escape(told)):
        parse_break(text, 5)
