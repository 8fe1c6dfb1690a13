"""What canaryd costs on this machine: figures beside their targets, and exit code 1 when one is missed.

``make bench`` runs all of it in about three minutes, ``make bench ARGS=--quick`` in less than one. Where machines
differ much, a figure is a ratio to something that is measured in the same run.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from bench_daemon import breach_to_stable_s, idle_daemon, start_up_ratios

from canaryd.core.decide import decide
from canaryd.core.model import Decision, Instant, Observation, Policy, RolloutState
from canaryd.core.phases import Phase
from canaryd.engine import codec
from canaryd.engine.clock import SystemClock
from canaryd.engine.status import document
from canaryd.ports import Surroundings, TickOutcome, TickRecord, TickReport
from canaryd.stores.sqlite import SqliteStore
from canaryd.testing import build

LOOK_EVERY_S = 30.0
LOOKS_A_DAY = int(86400 / LOOK_EVERY_S)


@dataclass(frozen=True)
class Figure:
    """One number and the largest it may be."""

    name: str
    value: float
    most: float
    unit: str
    how: str

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.most

    def __str__(self) -> str:
        """Return one line of the report."""
        sign = "ok  " if self.is_met else "MISS"
        return f"{sign}  {self.name:<44} {self.value:>9.3g} {self.unit:<8} (at most {self.most:g})  {self.how}"


# ---------------------------------------------------------------- the decision


RULES = (
    "errors.rate > 0.01", "errors.success < 0.9", "errors.count < 1", "latency.p95 > 25", "latency.mean > 20",
    "confidence < 0.5", "memory > 0.85", "health is down",
)  # fmt: skip
"""Each reads another signal."""
GATES = ("errors.rate < 0.01", "latency.p95 < 15", "errors.success > 0.95", "confidence > 0.75")


def policy(gates: Sequence[str]) -> Policy:
    """Return a policy with 8 signals, 8 rules and 5 stages, each with these gates."""
    weights = (5, 10, 25, 50, 100)
    return Policy(
        rollout="bench",
        digest="bench",
        intervals=build.plan(interval_s=LOOK_EVERY_S).intervals,
        metrics=build.METRICS,
        stages=tuple(build.stage(weight, 400 * build.HOUR, *gates) for weight in weights),
        rollback=tuple(build.rule(text, 3) for text in RULES),
    )


def looks(count: int) -> Sequence[tuple[Observation, Instant]]:
    """Return healthy looks in the middle of stage 1, one every interval."""
    at = [1.7e9 + number * LOOK_EVERY_S for number in range(count)]
    return [(build.seen(build.served(5.0), build.look_readings(at_s)), build.instant(at_s)) for at_s in at]


def watching(first: Instant) -> RolloutState:
    """Return the state of a rollout whose first stage has just been served."""
    return RolloutState(
        rollout="bench", policy="bench", release="rev-2", attempt=1, phase=Phase.WATCHING, stage=1, epoch=1,
        entered=first, opened=first, last_look=first,
    )  # fmt: skip


def decisions(seen: Sequence[tuple[Observation, Instant]], gates: Sequence[str]) -> Iterator[Decision]:
    """Decide on one look after the other, as the daemon does."""
    bench, wanted, state = policy(gates), build.desired(), watching(seen[0][1])
    for observation, now in seen:
        decision = decide(bench, wanted, state, observation, now)
        state = decision.state
        yield decision


def decide_figure(*, quick: bool) -> Iterator[Figure]:
    """Measure rounds of looks; the best of their medians is what the machine can do undisturbed."""
    seen, rounds = looks(400), range(5 if quick else 15)
    for gates, limit_us, with_what in (
        ((), 60, "no gate"),
        (GATES, 100, "4 gates, each judged now and over the stage"),
    ):
        medians = [statistics.median(durations(decisions(seen, gates))) for _ in rounds]
        detail = f"8 signals, 8 rules, 5 stages, {with_what}; best of {len(medians)} medians"
        yield Figure("one decision", min(medians) * 1e6, limit_us, "us", detail)


def durations(steps: Iterator[object]) -> list[float]:
    """Return the seconds that each step of an iterator took."""
    taken, before = [], time.perf_counter()
    for _ in steps:
        now = time.perf_counter()
        taken.append(now - before)
        before = now
    return taken


# ---------------------------------------------------------------- the store


def store_figures(*, quick: bool) -> Iterator[Figure]:
    """Commit ticks of a steady rollout; the ratio is to writing and syncing as many bytes in the same folder."""
    count = 300 if quick else LOOKS_A_DAY
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        commits, size = anyio.run(commit_ticks, Path(folder), count)
        plain = plain_writes_s(Path(folder) / "plain", 200)
    commit, write = statistics.median(commits), statistics.median(plain)
    how = f"{commit * 1e3:.2g} ms to {write * 1e3:.2g} ms; 99 of 100 within {percentile(commits, 99) * 1e3:.2g} ms"
    yield Figure("a tick's commit to a plain synced write", commit / write, 8, "times", how)
    growth = size / count * LOOKS_A_DAY / 2**20
    yield Figure("growth of the database at 30 s", growth, 16, "MiB/day", f"{count} ticks committed")


async def commit_ticks(folder: Path, count: int) -> tuple[list[float], int]:
    """Return the seconds of each commit, and the bytes of the database afterwards."""
    store = SqliteStore(SqliteStore.Options(), surroundings(folder))
    await store.load()
    taken = []
    for record in records(looks(count)):
        before = time.perf_counter()
        await store.commit(record)
        taken.append(time.perf_counter() - before)
    await store.aclose()
    return taken, store.path.stat().st_size


def records(seen: Sequence[tuple[Observation, Instant]]) -> Iterator[TickRecord]:
    """Yield what the daemon would store."""
    bench, summary = policy(GATES), "Holding at stage 1 (5 %): 3 h 12 min of 24 h watched."
    for (observation, now), decision in zip(seen, decisions(seen, GATES), strict=True):
        report = TickReport(
            rollout="bench",
            at=now,
            decision=decision,
            observation=observation,
            summary=summary,
            outcome=TickOutcome.HELD,
            duration_s=0.01,
            desired=build.desired(),
        )
        yield TickRecord(
            state=codec.encode(decision.state),
            at=now,
            decision=decision,
            observation=observation,
            summary=summary,
            document=document(report, bench),
        )


def surroundings(folder: Path) -> Surroundings:
    """Return what the store is built with."""
    return Surroundings(folder=folder, clock=SystemClock(), state_dir=folder, secret=lambda name: name, rollout="bench")


def plain_writes_s(path: Path, count: int) -> list[float]:
    """Return the seconds of appending 16 KiB and syncing them: about what a tick leaves in the database's log."""
    page, taken = os.urandom(16 * 1024), []
    with closing(os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT), "wb", buffering=0)) as file:
        for _ in range(count):
            before = time.perf_counter()
            file.write(page)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - before)
    return taken


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that so many percent of all are within."""
    return statistics.quantiles(values, n=100)[percent - 1]


# ---------------------------------------------------------------- the daemon as a process


def start_figures(*, quick: bool) -> Iterator[Figure]:
    """Measure from the start of the process to its first finished tick."""
    ratios, started_s = start_up_ratios(5 if quick else 11)
    how = f"{started_s:.2f} s; the other imports httpx, pydantic, structlog"
    yield Figure("start to first tick, to bare imports", statistics.median(ratios), 3, "times", how)


def idle_figures(*, seconds: float) -> Iterator[Figure]:
    """Measure one rollout that holds, looking every second."""
    idle = idle_daemon(seconds)
    how = f"{seconds:g} s, one rollout at 1 s, {idle.prometheus}"
    yield Figure("memory of the daemon", idle.resident_bytes / 2**20, 64, "MiB", how)
    yield Figure("share of one core", idle.cpu_share * 100, 2, "%", f"{idle.ticks} ticks")


def breach_figures(*, quick: bool) -> Iterator[Figure]:
    """Measure from a breach in the source to stable's weight in the router file: a rule of two, looks every second."""
    delays = sorted(breach_to_stable_s(5 if quick else 20))
    how = f"{len(delays)} trials: {delays[0]:.2f} to {delays[-1]:.2f} s, median {statistics.median(delays):.2f} s"
    yield Figure("breach to stable, rule of 2 at 1 s", delays[-1], 2 + 1 + 0.25, "s", how)


def main() -> int:
    """Print every figure as it is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--seconds", type=float, help="how long the idle daemon is watched (default: 60, quick 10)")
    options = parser.parse_args()
    seconds = options.seconds or (10 if options.quick else 60)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.release()}")
    groups: Sequence[Callable[[], Iterator[Figure]]] = (
        partial(decide_figure, quick=options.quick),
        partial(store_figures, quick=options.quick),
        partial(start_figures, quick=options.quick),
        partial(idle_figures, seconds=seconds),
        partial(breach_figures, quick=options.quick),
    )
    missed = 0
    for group in groups:
        for figure in group():
            print(figure, flush=True)
            missed += not figure.is_met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
