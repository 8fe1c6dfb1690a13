"""Two daemons on one machine, and two rollouts in one process: what one does must not harm the other."""

from __future__ import annotations

import re

from canaryd.cli.exit_codes import Exit


def test_a_second_daemon_for_the_same_rollout_ends_with_75_and_names_the_first(site, run_daemon):
    first = run_daemon(site)
    first.wait_for("daemon.started")
    second = run_daemon(site)
    assert second.process.wait(20) == Exit.ANOTHER_RUNS
    told = [line for line in second.text.splitlines() if line.startswith("canaryd: ")]
    assert len(told) == 1
    assert re.search(rf"another canaryd \(process {first.process.pid}, since .+\) holds .*api\.db\.lock", told[0])
    assert "Traceback" not in second.text
    first.wait_for("decision.finish")


def test_the_state_is_free_again_as_soon_as_its_daemon_was_killed(site, run_daemon):
    first = run_daemon(site)
    first.wait_for("daemon.started")
    first.kill()
    run_daemon(site).wait_for("decision.")


def test_another_rollout_in_the_same_folder_has_a_daemon_of_its_own(site, another_site, run_daemon):
    other = another_site("other")
    daemons = [run_daemon(site), run_daemon(other)]
    for daemon in daemons:
        daemon.wait_for("decision.finish")
    assert (site.weight, other.weight) == (100, 100)


def test_a_rollout_whose_state_another_daemon_holds_does_not_keep_the_others_from_running(
    site, another_site, run_daemon
):
    first = run_daemon(site)
    first.wait_for("daemon.started")
    other = another_site("other")
    both = run_daemon(site, other)
    both.wait_for("decision.finish")
    assert other.weight == 100
    assert "another canaryd" in both.wait_for("rollout.not_started")["problem"]


def test_a_rollout_that_cannot_be_built_leaves_the_other_alone_and_starts_once_it_is_corrected(
    site, another_site, run_daemon
):
    broken = another_site("broken").write_policy(("type: scrape", "type: scrap"))
    daemon = run_daemon(broken, site)
    problem = daemon.wait_for("rollout.not_started")["problem"]
    assert problem.startswith("broken.yaml:8:17: there is no such type; found scrap; expected one of http_json, ")
    assert problem.endswith("Did you mean scrape?")
    daemon.wait_for("change.applied")
    assert daemon.get("/readyz").json()["waiting_for"] == ["broken"]
    broken.write_policy()
    daemon.wait_for("decision.finish", count=2)
    assert (site.weight, broken.weight) == (100, 100)
    assert daemon.get("/readyz").status_code == 200


def test_a_source_that_is_gone_holds_its_own_rollout_and_no_other(site, another_site, run_daemon):
    blind = another_site("blind")
    blind.canary.close()
    daemon = run_daemon(blind, site)
    assert daemon.wait_for("decision.finish")["rollout"] == "api"
    assert blind.weight == 0
    assert "connection refused" in daemon.status("blind")["summary"]


def test_two_policies_of_one_rollout_are_refused(site, run_daemon, tmp_path):
    (tmp_path / "copy.yaml").write_text(site.policy_path.read_text())
    copy = type(site)(tmp_path, site.stable, site.canary, "copy")
    daemon = run_daemon(site, copy)
    assert daemon.process.wait(20) == Exit.USAGE
    assert "api.yaml and copy.yaml are both of rollout 'api'" in daemon.text
