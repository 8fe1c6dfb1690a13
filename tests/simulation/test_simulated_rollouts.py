"""Whole rollouts in simulated worlds.

``CANARYD_SEED=n`` runs one seed again, ``CANARYD_SEEDS=n`` as many as are asked for.
"""

import os
import time
from dataclasses import replace

import pytest

from canaryd.core import judge
from canaryd.core.model import Instant
from canaryd.core.phases import Phase
from canaryd.engine import codec
from canaryd.engine.tick import Ticker
from canaryd.ports import TickOutcome
from canaryd.testing.simulated_world import INTERVAL_S, SimulationFailed
from canaryd.testing.simulation import simulate
from canaryd.testing.weather import CALM, Weather

SEEDS = int(os.environ.get("CANARYD_SEEDS", "200"))
CHUNK = 40
ONE_SEED = os.environ.get("CANARYD_SEED")


def storm(seed):
    """Every second canary goes bad, sooner or later."""
    return simulate(seed, bad_from_s=(seed % 40) * INTERVAL_S if seed % 2 else None)


@pytest.mark.parametrize("seed", [int(ONE_SEED)] if ONE_SEED else [0])
def test_one_seed_again(seed):
    """The seed that ``CANARYD_SEED`` names, to see a failing run again."""
    print(storm(seed))


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_storm_breaks_a_rule_and_every_rollout_comes_to_its_end(first):
    started = time.perf_counter()
    outcomes = [storm(seed) for seed in range(first, first + CHUNK)]
    hours = sum(outcome.seconds for outcome in outcomes) / 3600
    seconds = time.perf_counter() - started
    print(f"{hours:.0f} simulated hours, {hours / seconds:.0f} of them in a second")
    assert sum(outcome.deaths for outcome in outcomes) > 0
    assert {outcome.weight for outcome in outcomes} == {0, 100}


def test_a_rollout_without_faults_finishes():
    outcome = simulate(1, CALM, storm_looks=0)
    assert (outcome.phase, outcome.weight, outcome.deaths) == (Phase.FINISHED, 100, 0)
    assert outcome.finished_after == WITHOUT_FAULTS


def test_the_same_seed_gives_the_same_run():
    assert storm(7) == storm(7)
    assert storm(8) == storm(8)
    assert storm(7) != storm(8)


# ---------------------------------------------------------------- exhaustive single crashes

WITHOUT_FAULTS = 15
"""Looks of a rollout: ten watched, three that settle, one that starts and one that finishes."""
EFFECTS = 3 * WITHOUT_FAULTS + 2 * 3
"""Each look has three points at the store, each of three changes two at the router."""
DELAY = 3
"""Looks that a crash may cost: the one it ended, the first of the new process, and one until a raise is served."""


def looks_with_a_crash_at(effect):
    outcome = simulate(effect, CALM, die_at=frozenset({effect}), storm_looks=0)
    assert outcome.deaths == 1
    return outcome.finished_after


@pytest.mark.parametrize("first", range(1, EFFECTS, 14))
def test_a_crash_at_any_single_effect_delays_and_breaks_nothing(first):
    for effect in range(first, first + 14):
        assert WITHOUT_FAULTS <= looks_with_a_crash_at(effect) <= WITHOUT_FAULTS + DELAY


@pytest.mark.parametrize("first", range(1, EFFECTS, 14))
def test_a_crash_at_any_single_effect_keeps_no_bad_canary(first):
    for effect in range(first, first + 14):
        outcome = simulate(effect, CALM, die_at=frozenset({effect}), bad_from_s=7 * INTERVAL_S, storm_looks=10)
        assert outcome.deaths == 1
        assert outcome.weight == 0


def test_two_crashes_in_a_row_break_nothing():
    for effect in range(1, EFFECTS, 3):
        pair = frozenset({effect, effect + 1})
        assert simulate(effect, CALM, die_at=pair, storm_looks=0).deaths == 2


# ---------------------------------------------------------------- would a broken daemon be caught?


async def _act_before_persist(self, step):
    self._state = step.after
    outcome = await self._act(step) if step.decision.change else TickOutcome.HELD
    await self._persist(step)
    return outcome


def _forget_the_window(text, decode=codec.decode):
    state = decode(text)
    return replace(state, watched_s=0.0)


def _on_the_wall_clock(self, earlier):
    return max(0.0, self.wall - earlier.wall)


def _never_reset(track, check):
    return track.streak + (check.outcome is judge.Outcome.FAIL)


def through(weather):
    for seed in range(10):
        simulate(seed, weather)


MUTANTS = {
    "acts before it persists": (Ticker, "_carry_out", _act_before_persist, Weather(dies=0.2, disk_fails=0.3)),
    "measures windows on the wall clock": (Instant, "seconds_since", _on_the_wall_clock, Weather(clock_jumps=0.3)),
    "takes NaN for a number": ("canaryd.engine.observe", "sound", lambda reading: reading, Weather(source_fails=0.3)),
    "never resets a streak": (judge, "_streak_after", _never_reset, Weather(blip=0.2)),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_daemon_that(mutant, monkeypatch):
    where, name, broken, weather = MUTANTS[mutant]
    through(weather)  # the sound daemon passes
    target = f"{where}.{name}" if isinstance(where, str) else where
    monkeypatch.setattr(*([target, broken] if isinstance(where, str) else [where, name, broken]))
    with pytest.raises(SimulationFailed):
        through(weather)


def test_a_daemon_that_forgets_its_window_when_it_restarts(monkeypatch):
    monkeypatch.setattr(codec, "decode", _forget_the_window)
    assert max(looks_with_a_crash_at(effect) for effect in range(10, 50, 4)) > WITHOUT_FAULTS + DELAY
