"""What the ladder view shows of a status document, as text of 80 columns."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from canaryd.lab.ladder_view import render
from canaryd.lab.load import Seen
from canaryd.lab.screen import LineScreen, users

STAGES = [
    {"stage": 1, "weight": 5.0, "window_s": 86400.0, "approval": False},
    {"stage": 2, "weight": 25.0, "window_s": 172800.0, "approval": False},
    {"stage": 3, "weight": 100.0, "window_s": None, "approval": True},
]


def check(role, condition, outcome, canary, *, stable=None, unit="ratio", detail="", streak=0, needed=0):
    return {
        "role": role, "condition": condition, "signal": condition.split()[0], "canary": canary, "stable": stable,
        "limit": None, "unit": unit, "outcome": outcome, "detail": detail, "rule": condition if needed else "",
        "streak": streak, "streak_needed": needed,
    }  # fmt: skip


CHECKS = [
    check("rule", "errors.rate > 5%", "fail", 0.071, stable=0.002, streak=2, needed=3),
    check("rule", "latency.p95 > 30s", "no_data", None, unit="seconds", needed=3,
          detail="canary: 12 of 20 requests gathered"),
    check("rule", "health is down", "pass", True, stable=True, unit="state", needed=3),
    check("gate_now", "errors.rate < 1%", "pass", 0.004, stable=0.002),
    check("gate_now", "latency.p95 < 18s", "error", None, stable=14.2, unit="seconds", detail="canary: no answer"),
    check("gate_so_far", "errors.rate < 1%", "fail", 0.019, stable=0.003),
    check("gate_so_far", "latency.p95 < 18s", "pass", 16.1, stable=14.0, unit="seconds"),
]  # fmt: skip


def document(**changes):
    return {
        "rollout": "ion-api", "release": "ion-api-00042", "attempt": 1, "phase": "watching", "stage": 2,
        "last_stage": 3, "stages": STAGES, "desired_stage": 3, "weight": 25.0, "observed_weight": 25.0,
        "action": "hold", "summary": "Holding at stage 2 (25 %): 12 h of 48 h watched.",
        "reasons": [{"code": "window", "text": "12 h of 48 h watched"}], "watched_s": 43200.0, "window_s": 172800.0,
        "approved": [], "latch": None, "epoch": 4, "checks": CHECKS, "at": 1000.0, "next_look_s": 30.0,
        "desired_error": "",
        "journal": [
            {"at": 200.0, "kind": "promoted", "text": "ion-api-00042 goes to stage 2 (25 %)", "stage": 2},
            {"at": 100.0, "kind": "window_opened", "text": "Stage 1 is served", "stage": 1},
        ],
        **changes,
    }  # fmt: skip


def shown(**changes) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None, legacy_windows=False)
    console.print(render(document(**changes)))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def line_with(text, found):
    return next(line for line in text.splitlines() if found in line)


def test_the_whole_picture_of_a_stage_being_watched():
    assert shown() == PICTURE


def test_no_line_is_wider_than_80_columns_however_long_the_words_are():
    long = "a very long explanation of what is missing " * 8
    text = shown(summary=long, checks=[*CHECKS, check("rule", "x" * 70, "error", None, detail=long, needed=9)])
    assert max(map(len, text.splitlines())) <= 80


def test_stages_behind_are_ticked_and_the_last_one_asks_for_approval():
    text = shown()
    assert line_with(text, "✓ 1").split() == ["✓", "1", "5", "%", "24", "h"]
    assert "asks for approval" in line_with(text, "100 %")


def test_a_broken_rule_shows_how_often_in_a_row_of_how_often_it_takes():
    assert "✗ errors.rate > 5%" in line_with(shown(), "●●○")


def test_a_gate_shows_now_and_the_stage_so_far_and_fails_on_either():
    assert line_with(shown(), "errors.rate < 1%").split() == ["✗", "errors.rate", "<", "1%", "0.4", "%", "1.9", "%",
                                                              "0.2", "%"]  # fmt: skip


def test_a_stage_without_gates_shows_only_what_sends_it_back():
    text = shown(checks=[one for one in CHECKS if one["role"] == "rule"])
    assert "to go on" not in text
    assert "to go back" in text


def test_what_is_unknown_says_why():
    text = shown()
    assert line_with(text, "latency.p95 < 18s").split()[0] == "!"
    assert "no answer" in line_with(text, "latency.p95 < 18s")
    assert "12 of 20 requests" in line_with(text, "latency.p95 > 30s")


def test_a_release_taken_back_says_from_where_and_has_no_progress():
    latch = {"reason": "errors", "rule": "errors.rate > 5%", "from_stage": 2, "to_stage": 0, "at": 990.0}
    text = shown(phase="rolled_back", stage=0, weight=0.0, observed_weight=0.0, window_s=None, watched_s=0.0,
                 latch=latch, summary="ion-api-00042 was rolled back.")  # fmt: skip
    assert "rolled back" in text.splitlines()[0]
    assert "taken back from here" in line_with(text, "25 %")
    assert "▶" not in text
    assert "0 % canary  100 % stable" in text


def test_a_finished_release_has_every_stage_ticked():
    text = shown(phase="finished", stage=3, weight=100.0, observed_weight=100.0, window_s=None)
    assert text.count(" ✓ 1") == text.count(" ✓ 2") == text.count(" ✓ 3") == 1


def test_a_split_other_than_the_stages_is_pointed_out():
    assert "the stage wants 25 %" in shown(observed_weight=60.0)
    assert "the stage wants" not in shown()


def test_an_unknown_split_is_called_unknown():
    assert "the router does not say" in shown(observed_weight=None)


def test_an_invalid_desired_file_is_named():
    assert "line 3: not a stage" in shown(desired_error="ion-api.desired.yaml: line 3: not a stage")


def test_a_rollout_before_its_first_stage_can_be_shown():
    text = shown(phase="idle", stage=0, checks=[], journal=[], weight=0.0, observed_weight=0.0, window_s=None)
    assert "ion-api" in text
    assert "✓" not in text


# ---------------------------------------------------------------- without a terminal


def printed(*documents) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    with LineScreen(console) as screen:
        for one in documents:
            screen.show(one, Seen())
    return console.file.getvalue().splitlines()


def test_each_journal_line_is_printed_once_in_the_order_of_events():
    assert printed(document(), document(at=2.0)) == ["Stage 1 is served", "ion-api-00042 goes to stage 2 (25 %)"]


def looks(*kinds):
    """Return documents of looks in a row: quiet ones, and blind ones."""
    blind = {"reasons": [{"code": "window", "text": ""}, {"code": "error", "text": ""}], "summary": "No metrics."}
    return [document(journal=[], at=float(at), **(blind if kind == "blind" else {})) for at, kind in enumerate(kinds)]


def test_a_hold_is_printed_once_for_as_long_as_it_lasts():
    assert printed(*looks("quiet", "blind", "blind", "blind", "blind")) == ["No metrics."]
    assert printed(*looks("blind", "blind", "quiet", "quiet", "blind", "blind")) == ["No metrics."] * 2


def test_a_hold_of_one_look_and_time_passing_are_no_news():
    assert printed(*looks("quiet", "blind", "quiet", "quiet", "blind", "quiet")) == []


def test_the_same_look_seen_twice_is_one_look():
    one = looks("blind")[0]
    assert printed(one, one, one) == []


def test_users_are_counted_by_side():
    seen = Seen()
    for side, status in (("stable", 200), ("stable", 500), ("stable", 200), ("canary", 502)):
        seen.note(side, status)
    seen.unanswered = 1
    assert users(seen) == "Users  3 answers from stable, 1 from canary (25.0%); 3 went wrong"


PICTURE = """\
ion-api  ion-api-00042  watching ───────────────────────────────────────────────
 Holding at stage 2 (25 %): 12 h of 48 h watched.

 ✓ 1    5 %                                    24 h
 ▶ 2   25 % ━━━━━━━━╸                          12 h of 2 d
   3  100 %                                    without end, asks for approval

 Traffic  ████████░░░░░░░░░░░░░░░░░░░░░░░░░░  25 % canary  75 % stable

   to go on                    canary   so far   stable
 ✗ errors.rate < 1%             0.4 %    1.9 %    0.2 %
 ! latency.p95 < 18s                -   16.1 s   14.2 s  no answer
   to go back
 ✗ errors.rate > 5%             7.1 %             0.2 %  ●●○
 … latency.p95 > 30s                -                 -  ○○○ 12 of 20 requests …
 ✓ health is down                  up                up  ○○○

 00:01:40 Stage 1 is served
 00:03:20 ion-api-00042 goes to stage 2 (25 %)"""


def test_a_stage_ahead_says_whether_a_person_has_approved_it():
    assert "asks for approval" in shown()
    assert "without end, approved" in shown(approved=[3])
