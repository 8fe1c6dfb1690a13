"""A database as version 1 wrote it, from SQL text: what is out there must go on being understood."""

import hashlib
import sqlite3
from contextlib import closing

import pytest

from canaryd.errors import StateUnavailable
from canaryd.stores.sqlite import read_snapshot, schema
from canaryd.testing.records import record

STATE = '{"stage":2,"epoch":7}'
GOLDEN_V1 = f"""
PRAGMA application_id = 1667329657;
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), encoded TEXT NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE looks (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, elapsed REAL NOT NULL, run TEXT NOT NULL, release TEXT NOT NULL,
    attempt INTEGER NOT NULL, stage INTEGER NOT NULL, epoch INTEGER NOT NULL, phase TEXT NOT NULL,
    action TEXT NOT NULL, watched INTEGER NOT NULL, watched_s REAL NOT NULL, observed_weight REAL,
    router_detail TEXT NOT NULL, summary TEXT NOT NULL
);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY, look INTEGER NOT NULL REFERENCES looks (id) ON DELETE CASCADE, metric TEXT NOT NULL,
    side TEXT NOT NULL, kind TEXT NOT NULL, bad REAL, total REAL, value REAL, buckets TEXT, span_s REAL,
    newest_at REAL, absence TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT ''
);
CREATE TABLE conditions (
    id INTEGER PRIMARY KEY, role TEXT NOT NULL, rule TEXT NOT NULL, condition TEXT NOT NULL, signal TEXT NOT NULL,
    unit TEXT NOT NULL, streak_needed INTEGER NOT NULL,
    UNIQUE (role, rule, condition, signal, unit, streak_needed)
);
CREATE TABLE checks (
    look INTEGER NOT NULL REFERENCES looks (id) ON DELETE CASCADE,
    condition INTEGER NOT NULL REFERENCES conditions (id), outcome TEXT NOT NULL, canary REAL, stable REAL,
    bound REAL, streak INTEGER NOT NULL, absence TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (look, condition)
) WITHOUT ROWID;
CREATE TABLE decisions (
    look INTEGER PRIMARY KEY REFERENCES looks (id) ON DELETE CASCADE, action TEXT NOT NULL, weight REAL,
    codes TEXT NOT NULL, reasons TEXT NOT NULL
);
CREATE TABLE journal (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, stage INTEGER NOT NULL, release TEXT NOT NULL,
    text TEXT NOT NULL
);
INSERT INTO state VALUES (1, '{STATE}', '{hashlib.sha256(STATE.encode()).hexdigest()}');
INSERT INTO looks VALUES (1, 1.0, 1.0, 'run-1', 'rev-2', 1, 2, 7, 'watching', 'hold', 1, 60.0, 10.0, '', 'Holding.');
INSERT INTO samples (look, metric, side, kind, bad, total) VALUES (1, 'errors', 'canary', 'counts', 0, 50);
INSERT INTO journal VALUES (1, 1.0, 'promoted', 2, 'rev-2', 'Promoted to stage 2');
PRAGMA user_version = 1;
"""


@pytest.fixture
def golden(store):
    store.path.parent.mkdir()
    with closing(sqlite3.connect(store.path)) as connection:
        connection.executescript(GOLDEN_V1)
    return store


def version(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


async def test_a_database_of_version_1_goes_on_where_it_was(golden):
    assert await golden.load() == STATE
    assert [line.text for line in await golden.journal(5)] == ["Promoted to stage 2"]
    await golden.commit(record("next", at_s=60))
    assert await golden.load() == "next"
    await golden.aclose()
    assert version(golden.path) == schema.NEWEST
    assert read_snapshot(golden.path).document == '{"rollout":"ion-api"}'


async def test_an_upgraded_database_has_the_schema_of_a_new_one(golden, new_store):
    def tables(store):
        with closing(sqlite3.connect(store.path)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_schema ORDER BY name").fetchall()
            return {name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for (name,) in rows}

    new = new_store(path="new.db")
    for store in (golden, new):
        await store.load()
    assert tables(golden) == tables(new)


async def test_a_step_that_fails_leaves_the_old_version_whole(golden, monkeypatch):
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE extra (x); CREATE TABLE extra (x);"))
    monkeypatch.setattr(schema, "NEWEST", 3)
    with closing(sqlite3.connect(golden.path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.migrate(connection, 1)
        assert not connection.in_transaction
    monkeypatch.undo()
    assert version(golden.path) == 1
    assert await golden.load() == STATE


def test_a_reader_does_not_upgrade(golden):
    before = golden.path.read_bytes()
    with pytest.raises(StateUnavailable, match="older schema"):
        read_snapshot(golden.path)
    assert golden.path.read_bytes() == before
