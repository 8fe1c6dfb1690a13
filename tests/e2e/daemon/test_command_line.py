"""Every verb as people and pipelines call it: what it prints, what it leaves alone, and its exit code."""

from __future__ import annotations

import json
import socket

import pytest

from canaryd.cli.exit_codes import Exit


@pytest.fixture(autouse=True)
def quick(site, in_process):
    """The daemons here are processes; the commands beside them need not be."""
    site.run = in_process


def tree(folder):
    """Return every file below, with what would tell of the slightest touch."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def parted(site, run_daemon):
    """A rollout at stage 2 of 4, whose daemon has ended."""
    site.want(2)
    daemon = run_daemon(site)
    daemon.wait_for_status(lambda status: status["stage"] == 2 and status["watched_s"] > 0)
    daemon.stop()
    return site


# ---------------------------------------------------------------- plan


def test_plan_says_what_would_be_done_before_anything_ever_ran_and_creates_nothing(site):
    before = tree(site.folder)
    planned = site.command("plan")
    assert (planned.returncode, planned.stderr) == (Exit.OK, "")
    assert "The router would be set to 0 % for the canary (epoch 1)." in planned.stdout
    assert tree(site.folder) == before


def test_plan_says_the_next_step_of_a_rollout_and_touches_nothing(parted):
    before = tree(parted.folder)
    planned = parted.command("plan", "--json")
    assert planned.returncode == Exit.OK
    assert json.loads(planned.stdout)["stage"] == 2
    parted.want(0)
    before = tree(parted.folder)
    assert json.loads(parted.command("plan", "--json").stdout)["change"]["weight"] == 0
    assert "The router would be set to 0 %" in parted.command("plan").stdout
    assert tree(parted.folder) == before
    assert parted.weight == 20


# ---------------------------------------------------------------- check


def test_check_is_green_where_everything_answers_and_changes_nothing(site):
    before = tree(site.folder)
    checked = site.command("check")
    assert checked.returncode == Exit.OK
    assert "ok    errors on canary: answers" in checked.stdout
    assert "FAIL" not in checked.stdout
    assert tree(site.folder) == before


def test_check_is_red_and_names_what_does_not_answer(site):
    site.canary.close()
    checked = site.command("check", "--json")
    assert checked.returncode == Exit.USAGE
    failed = {found["subject"] for found in json.loads(checked.stdout)["findings"] if not found["ok"]}
    assert failed == {"errors on canary", "health on canary"}


# ---------------------------------------------------------------- status


def test_status_is_the_same_from_the_daemon_and_from_its_state_and_outlives_it(site, run_daemon):
    site.want(1)
    daemon = run_daemon(site)
    daemon.wait_for_status(lambda status: status["reasons"][0]["code"] == "at_ceiling")
    assert site.status().keys() == daemon.status().keys()
    assert (site.status()["stage"], site.status()["release"]) == (1, "api-2")
    daemon.stop()
    assert (site.status()["stage"], site.status()["observed_weight"]) == (1, 5)
    assert "stage 1" in site.command("status").stdout


@pytest.mark.parametrize("verb", ["status", "explain"])
def test_before_the_first_run_there_is_nothing_to_show_and_the_command_to_start_is_named(site, verb):
    shown = site.command(verb)
    assert (shown.returncode, shown.stdout) == (Exit.HELD, "")
    assert f"Start it: canaryd run {site.policy_path}" in shown.stderr


# ---------------------------------------------------------------- what people say


EDITS = [
    (["promote"], "+stage: 3"),
    (["promote", "--to", "4"], "+stage: 4"),
    (["promote", "--release", "api-3"], '+release: "api-3"'),
    (["approve"], "+approved: [3]"),
    (["waive"], "+waived: [2]"),
    (["pause"], "+paused: true"),
    (["rollback"], "+stage: 0"),
    (["rollback", "--to", "previous"], "+stage: 1"),
    (["retry"], "+attempt: 2"),
]  # fmt: skip


def test_every_verb_shows_its_edit_and_makes_it_only_when_it_is_not_a_dry_run(parted):
    asked = parted.desired_path.read_text()
    for (verb, *options), line in EDITS:
        before = tree(parted.folder)
        dry = parted.command(verb, *options, "--dry-run")
        assert (dry.returncode, dry.stderr) == (Exit.OK, "")
        assert dry.stdout.endswith("Dry run: nothing was written.\n")
        assert f"api.desired.yaml: {line}\n" in dry.stdout
        assert tree(parted.folder) == before

        done = parted.command(verb, *options)
        assert done.stdout == dry.stdout.removesuffix("Dry run: nothing was written.\n")
        assert parted.desired_path.read_text() != asked
        parted.desired_path.write_text(asked)


def test_pause_and_resume_are_each_others_opposite(parted):
    asked = parted.desired_path.read_text()
    assert parted.command("resume").stdout == "api.desired.yaml says so already; nothing to change.\n"
    parted.command("pause")
    assert "paused: true" in parted.desired_path.read_text()
    assert parted.command("resume", "--dry-run").stdout.startswith("api.desired.yaml: ")
    parted.command("resume")
    assert parted.desired_path.read_text() == asked + "paused: false\n"


def test_retry_brings_a_rolled_back_release_back(site, run_daemon, eventually):
    daemon = run_daemon(site)
    eventually(lambda: site.weight == 5, "stage 1")
    site.canary.healthy = False
    daemon.wait_for_status(lambda status: status["phase"] == "rolled_back")
    site.canary.healthy = True
    assert f"canaryd retry {site.policy_path}" in site.command("explain").stdout
    assert site.command("retry").returncode == Exit.OK
    daemon.wait_for("decision.finish")
    assert (site.weight, site.traffic["attempt"], site.traffic["latched"]) == (100, 2, False)


# ---------------------------------------------------------------- what cannot be


def test_a_port_in_use_is_told_in_one_line(site, canaryd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = canaryd("run", str(site.policy_path), "--http-port", str(port), "--log-level", "error")
    assert ended.returncode == Exit.USAGE
    assert ended.stderr == f"canaryd: cannot serve HTTP on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize("verb", ["run", "once", "status", "check", "pause"])
def test_a_misspelt_setting_is_refused_by_every_verb(site, verb, monkeypatch):
    monkeypatch.setenv("CANARYD_HTTP_PROT", "1")
    ended = site.command(verb)
    assert ended.returncode == Exit.USAGE
    assert ended.stderr == "canaryd: unknown setting CANARYD_HTTP_PROT. Did you mean CANARYD_HTTP_PORT?\n"
    assert site.traffic == {}
