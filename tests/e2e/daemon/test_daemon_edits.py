"""People edit files while the daemon runs: a good edit counts within a second, a bad one changes nothing."""

from __future__ import annotations

import time

import pytest

SEEN_WITHIN_S = 1.0
AND_CARRIED_OUT_WITHIN_S = 0.5
"""On a busy machine, besides: looking, writing down, and writing the router file."""


@pytest.fixture
def at_stage_one(site, run_daemon, eventually):
    """A daemon that climbed as far as it may; then its next look is a minute away."""
    site.write_policy(("interval: 100ms", "interval: [{every: 100ms, until: 300ms}, {every: 60s}]")).want(1)
    daemon = run_daemon(site)
    eventually(lambda: site.weight == 5, "stage 1")
    daemon.wait_for_status(lambda status: status["next_look_s"] == 60)
    return daemon


def test_an_edit_of_the_desired_file_is_acted_on_within_a_second(site, at_stage_one, eventually):
    edited_at = time.monotonic()
    site.want(0)
    eventually(lambda: site.weight == 0, "all stable")
    assert time.monotonic() - edited_at < SEEN_WITHIN_S + AND_CARRIED_OUT_WITHIN_S


def test_an_invalid_edit_keeps_the_last_good_one_in_force_and_everybody_is_told(site, at_stage_one, eventually):
    site.desired_path.write_text("release: api-2\nstage: 9\n")
    problem = "api.desired.yaml:2:8: the policy has no such stage; found 9; expected at most 4"
    assert at_stage_one.wait_for("desired.invalid")["problem"] == problem
    status = at_stage_one.wait_for_status(lambda status: status["desired_error"])
    assert (status["desired_error"], status["desired_stage"], site.weight) == (problem, 1, 5)
    assert metric(at_stage_one, "desired_file_error") == 1
    assert problem in site.command("explain").stdout

    site.want(0)
    eventually(lambda: site.weight == 0, "all stable")
    assert at_stage_one.wait_for_status(lambda status: not status["desired_error"])["desired_stage"] == 0
    assert metric(at_stage_one, "desired_file_error") == 0


def test_a_desired_file_that_is_taken_away_changes_nothing_either(site, at_stage_one):
    site.desired_path.unlink()
    assert "there is no such file" in at_stage_one.wait_for("desired.invalid")["problem"]
    assert (at_stage_one.status()["stage"], site.weight) == (1, 5)


def test_restarted_while_the_file_is_invalid_it_goes_on_with_the_last_good_one(site, run_daemon):
    first = run_daemon(site)
    first.wait_for("decision.promote", count=2)
    first.kill()
    site.desired_path.write_text("release: [\n")
    second = run_daemon(site)
    second.wait_for("desired.invalid")
    second.wait_for("decision.finish")
    assert site.weight == 100


def test_without_any_valid_desired_state_it_does_not_start(site, run_daemon):
    site.desired_path.write_text("release: [\n")
    daemon = run_daemon(site)
    assert daemon.process.wait(20) == 2
    assert "canaryd: api.desired.yaml:" in daemon.text
    assert site.traffic == {}


def test_an_edit_of_the_policy_builds_the_rollout_anew(site, at_stage_one, eventually):
    site.write_policy(("weight: 5,", "weight: 7,"))
    at_stage_one.wait_for("policy.changed")
    eventually(lambda: site.weight == 7, "the new weight of stage 1")
    journal = at_stage_one.wait_for_status(lambda status: status["watched_s"] > 0)["journal"]
    assert "restarted" in [line["kind"] for line in journal]


def test_an_invalid_edit_of_the_policy_changes_nothing(site, at_stage_one):
    before = at_stage_one.status()
    site.write_policy(("weight: 20", "weight: 4"))
    problem = at_stage_one.wait_for("policy.invalid")["problem"]
    assert problem == "api.yaml:15:14: weights must rise from stage to stage; found 4; expected over 5"
    site.want(1, paused=True)
    after = at_stage_one.wait_for_status(lambda status: status["paused"])
    assert (after["stages"], after["weight"], after["epoch"]) == (before["stages"], 5, before["epoch"])
    assert not at_stage_one.events("policy.changed")


def metric(daemon, name):
    lines = daemon.get("/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"canaryd_{name}{{"))
