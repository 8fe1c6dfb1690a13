"""``canaryd once``, again and again, as a scheduler would run it: there is no daemon, and all the same rules hold."""

from __future__ import annotations

import json

import pytest

from canaryd.cli.exit_codes import Exit

MOST_TICKS = 40


@pytest.fixture
def scheduled(site, by_confidence):
    """Ticks that come as fast as processes start, seen from a policy that looks every second."""
    return site.write_policy(*by_confidence, interval="1s", window="1s")


def tick(site):
    done = site.command("once", "--json")
    assert done.stdout, done.stderr
    return Exit(done.returncode), json.loads(done.stdout)


def tick_until(site, holds):
    """Tick until the status is as wanted; return every exit code and status on the way."""
    ticks = []
    for _ in range(MOST_TICKS):
        ticks.append(tick(site))
        if holds(ticks[-1][1]):
            return ticks
    pytest.fail(f"not within {MOST_TICKS} ticks; the last one: {ticks[-1][1]['summary']}")


def test_scheduled_ticks_climb_a_ladder_with_windows_credited_from_one_to_the_next(scheduled):
    scheduled.want(2)
    ticks = tick_until(scheduled, lambda status: status["stage"] == 2 and status["watched_s"] >= status["window_s"])
    assert {code for code, _ in ticks} == {Exit.OK}
    assert [status["stage"] for _, status in ticks] == sorted(status["stage"] for _, status in ticks)
    watched_s = [status["watched_s"] for _, status in ticks if status["stage"] == 1]
    assert watched_s == sorted(watched_s)
    assert len(set(watched_s)) >= 2, "a window of a second takes more than one tick"
    assert (scheduled.weight, ticks[-1][1]["reasons"][0]["code"]) == (20, "at_ceiling")


def test_ticks_that_come_too_seldom_for_the_interval_prove_nothing(scheduled, by_confidence):
    scheduled.write_policy(*by_confidence, interval="100ms", window="100ms")
    ticks = [tick(scheduled)[1] for _ in range(5)]
    assert ticks[-1]["stage"] == 1
    assert ticks[-1]["watched_s"] == 0


def test_a_tick_that_holds_for_want_of_a_gate_ends_with_4_and_a_rolled_back_release_with_3(scheduled):
    tick_until(scheduled, lambda status: status["watched_s"] > 0)
    scheduled.canary.confidence = 0.6
    code, status = tick(scheduled)
    assert (code, status["stage"]) == (Exit.HELD, 1)
    assert "confidence is now 0.6 on canary, must be over 0.75" in status["summary"]

    scheduled.canary.confidence = 0.2
    ticks = tick_until(scheduled, lambda status: status["latch"])
    assert ticks[-1][0] == Exit.ROLLED_BACK
    assert tick(scheduled)[0] == Exit.ROLLED_BACK
    assert scheduled.weight == 0


def test_a_tick_beside_a_daemon_ends_with_75(site, run_daemon):
    run_daemon(site).wait_for("daemon.started")
    done = site.command("once")
    assert done.returncode == Exit.ANOTHER_RUNS
    assert "another canaryd" in done.stderr
