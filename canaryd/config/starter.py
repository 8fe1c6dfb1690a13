"""The annotated pair of files that ``canaryd init`` writes."""

from __future__ import annotations

import re
from pathlib import Path

from canaryd.config.fields import ROLLOUT_PATTERN
from canaryd.errors import OperatorError

_POLICY = """\
# The policy of $rollout: how canaryd judges a release and how it climbs. Operators own it; canaryd never writes it.
# Try it out first: canaryd check $rollout.yaml
rollout: $rollout
desired: $rollout.desired.yaml          # what people want; the only file to touch from day to day

interval: [{every: 30s, until: 15m}, {every: 5m}]   # look closely at first

# The two sides. These labels are yours: sources and routers read those they know.
stable: {url: "http://127.0.0.1:9001"}
canary: {url: "http://127.0.0.1:9002"}

# Your own router reads this file: {"enabled": true, "traffic_percent": 5, ...}
router: {type: config_file, path: $rollout.canary.json}

sources:
  pages: {type: scrape}                 # reads /metrics of both sides
  health: {type: http_json}             # reads /health of both sides

metrics:
  errors: {source: pages, bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
  latency: {source: pages, histogram: http_request_duration_seconds, unit: s}
  health: {source: health, path: /health, up: {status: healthy}}

# The ladder. A stage is left when its window has really been watched and everything required holds.
stages:
  - {weight: 5, window: 24h, require: [errors.rate < 1%, latency.p95 < 1s], at_least: 500 requests}
  - {weight: 10, window: 24h, require: [errors.rate < 1%, latency.p95 < 1s]}
  - {weight: 50, window: 72h, require: [errors.rate < 1%, latency.mean < 1.2x stable]}
  - {weight: 100, approval: required}   # a person has to agree: canaryd approve

# What sends a release back, with or without a person.
rollback:
  - {when: errors.rate > 2%, for: 3, at_least: 20 requests}   # three looks in a row: back one stage
  - {when: errors.rate > 10%, to: stable, at_least: 20 requests}
  - {when: health is down, for: 3, to: stable}

# Without samples canaryd holds and tells people; it can also be told to go back.
blind: {page_after: 2m, roll_back_after: never}
"""

_DESIRED = """\
# What people want of $rollout. Edit it by hand, with Git, or with canaryd promote, approve, pause, rollback, retry.
release: $rollout-1     # what is being rolled out: a revision or an image tag
stage: 0                # climb no higher; 0 is all stable
attempt: 1              # raise it to try a rolled-back release again
paused: false
approved: []            # stages a person agrees to enter
waived: []              # stages whose remaining window need not be waited for
"""


def write_starter(folder: Path, rollout: str) -> list[Path]:
    """Write a policy and a desired-state file to start from, and return their paths.

    Raises:
        OperatorError: The rollout's name does not fit, a file is there already, or the folder cannot be written.
    """
    if not re.fullmatch(ROLLOUT_PATTERN, rollout):
        raise OperatorError(f"{rollout!r} cannot name a rollout: lower-case letters, digits and -, a letter first")
    files = {
        folder / f"{rollout}.yaml": _POLICY.replace("$rollout", rollout),
        folder / f"{rollout}.desired.yaml": _DESIRED.replace("$rollout", rollout),
    }
    for path in files:
        if path.exists() or path.is_symlink():
            raise OperatorError(f"{path} is there already; it was not touched")
    for path, text in files.items():
        _create(path, text)
    return list(files)


def _create(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OperatorError(f"{path} is there already; it was not touched") from None
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}") from None
