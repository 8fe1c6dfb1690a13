from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from canaryd.config.policy import PolicyFile, parse_policy

POLICY = """\
rollout: ion-api
desired: ion-api.desired.yaml            # a path
interval: [{every: 30s, until: 15m}, {every: 5m}]
stable: {service: ion-api, url: http://127.0.0.1:9001, port: 9001}
canary: {service: ion-api-canary, url: http://127.0.0.1:9002, port: 9002}
router: {type: config_file, path: canary.json}
sources:
  prom: {type: prometheus, url: http://127.0.0.1:9090}
  http: {type: http_json}
metrics:
  errors:     {source: prom, bad: 'sum(bad{service="$service"})', total: 'sum(all{service="$service"})'}
  latency:    {source: prom, histogram: 'sum by (le) (increase(t_bucket{service="$service"}[$window]))', unit: s}
  confidence: {source: prom, value: 'avg(confidence_score{service="$service"})'}
  memory:     {source: prom, value: 'mem{service="$service"}', unit: ratio}
  health:     {source: http, path: /health, up: {status: healthy, pipeline_ready: true}}
stages:
  - {weight: 5, window: 24h, require: [errors.rate < 1%, latency.p95 < 15s, confidence > 0.75], at_least: 500 requests}
  - {weight: 10, window: 24h, require: [errors.rate < 1.5%, latency.p95 < 18s]}
  - {weight: 50, window: 72h, require: [latency.mean < 0.9x stable]}
  - {weight: 100, approval: required}
rollback:
  - {when: errors.rate > 1%, for: 3}
  - {when: memory > 85%, for: 2}
  - {when: errors.rate > 5%, to: stable}
  - {when: health is down, for: 3, to: stable}
blind: {page_after: 2m, roll_back_after: never}
"""

DESIRED = """\
# What people want of ion-api.
release: ion-api-canary-00042
stage: 4            # climb no higher; lower it to go back, 0 is all stable
attempt: 1          # raise it to try a rolled-back release again
paused: false
approved: []        # stages a person agrees to enter
waived: []          # stages whose remaining window need not be waited for
"""


@pytest.fixture(scope="session", autouse=True)
def no_stray_event_loop() -> None:
    """Without this, asking for the current loop before the first asynchronous test makes one nobody closes."""
    asyncio.set_event_loop(None)


@pytest.fixture
def policy_text() -> str:
    return POLICY


@pytest.fixture
def desired_text() -> str:
    return DESIRED


@pytest.fixture
def policy_file(policy_text: str) -> PolicyFile:
    return parse_policy(policy_text, Path("ion-api.yaml"))
