"""A loop that is stuck shows: on /livez and to systemd. What blocks it here is a plugin, found by its entry point."""

from __future__ import annotations

import os
import socket

import pytest

INTERVAL_S = 1.0

PLUGIN = """\
import time
from pathlib import Path

from pydantic import BaseModel

from canaryd.core.readings import Gauge


class StickySource:
    class Options(BaseModel, extra="forbid", strict=True):
        trigger: str

    def __init__(self, options, surroundings):
        self.trigger = surroundings.folder / options.trigger

    def validate(self, query):
        pass

    async def read(self, queries, look):
        if self.trigger.exists():
            seconds = float(self.trigger.read_text())
            self.trigger.unlink()
            time.sleep(seconds)
        return [Gauge(value=1.0, newest_at=look.at.wall) for _ in queries]

    async def check(self):
        return []

    async def aclose(self):
        pass
"""


@pytest.fixture
def sticky_plugin(tmp_path_factory):
    """Install a distribution of its own beside the real ones, as pip would lay it out."""
    place = tmp_path_factory.mktemp("site-packages")
    (place / "sticky.py").write_text(PLUGIN)
    info = place / "sticky-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sticky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[canaryd.metric_sources]\nsticky = sticky:StickySource\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))}


@pytest.fixture
def sticky_site(site, by_confidence):
    """At rest at stage 0, looking every second."""
    source = "health: {type: http_json}\n  sticky: {type: sticky, trigger: stick}"
    site.write_policy(
        *by_confidence,
        ("health: {type: http_json}", source),
        ("{source: health, value: confidence}", "{source: sticky, value: anything}"),
        interval=f"{INTERVAL_S:g}s",
    )
    return site.want(0)


@pytest.fixture
def get_stuck(sticky_site, eventually):
    def stick(seconds):
        trigger = sticky_site.folder / "stick"
        (sticky_site.folder / "draft").write_text(str(seconds))
        (sticky_site.folder / "draft").replace(trigger)
        eventually(lambda: not trigger.exists(), "a loop that is stuck")

    return stick


def test_livez_is_red_after_three_missed_intervals_and_metrics_answer_all_the_while(
    sticky_site, sticky_plugin, run_daemon, get_stuck, eventually
):
    daemon = run_daemon(sticky_site, **sticky_plugin)
    daemon.wait_for("decision.")
    get_stuck(5.0)
    assert daemon.get("/livez").status_code == 200

    red = eventually(lambda: when(daemon.get("/livez"), 503), "a red /livez", within_s=5)
    assert red["rollouts"][0]["age_s"] >= red["rollouts"][0]["limit_s"] == 3 * INTERVAL_S
    assert 'canaryd_ticks_total{outcome="held",rollout="api"}' in daemon.get("/metrics").text
    assert daemon.status()["stage"] == 0

    eventually(lambda: when(daemon.get("/livez"), 200), "a green /livez")
    assert skipped_looks(daemon) >= 3


def when(answer, status):
    return answer.json() if answer.status_code == status else None


def skipped_looks(daemon):
    lines = daemon.get("/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("canaryd_skipped_looks_total{"))


@pytest.fixture
def systemd(tmp_path_factory):
    """The socket that systemd would listen on."""
    path = tmp_path_factory.mktemp("systemd") / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(20)
        yield listener


def drain(listener):
    listener.setblocking(False)
    heard = []
    try:
        while True:
            heard.append(listener.recv(4096))
    except BlockingIOError:
        return heard


def hear(listener, wanted):
    """Listen until it is said, and return what was said before."""
    listener.settimeout(20)
    before = []
    while (said := listener.recv(4096).decode()) != wanted:
        before.append(said)
    return before


def test_systemd_hears_of_the_start_of_every_healthy_second_and_of_the_end(
    sticky_site, sticky_plugin, run_daemon, get_stuck, systemd
):
    notices = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "800000"}
    daemon = run_daemon(sticky_site, **sticky_plugin, **notices)
    assert set(hear(systemd, "READY=1")) <= {"WATCHDOG=1"}
    for _ in range(2):
        hear(systemd, "WATCHDOG=1")

    get_stuck(2.5)
    drain(systemd)
    systemd.settimeout(1.5)
    with pytest.raises(TimeoutError):
        systemd.recv(4096)

    hear(systemd, "WATCHDOG=1")
    assert daemon.stop() == 0
    assert set(hear(systemd, "STOPPING=1")) <= {"WATCHDOG=1"}
    assert drain(systemd) == []


def test_a_plugin_that_is_not_installed_is_missed_by_name(sticky_site, run_daemon):
    daemon = run_daemon(sticky_site)
    assert daemon.process.wait(20) == 2
    assert "there is no such type; found sticky; expected one of" in daemon.text
