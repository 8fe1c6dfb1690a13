"""``canaryd run`` as a process: it climbs, goes back, stops when it is told to, and leaves state that can be read."""

from __future__ import annotations

import signal

import pytest


def stages_served(status):
    return [line["stage"] for line in reversed(status["journal"]) if line["kind"] == "window_opened"]


def test_a_good_release_climbs_to_100_percent_stage_by_stage(site, run_daemon, history):
    with history(site.router_path) as router:
        daemon = run_daemon(site)
        daemon.wait_for("decision.finish")
    assert [keys["traffic_percent"] for _, keys in router.seen] == [0, 5, 20, 50, 100]
    assert stages_served(daemon.status()) == [1, 2, 3, 4]


def test_a_release_that_fails_is_taken_back_and_stays_so(site, run_daemon, eventually):
    site.want(2)
    daemon = run_daemon(site)
    eventually(lambda: site.weight == 20, "stage 2")
    site.canary.bad = 30
    daemon.wait_for("decision.roll_back")
    eventually(lambda: site.weight == 0, "all stable")
    status = daemon.wait_for_status(lambda status: status["phase"] == "rolled_back")
    assert "errors.rate is 30 % on canary" in status["latch"]["reason"]
    assert site.traffic["latched"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_at_once_with_0_and_its_state_can_be_read(site, run_daemon, number):
    daemon = run_daemon(site)
    daemon.wait_for("change.applied", count=2)
    assert daemon.stop(number, within_s=3) == 0
    assert daemon.events("daemon.stopped")
    after = site.status()
    assert (after["stage"], after["weight"]) == (site.traffic["current_stage"], site.weight)


def test_told_to_stop_while_it_waits_for_its_next_look_it_does_not_wait(site, run_daemon):
    site.write_policy(interval="1h")
    daemon = run_daemon(site)
    daemon.wait_for("decision.")
    assert daemon.stop(within_s=3) == 0
