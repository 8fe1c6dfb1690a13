"""``kill -9`` at any moment of a rollout: whoever starts it again finds it going on where it was."""

from __future__ import annotations

import random
import subprocess
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest

KILLS = 22
LONGEST_LIFE_S = 1.4
WINDOW_S = 1.5
INTERVAL = "200ms"
GRANTED_FIRST = 2
"""People let it climb to here until half of the kills are over, then to the end."""


@dataclass(frozen=True)
class Life:
    """One process: from when it held its leases, if it came so far, until it was dead. Unix seconds."""

    since: float | None
    until: float

    def within(self, since, until):
        return 0.0 if self.since is None else max(0.0, min(self.until, until) - max(self.since, since))


@pytest.fixture
def sites(site, another_site, by_confidence):
    """One rollout that counts between two looks, and one that knows everything at the first: both in one process."""
    other = another_site("gauged")
    site.write_policy(interval=INTERVAL, window=f"{WINDOW_S}s")
    other.write_policy(*by_confidence, interval=INTERVAL, window=f"{WINDOW_S}s")
    return [site.want(GRANTED_FIRST), other.want(GRANTED_FIRST)]


@pytest.mark.timeout(150)
def test_killed_at_any_moment_it_carries_on_and_finishes(sites, run_daemon, history):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    with history(sites[0].router_path) as counted, history(sites[1].router_path) as gauged:
        lives = [live(run_daemon(*sites), moments.uniform(0.1, LONGEST_LIFE_S)) for _ in range(KILLS // 2)]
        granted_at = time.time()
        for site in sites:
            site.want(4)
        lives += [live(run_daemon(*sites), moments.uniform(0.1, LONGEST_LIFE_S)) for _ in range(KILLS // 2)]
        last = run_daemon(*sites)
        finished = [wait_until_finished(last, site) for site in sites]
        lives.append(Life(last.ready_at, time.time()))

    for router, status in zip((counted, gauged), finished, strict=True):
        assert_climbed_in_order(router.seen, status["journal"])
        assert max(keys["current_stage"] for at, keys in router.seen if at < granted_at) <= GRANTED_FIRST
        assert_windows_were_lived_through(router.seen, lives)


def live(daemon, seconds):
    """Let a daemon run for so long; what is random about a kill is its moment."""
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(seconds)
    daemon.kill()
    return Life(daemon.ready_at, time.time())


def wait_until_finished(daemon, site):
    return daemon.wait_for_status(lambda status: status["phase"] == "finished", site.name)


def assert_climbed_in_order(seen, journal):
    assert [keys["traffic_percent"] for _, keys in seen] == [0, 5, 20, 50, 100]
    assert all(later["epoch"] == earlier["epoch"] + 1 for (_, earlier), (_, later) in pairwise(seen))
    served = [line["stage"] for line in reversed(journal) if line["kind"] == "window_opened"]
    assert served == [1, 2, 3, 4]


def assert_windows_were_lived_through(seen, lives):
    """No second in which nobody looked has counted: each stage was looked at for its whole window."""
    for (since, keys), (until, _) in pairwise(seen[1:]):
        lived_s = sum(life.within(since, until) for life in lives)
        assert lived_s >= WINDOW_S, f"stage {keys['current_stage']} was left after {lived_s:.2f} s of looking"
