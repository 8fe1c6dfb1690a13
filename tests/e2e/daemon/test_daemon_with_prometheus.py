"""The daemon with a real Prometheus that scrapes two real services, every second."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import httpx
import prometheus_client
import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

pytestmark = pytest.mark.prometheus

CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: services
    static_configs:
      - {{targets: ["{stable}"], labels: {{side: stable}}}}
      - {{targets: ["{canary}"], labels: {{side: canary}}}}
"""
SOURCES = 'prom: {{type: prometheus, url: "{url}", window: 3s}}\n  health: {{type: http_json}}'
ERRORS = """\
errors:
    source: prom
    bad: 'sum(increase(http_requests_total{side="$side",code="500"}[$window]))'
    total: 'sum(increase(http_requests_total{side="$side"}[$window]))'"""


class Scraped:
    """A service that is scraped: every scrape finds a hundred requests more, and a few oddities."""

    def __init__(self):
        self.bad = 0
        self._counts = {"200": 0, "500": 0}
        registry = prometheus_client.CollectorRegistry()
        registry.register(self)
        self._server, self._thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def collect(self):
        self._counts["200"] += 100 - self.bad
        self._counts["500"] += self.bad
        requests = CounterMetricFamily("http_requests", "Requests.", labels=["code"])
        for code, count in self._counts.items():
            requests.add_metric([code], count)
        several = GaugeMetricFamily("several", "One for each shard.", labels=["shard"])
        for shard in ("a", "b"):
            several.add_metric([shard], 1.0)
        old = GaugeMetricFamily("old", "Measured two minutes ago.")
        old.add_metric([], 1.0, timestamp=STARTED_AT - 120)
        return [requests, several, old, GaugeMetricFamily("undefined", "Never a number.", value=float("nan"))]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


STARTED_AT = time.time()


@pytest.fixture(scope="module")
def scraped():
    sides = {"stable": Scraped(), "canary": Scraped()}
    yield sides
    for service in sides.values():
        service.close()


@pytest.fixture(scope="module")
def prometheus(scraped, tmp_path_factory):
    """Start Prometheus, and wait until it has scraped both sides often enough to know how they grow."""
    program = shutil.which("prometheus")
    if program is None:
        report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        report("the prometheus program is not installed (Debian package prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "config.yml").write_text(CONFIG.format(**{side: one.address for side, one in scraped.items()}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [program, f"--config.file={folder}/config.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}", "--log.level=warn"], stderr=log)
    try:
        wait_until_it_knows(f"http://{address}", process)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def wait_until_it_knows(url, process):
    deadline = time.monotonic() + 30
    while len(answer(url, "rate(http_requests_total{code='200'}[3s])")) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline, "Prometheus never scraped both sides"
        time.sleep(0.1)


def answer(url, expression):
    try:
        told = httpx.post(f"{url}/api/v1/query", data={"query": expression}, trust_env=False)
        return told.json()["data"]["result"] if told.is_success else []
    except httpx.TransportError:
        return []


@pytest.fixture
def watched_by_prometheus(prometheus):
    """Let a rollout ask Prometheus instead of its services; ``metric`` is the policy's first metric."""

    def change(site, metric, *replaced):
        return site.write_policy(
            ("pages: {type: scrape}\n  health: {type: http_json}", SOURCES.format(url=prometheus)),
            ("errors: {source: pages, bad: 'requests_total{code=\"500\"}', total: requests_total}", metric),
            ('stable: {url: "', 'stable: {side: stable, url: "'),
            ('canary: {url: "', 'canary: {side: canary, url: "'),
            *replaced,
            interval="500ms",
            window="1s",
        )

    return change


def test_a_good_release_climbs_and_a_failing_one_is_taken_back(
    site, watched_by_prometheus, scraped, run_daemon, eventually
):
    watched_by_prometheus(site, ERRORS).want(2)
    daemon = run_daemon(site)
    eventually(lambda: site.weight == 20, "stage 2")
    daemon.wait_for_status(lambda status: status["reasons"][0]["code"] == "at_ceiling")
    scraped["canary"].bad = 30
    eventually(lambda: site.weight == 0, "all stable")
    status = daemon.wait_for_status(lambda status: status["phase"] == "rolled_back")
    scraped["canary"].bad = 0
    assert status["latch"]["rule"] == "errors.rate > 5%"
    assert (status["latch"]["from_stage"], site.traffic["latched"]) == (2, True)


SENTENCES = {
    "nothing": "the query returned nothing",
    "several": "2 series where one number was expected",
    "undefined": "NaN or infinite",
    "old": "the newest point is",
}


def test_four_kinds_of_silence_are_four_different_sentences(another_site, watched_by_prometheus, run_daemon):
    sites = [asking_for(name, another_site, watched_by_prometheus) for name in SENTENCES]
    daemon = run_daemon(*sites)
    for site in sites:
        sentence = SENTENCES[site.name]
        daemon.wait_for_status(lambda status, sentence=sentence: sentence in status["summary"], site.name)
        shown = site.status()["summary"]
        assert [name for name, words in SENTENCES.items() if words in shown] == [site.name]
        assert site.traffic["current_stage"] <= 1


def asking_for(name, another_site, watched_by_prometheus):
    """One rollout that asks for one strange number."""
    metric = f"""strange: {{source: prom, value: '{name}{{side="$side"}}'}}"""
    changes = [
        ("errors.rate < 1%", "strange > 0"),
        ("errors.rate > 5%", "strange < 0"),
        (", at_least: 100 requests", ""),
    ]
    return watched_by_prometheus(another_site(name), metric, *changes)
