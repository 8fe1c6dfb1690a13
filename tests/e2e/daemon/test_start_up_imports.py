"""What the daemon loads before its first tick: every heavy import is paid for at each start, and in memory."""

from __future__ import annotations

import re

HEAVY = {
    "IPython", "apprise", "google", "grpc", "jsonschema", "locust", "matplotlib", "mypy", "numpy", "pandas",
    "pkg_resources", "pytest", "requests", "scipy", "setuptools", "uvicorn",
}  # fmt: skip
"""Not rich: structlog and httpx import parts of it by themselves where it is installed."""
ONLY_FOR_PEOPLE = (
    "canaryd.lab",
    "canaryd.one_shot",
    "canaryd.preflight",
    "canaryd.config.schema",
    "canaryd.testing",
)


def modules_of(log):
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", log, flags=re.MULTILINE))


def test_the_daemon_imports_nothing_heavy_and_nothing_that_only_people_need(site, run_daemon):
    daemon = run_daemon(site, PYTHONPROFILEIMPORTTIME="1")
    daemon.wait_for("decision.finish")
    daemon.stop()
    imported = modules_of(daemon.text)
    assert {"canaryd.app", "canaryd.engine.tick", "canaryd.metrics.exposition", "httpx", "structlog"} <= imported
    assert not HEAVY & (imported | {name.partition(".")[0] for name in imported})
    assert not [name for name in imported if name.startswith(ONLY_FOR_PEOPLE)]
    assert "canaryd.metrics.prometheus_api" not in imported, "part of a source that no policy uses"
