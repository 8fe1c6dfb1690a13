"""One tick as rows. The caller holds the transaction."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from canaryd.core.judge import stable_value
from canaryd.core.model import Action, RoleCheck, Traffic
from canaryd.core.readings import Counts, Gauge, Health, Histogram, NoData, Reading, ReadingKey, Unread
from canaryd.ports import TickRecord
from canaryd.stores.sqlite.database import Damaged

Value: TypeAlias = str | int | float | None
Row: TypeAlias = Mapping[str, Value]

MAX_TEXT = 2000
"""Characters of one free text; what sources and routers say may be longer."""
_JSON_COLUMNS = frozenset({"buckets", "reasons"})


def stored_state(connection: sqlite3.Connection) -> str | None:
    """Return the encoded state, None if none was stored; raises Damaged when it is not what was written."""
    row = connection.execute("SELECT encoded, sha256 FROM state").fetchone()
    if row is None:
        return None
    encoded, checksum = row
    if not isinstance(encoded, str) or _checksum(encoded) != checksum:
        raise Damaged("the state does not match its checksum")
    return encoded


def write_tick(connection: sqlite3.Connection, record: TickRecord) -> None:
    """Write all that one tick leaves behind."""
    connection.execute(
        "INSERT OR REPLACE INTO state (id, encoded, sha256, document) VALUES (1, ?, ?, ?)",
        (record.state, _checksum(record.state), record.document),
    )
    look = _insert(connection, "looks", _look(record))
    readings = record.observation.readings.by_key.items()
    _insert_all(connection, "samples", [_sample(look, key, reading) for key, reading in readings])
    for check in record.decision.checks:
        _insert(connection, "checks", _check(look, _condition(connection, check), check, record))
    _write_decision(connection, look, record)
    _insert_all(connection, "journal", _events(record))


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


# ---------------------------------------------------------------- what becomes a row


def _look(record: TickRecord) -> Row:
    state, traffic = record.decision.state, record.observation.traffic
    return {
        "at": record.at.wall,
        "elapsed": record.at.elapsed,
        "run": record.at.run,
        "release": state.release,
        "attempt": state.attempt,
        "stage": state.stage,
        "epoch": state.epoch,
        "phase": state.phase.value,
        "action": record.decision.action.value,
        "watched": int(record.decision.watched),
        "watched_s": state.watched_s,
        "observed_weight": traffic.weight if isinstance(traffic, Traffic) else None,
        "router_detail": traffic.detail,
        "summary": record.summary,
    }


def _sample(look: int, key: ReadingKey, reading: Reading) -> Row:
    metric, side = key
    empty: dict[str, Value] = dict.fromkeys(("bad", "total", "value", "buckets", "span_s", "newest_at"))
    fixed: dict[str, Value] = {"look": look, "metric": metric, "side": side.value, "absence": "", "detail": ""}
    return empty | fixed | _numbers(reading)


def _numbers(reading: Reading) -> dict[str, Value]:
    match reading:
        case Counts(bad=bad, total=total, span_s=span_s, newest_at=newest_at):
            return {"kind": "counts", "bad": bad, "total": total, "span_s": span_s, "newest_at": newest_at}
        case Histogram():
            return _histogram(reading)
        case Gauge(value=value, newest_at=newest_at):
            return {"kind": "gauge", "value": value, "newest_at": newest_at}
        case Health(up=up, detail=detail, newest_at=newest_at):
            return {"kind": "health", "value": float(up), "detail": detail, "newest_at": newest_at}
        case NoData(why=absence, detail=detail):
            return {"kind": "no_data", "absence": absence.value, "detail": detail}
        case Unread(why=fault, detail=detail):
            return {"kind": "error", "absence": fault.value, "detail": detail}


def _histogram(reading: Histogram) -> dict[str, Value]:
    """Return the columns; ``value`` is the sum of observed values, a null bound in ``buckets`` the infinite one."""
    buckets = [[None if math.isinf(bound) else bound, count] for bound, count in reading.buckets]
    return {
        "kind": "histogram",
        "total": reading.count,
        "value": reading.total_value,
        "buckets": json.dumps(buckets, separators=(",", ":")),
        "span_s": reading.span_s,
        "newest_at": reading.newest_at,
    }


def _condition(connection: sqlite3.Connection, role_check: RoleCheck) -> int:
    """Return the number of a condition, which is written down when it is first judged."""
    condition = role_check.check.condition
    row = {
        "role": role_check.role.value,
        "rule": role_check.rule,
        "condition": condition.text,
        "signal": str(condition.signal),
        "unit": condition.unit.value,
        "streak_needed": role_check.streak_needed,
    }
    match = " AND ".join(f"{column} = :{column}" for column in row)
    found = connection.execute(f"SELECT id FROM conditions WHERE {match}", _storable(row)).fetchone()  # noqa: S608
    return found[0] if found else _insert(connection, "conditions", row)


def _check(look: int, condition: int, role_check: RoleCheck, record: TickRecord) -> Row:
    check = role_check.check
    return {
        "look": look,
        "condition": condition,
        "outcome": check.outcome.value,
        "canary": check.canary,
        "stable": stable_value(role_check, record.decision.state, record.observation.readings),
        "bound": check.limit,
        "streak": role_check.streak,
        "absence": check.absence,
        "detail": check.detail,
    }


def _write_decision(connection: sqlite3.Connection, look: int, record: TickRecord) -> None:
    """Write the decision down if it does something, or if its reasons are others than the last ones written."""
    decision = record.decision
    codes = ",".join(dict.fromkeys(reason.code.value for reason in decision.reasons))
    last = connection.execute("SELECT codes FROM decisions ORDER BY look DESC LIMIT 1").fetchone()
    if decision.action is Action.HOLD and last == (codes,):
        return
    reasons = [{"code": reason.code.value, "text": reason.text[:MAX_TEXT]} for reason in decision.reasons]
    row: Row = {
        "look": look,
        "action": decision.action.value,
        "weight": decision.change.weight if decision.change else None,
        "codes": codes,
        "reasons": json.dumps(reasons),
    }
    _insert(connection, "decisions", row)


def _events(record: TickRecord) -> list[Row]:
    state = record.decision.state
    fixed: dict[str, Value] = {"at": record.at.wall, "stage": state.stage, "release": state.release}
    return [fixed | {"kind": event.kind.value, "text": event.text} for event in record.decision.events]


# ---------------------------------------------------------------- rows into tables


def _insert(connection: sqlite3.Connection, table: str, row: Row) -> int:
    cursor = connection.execute(_statement(table, row), _storable(row))
    return cursor.lastrowid or 0


def _insert_all(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    for row in rows:
        _insert(connection, table, row)


def _statement(table: str, row: Row) -> str:
    """Return an insertion; a condition that a policy lists twice is judged twice, and kept once."""
    columns, values = ", ".join(row), ", ".join(f":{column}" for column in row)
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({values})"  # noqa: S608 - names of our own


def _storable(row: Row) -> dict[str, Value]:
    return {column: _text(column, value) if isinstance(value, str) else value for column, value in row.items()}


def _text(column: str, text: str) -> str:
    """Return what SQLite can hold: texts from outside may carry halves of characters, and have no end."""
    whole = text if column in _JSON_COLUMNS else text[:MAX_TEXT]
    return whole.encode(errors="replace").decode()
