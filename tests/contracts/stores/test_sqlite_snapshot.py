import os
import sqlite3
from contextlib import closing

import pytest

from canaryd.engine.clock import SystemClock
from canaryd.errors import OperatorError, StateTooNew, StateUnavailable
from canaryd.ports import Surroundings
from canaryd.stores.sqlite import SqliteStore, read_snapshot, schema
from canaryd.stores.sqlite.store import SqliteOptions
from canaryd.testing.records import record

NOBODY = 65534


def files(path):
    return sorted(entry.name for entry in path.parent.iterdir())


async def test_a_reader_sees_the_last_tick_while_the_daemon_runs(store):
    await store.load()
    await store.commit(record("first", "started"))
    await store.commit(record("second", "promoted", at_s=60))
    snapshot = read_snapshot(store.path)
    assert snapshot.state == "second"
    assert snapshot.document == '{"rollout":"ion-api"}'
    assert (snapshot.look.stage, snapshot.look.phase, snapshot.look.observed_weight) == (1, "watching", 5.0)
    assert [line.kind for line in snapshot.journal] == ["promoted", "started"]


async def test_a_reader_leaves_no_file_behind_whether_the_daemon_runs_or_not(store):
    await store.load()
    await store.commit(record("first"))
    running = files(store.path)
    read_snapshot(store.path)
    assert files(store.path) == running
    await store.aclose()
    read_snapshot(store.path)
    assert files(store.path) == ["ion-api.db", "ion-api.db.lock"]


async def test_a_reader_does_not_hold_up_the_daemon_and_sees_one_moment(store):
    await store.load()
    await store.commit(record("first"))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT encoded FROM state").fetchone()
        await store.commit(record("second", at_s=60))
        assert reader.execute("SELECT encoded FROM state").fetchone() == before
    assert read_snapshot(store.path).state == "second"


async def test_before_the_first_tick_there_is_nothing_and_no_error(store):
    await store.load()
    snapshot = read_snapshot(store.path)
    assert (snapshot.state, snapshot.document, snapshot.look, snapshot.checks, snapshot.journal) == (
        None,
        "",
        None,
        (),
        (),
    )


def test_where_no_daemon_ever_ran_is_said_with_the_path_and_nothing_is_made(tmp_path):
    with pytest.raises(StateUnavailable, match=r"no state at .*none\.db"):
        read_snapshot(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


async def test_a_name_that_looks_like_a_query_is_a_name(new_store, tmp_path):
    store = new_store(path="a?mode=rwc#b %41.db")
    await store.load()
    await store.commit(record("first"))
    assert read_snapshot(store.path).state == "first"


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (f"PRAGMA user_version = {schema.NEWEST + 1}", StateTooNew),
        ("PRAGMA application_id = 7", OperatorError),
        ("UPDATE state SET encoded = 'x'", StateUnavailable),
        ("DROP TABLE looks", StateUnavailable),
    ],
)
async def test_a_reader_refuses_what_it_cannot_trust(store, statement, error):
    await store.load()
    await store.commit(record("first"))
    await store.aclose()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute(statement)
    with pytest.raises(error):
        read_snapshot(store.path)


def test_a_text_file_is_no_database(tmp_path):
    (tmp_path / "x.db").write_text("hello " * 1000)
    with pytest.raises(StateUnavailable, match="not a database"):
        read_snapshot(tmp_path / "x.db")


@pytest.fixture
def closed_folder(tmp_path):
    """A state folder that its reader may not enter; root turns into nobody, whom permissions bind."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o000)
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)


def test_somebody_who_may_not_enter_the_state_folder_is_told_so(closed_folder, tmp_path):
    surroundings = Surroundings(
        folder=tmp_path, clock=SystemClock(), state_dir=closed_folder, secret=str, rollout="ion-api"
    )
    with pytest.raises(StateUnavailable, match=r"ion-api\.db cannot be read: Permission denied"):
        SqliteStore.peek(SqliteOptions(), surroundings)
