import fcntl
import os
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest

from canaryd.core.model import TrafficUnreadable
from canaryd.core.readings import Absence, Counts, Fault, Histogram, NoData, Readings, Side, Unread
from canaryd.errors import AnotherRuns, OperatorError, StateCorrupt, StateTooNew, StateUnavailable
from canaryd.stores.sqlite import schema
from canaryd.stores.sqlite.quarantine import KEPT
from canaryd.stores.sqlite.retention import Retention
from canaryd.testing import build
from canaryd.testing.records import record

INFINITE = float("inf")


def query(store, sql):
    """Look into the database as any other program may, while the store is open."""
    with closing(sqlite3.connect(store.path)) as connection:
        return connection.execute(sql).fetchall()


def change(store, *statements):
    with closing(sqlite3.connect(store.path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def names(store):
    return sorted(path.name for path in store.path.parent.iterdir())


@pytest.fixture
async def kept(store):
    """A store that was used and closed."""
    await store.load()
    await store.commit(record("old", "started"))
    await store.aclose()
    return store


# ---------------------------------------------------------------- where and for whom


async def test_only_the_daemon_s_user_can_read_the_state(store):
    await store.load()
    await store.commit(record())
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()} == {0o600}


async def test_a_path_of_the_policy_starts_at_its_folder(new_store, tmp_path):
    store = new_store(path="elsewhere/mine.db")
    await store.load()
    assert (tmp_path / "elsewhere" / "mine.db").is_file()


async def test_after_closing_one_file_holds_everything(kept):
    assert names(kept) == ["ion-api.db", "ion-api.db.lock"]
    assert query(kept, "SELECT encoded FROM state") == [("old",)]


async def test_commits_are_synced_and_not_only_written(store):
    await store.load()
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_who_holds_the_state_is_named(store, rival):
    await store.load()
    with pytest.raises(AnotherRuns, match=rf"process {os.getpid()}, since 20.*ion-api\.db\.lock"):
        await rival.load()


async def test_a_lock_file_of_a_dead_daemon_is_no_lease(store):
    store.path.parent.mkdir()
    store.path.with_name("ion-api.db.lock").write_text("1\n2020-01-01T00:00:00+00:00\n")
    assert await store.load() is None


async def test_a_foreign_lock_without_a_name_is_said_all_the_same(store):
    store.path.parent.mkdir()
    with store.path.with_name("ion-api.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AnotherRuns, match=r"another canaryd holds .*ion-api\.db\.lock"):
            await store.load()


# ---------------------------------------------------------------- damage


def flip_a_byte_of_the_state(store):
    change(store, "UPDATE state SET encoded = 'olt'")


def cut_in_half(store):
    content = store.path.read_bytes()
    store.path.write_bytes(content[: len(content) // 2])


def overwrite_a_page(store):
    content = bytearray(store.path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    store.path.write_bytes(content)


def replace_by_text(store):
    store.path.write_text("this is no database, " * 100)


def drop_a_table(store):
    change(store, "DROP TABLE state")


def overwrite_history_that_loading_does_not_touch(store):
    ((page,),) = query(store, "SELECT rootpage FROM sqlite_schema WHERE name = 'samples'")
    content = bytearray(store.path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = os.urandom(4096)
    store.path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_byte_of_the_state,
        cut_in_half,
        overwrite_a_page,
        replace_by_text,
        drop_a_table,
        overwrite_history_that_loading_does_not_touch,
    ],
)
async def test_damaged_state_is_put_aside_once_and_the_daemon_goes_on(kept, rival, damage):
    damage(kept)
    damaged = kept.path.read_bytes()
    with pytest.raises(StateCorrupt, match=r"put aside as ion-api\.db\.corrupt-1$"):
        await kept.load()
    with pytest.raises(AnotherRuns):
        await rival.load()
    await kept.commit(record("rebuilt"))
    assert await kept.load() == "rebuilt"
    assert kept.path.with_name("ion-api.db.corrupt-1").read_bytes() == damaged


async def test_only_the_newest_damaged_databases_are_kept(kept):
    for _ in range(KEPT + 3):
        replace_by_text(kept)
        with pytest.raises(StateCorrupt):
            await kept.load()
        await kept.aclose()
    assert [name for name in names(kept) if "corrupt" in name] == [f"ion-api.db.corrupt-{n}" for n in (4, 5, 6, 7, 8)]


async def test_damage_that_is_met_while_running_costs_history_but_no_state(kept):
    await kept.load()
    change(kept, "DROP TABLE journal")
    await kept.commit(record("new"))
    assert await kept.load() == "new"
    assert "ion-api.db.corrupt-1" in names(kept)


async def test_an_empty_file_is_a_new_database(store):
    store.path.parent.mkdir()
    store.path.touch()
    assert await store.load() is None


# ---------------------------------------------------------------- what passes


async def test_a_database_that_somebody_keeps_locked_is_unavailable_and_then_works_again(kept, monkeypatch):
    monkeypatch.setattr("canaryd.stores.sqlite.database.BUSY_S", 0.05)
    await kept.load()
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailable, match="locked"):
            await kept.commit(record("new"))
        other.execute("ROLLBACK")
    await kept.commit(record("newer"))
    assert await kept.load() == "newer"


async def test_a_folder_that_cannot_be_made_is_unavailable_and_leaves_no_lease(new_store, tmp_path):
    (tmp_path / "file").write_text("")
    store = new_store(path="file/state.db")
    for _ in range(2):
        with pytest.raises(StateUnavailable, match="File exists"):
            await store.load()
    (tmp_path / "file").unlink()
    assert await store.load() is None


async def test_a_log_that_a_crash_left_behind_is_folded_in_before_anything_is_added_to_it(store, new_store, tmp_path):
    """Part of it may only be in memory if a sync had failed; from then on it is on the disk."""
    await store.load()
    await store.commit(record("last words"))
    crashed = shutil.copytree(store.path.parent, tmp_path / "crashed")
    assert (crashed / "ion-api.db-wal").stat().st_size > 0
    survivor = new_store(path="crashed/ion-api.db")
    assert await survivor.load() == "last words"
    assert (crashed / "ion-api.db-wal").stat().st_size == 0


# ---------------------------------------------------------------- other people's databases


async def test_a_newer_schema_is_refused_untouched_and_without_a_lease(kept, rival):
    change(kept, f"PRAGMA user_version = {schema.NEWEST + 1}")
    before = kept.path.read_bytes()
    for store in (kept, rival):
        with pytest.raises(StateTooNew, match=rf"schema version {schema.NEWEST + 1}, this canaryd knows"):
            await store.load()
    assert kept.path.read_bytes() == before


async def test_a_database_of_another_program_is_refused_untouched(store):
    store.path.parent.mkdir()
    change(store, "CREATE TABLE addresses (name TEXT)")
    before = store.path.read_bytes()
    with pytest.raises(OperatorError, match="something else"):
        await store.load()
    assert store.path.read_bytes() == before


# ---------------------------------------------------------------- what is there to report


async def test_every_kind_of_reading_is_kept_with_its_numbers_or_the_cause_of_their_absence(store):
    readings = Readings(
        {
            ("errors", Side.CANARY): Counts(bad=1, total=50, span_s=30, newest_at=9.0),
            ("errors", Side.STABLE): NoData(why=Absence.NO_TRAFFIC, detail="nobody came"),
            ("latency", Side.CANARY): Histogram(
                buckets=((0.5, 4.0), (INFINITE, 5.0)), total_value=None, span_s=30, newest_at=9.0
            ),
            ("memory", Side.CANARY): Unread(why=Fault.TIMEOUT, detail="half a \ud800 character"),
        }
    )
    await store.load()
    await store.commit(record(traffic=TrafficUnreadable("no answer"), readings=readings))
    assert query(store, "SELECT metric, side, kind, bad, total, value, buckets, absence, detail FROM samples") == [
        ("errors", "canary", "counts", 1.0, 50.0, None, None, "", ""),
        ("errors", "stable", "no_data", None, None, None, None, "no_traffic", "nobody came"),
        ("latency", "canary", "histogram", None, 5.0, None, "[[0.5,4.0],[null,5.0]]", "", ""),
        ("memory", "canary", "error", None, None, None, None, "timeout", "half a ? character"),
    ]
    assert query(store, "SELECT observed_weight, router_detail, phase, watched FROM looks") == [
        (None, "no answer", "watching", 1)
    ]


async def test_a_large_histogram_is_kept_whole(store):
    bounds = [*(float(bound) for bound in range(499)), INFINITE]
    wide = Histogram(buckets=tuple((bound, 1.0) for bound in bounds), total_value=1.0, span_s=30, newest_at=9.0)
    await store.load()
    await store.commit(record(readings=Readings({("latency", Side.CANARY): wide})))
    assert query(store, "SELECT json_array_length(buckets) FROM samples") == [(500,)]


async def test_text_from_outside_is_kept_only_so_far(store):
    readings = Readings({("errors", Side.CANARY): Unread(why=Fault.BAD_ANSWER, detail="x" * 1_000_000)})
    await store.load()
    await store.commit(record(readings=readings))
    assert query(store, "SELECT length(detail) FROM samples") == [(2000,)]


async def test_history_is_deleted_oldest_first_a_little_with_each_tick(new_store):
    store = new_store(Retention(days=1, looks_per_tick=2))
    await store.load()
    for at_s in range(6):
        await store.commit(record(at_s=at_s))
    assert query(store, "SELECT count(*) FROM looks") == [(6,)]
    await store.commit(record(at_s=10 * build.HOUR * 24))
    assert query(store, "SELECT min(id), count(*) FROM looks") == [(3, 5)]
    await store.commit(record(at_s=10 * build.HOUR * 24))
    assert query(store, "SELECT min(id), count(*) FROM looks") == [(5, 4)]
    assert query(store, "SELECT DISTINCT look FROM samples ORDER BY look") == [(5,), (6,), (7,), (8,)]


async def test_the_number_of_samples_is_bounded_but_the_last_look_stays(new_store):
    store = new_store(Retention(samples=25))
    await store.load()
    for at_s in range(8):
        await store.commit(record(at_s=at_s))
    assert query(store, "SELECT count(*) <= 25 + 10 FROM samples") == [(1,)]
    assert query(store, "SELECT max(id) FROM looks") == [(8,)]


async def test_the_journal_is_bounded_too(new_store):
    store = new_store(Retention(events=3))
    await store.load()
    for at_s in range(6):
        await store.commit(record("s", "blind", at_s=at_s))
    assert len(await store.journal(100)) == 3


async def test_a_database_deleted_under_the_daemon_is_made_anew_with_the_next_tick(store, rival):
    await store.load()
    await store.commit(record("before", "started"))
    for path in store.path.parent.glob(f"{store.path.name}*"):
        if not path.name.endswith(".lock"):
            path.unlink()
    await store.commit(record("after", "promoted"))
    await store.aclose()
    assert await rival.load() == "after"
    await rival.aclose()
