"""A real process is killed, or runs out of disk, at every step of committing a tick."""

import re

import pytest

from canaryd.engine.clock import SystemClock
from canaryd.ports import Surroundings
from canaryd.stores.sqlite import SqliteStore, read_snapshot
from canaryd.stores.sqlite.store import SqliteOptions
from canaryd.testing.records import record

pytestmark = pytest.mark.strace

DATABASE = "ion-api.db"


def store_in(folder):
    surroundings = Surroundings(folder=folder, clock=SystemClock(), state_dir=folder, secret=str, rollout="ion-api")
    return SqliteStore(SqliteOptions(), surroundings)


async def loaded(folder):
    """Return what the next daemon finds, which has to be able to go on from there."""
    store = store_in(folder)
    found = await store.load()
    await store.commit(record("the next daemon's", at_s=1000))
    await store.aclose()
    assert read_snapshot(folder / DATABASE).state == "the next daemon's"
    return found


def confirmed(ended):
    return [int(number) for number in re.findall(r"^confirmed (\d+)$", ended.output, re.MULTILINE)]


@pytest.fixture
async def folder(tmp_path):
    """A folder with a database in which tick 0 was committed."""
    folder = tmp_path / "state"
    store = store_in(folder)
    await store.load()
    await store.commit(record("tick 0"))
    await store.aclose()
    return folder


@pytest.fixture
def daemon(tracer):
    return tracer("commit_ticks.py", ("", DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}.lock"))


@pytest.fixture
def daemon_with_a_bad_log(tracer):
    """Faults are injected into the write-ahead log alone: the commit's own calls."""
    return tracer("commit_ticks.py", (f"{DATABASE}-wal",))


@pytest.mark.parametrize("syscall", ["openat", "pwrite64", "fdatasync", "ftruncate", "unlink"])
async def test_a_crash_never_loses_a_confirmed_tick_and_the_next_daemon_goes_on(kill_at_every, daemon, folder, syscall):
    for place, ended in kill_at_every(daemon, folder, syscall, 1):
        last = max(confirmed(ended), default=0)
        assert await loaded(place) in {f"tick {last}", "tick 1"}


@pytest.mark.parametrize("fault", ["pwrite64:error=ENOSPC:when=1", "pwrite64:error=EIO:when=2", "fdatasync:error=EIO"])
async def test_a_disk_that_says_no_once_costs_one_tick(daemon_with_a_bad_log, folder, fault):
    once = fault if "when" in fault else f"{fault}:when=1"
    ended = daemon_with_a_bad_log.run(folder, 2, inject=once)
    assert ended.status == 0, ended.output
    assert "unavailable" in ended.output.splitlines()[0]
    assert confirmed(ended) == [2]
    assert await loaded(folder) == "tick 2"


async def test_a_disk_that_stays_full_keeps_the_last_confirmed_tick(daemon_with_a_bad_log, folder):
    ended = daemon_with_a_bad_log.run(folder, 2, inject="pwrite64:error=ENOSPC")
    assert ended.output.count("unavailable") == 2
    assert await loaded(folder) == "tick 0"


def test_after_a_failed_sync_nothing_is_added_to_a_log_that_may_have_a_hole(daemon_with_a_bad_log, folder):
    ended = daemon_with_a_bad_log.run(folder, 2, inject="fdatasync:error=EIO:when=1")
    failed = ended.position(r"fdatasync\(.*INJECTED")
    begun_anew = ended.position(r"openat\(", after=failed)
    ended.position(r"fdatasync\(.*= 0", after=begun_anew)
    assert confirmed(ended) == [2]


def test_a_tick_is_confirmed_only_after_it_was_synced(daemon_with_a_bad_log, folder):
    """Also a power loss right after the confirmation cannot take the tick back."""
    ended = daemon_with_a_bad_log.run(folder, 1)
    assert confirmed(ended) == [1]
    last_frame = max(found.start() for found in re.finditer(r"pwrite64\(", ended.trace))
    ended.position(r"fdatasync\(\d+<[^>]*-wal>", after=last_frame)
