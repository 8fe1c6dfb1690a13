"""Checks and decisions as they are stored: what reports are made from."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

from canaryd.core.decide import decide
from canaryd.core.model import Action, Observation, ReasonCode
from canaryd.engine import codec
from canaryd.stores.sqlite import read_snapshot
from canaryd.testing import build
from canaryd.testing.records import hold, record


def query(store, sql):
    with closing(sqlite3.connect(store.path)) as connection:
        return connection.execute(sql).fetchall()


def real_decision():
    """What the core decides at the start of a rollout that is served at stage 1."""
    policy, desired = build.plan(), build.desired()
    state = None
    for at_s in (0.0, 60.0, 120.0):
        traffic = build.served(policy.weight(state.stage) if state else 0.0)
        look = Observation(traffic=traffic, readings=build.look_readings(at_s))
        decision = decide(policy, desired, state, look, build.instant(at_s))
        state = decision.state
    return decision


async def test_the_checks_of_a_real_decision_come_back_as_they_were(store):
    decision = real_decision()
    assert decision.checks
    await store.load()
    await store.commit(record(codec.encode(decision.state), at_s=120.0, decision=decision))
    stored = {(check.role, check.rule, check.condition): check for check in read_snapshot(store.path).checks}
    assert len(stored) == len(decision.checks)
    for role_check in decision.checks:
        found = stored[role_check.role.value, role_check.rule, role_check.check.condition.text]
        assert found.outcome == role_check.check.outcome.value
        assert (found.canary, found.bound) == (role_check.check.canary, role_check.check.limit)
        assert (found.streak, found.streak_needed) == (role_check.streak, role_check.streak_needed)


async def test_a_condition_is_written_down_once_however_often_it_is_judged(store):
    decision = real_decision()
    await store.load()
    for at_s in (0, 60, 120):
        await store.commit(record(at_s=at_s, decision=decision))
    assert query(store, "SELECT count(*) FROM conditions") == [(len(decision.checks),)]
    assert query(store, "SELECT count(*) FROM checks") == [(3 * len(decision.checks),)]


async def test_a_condition_that_a_policy_lists_twice_is_stored_once(store):
    decision = real_decision()
    await store.load()
    await store.commit(record(decision=replace(decision, checks=(decision.checks[0], decision.checks[0]))))
    assert query(store, "SELECT count(*) FROM checks") == [(1,)]


async def test_holding_is_written_down_when_its_reasons_change(store, rival):
    codes = [ReasonCode.WINDOW, ReasonCode.WINDOW, ReasonCode.GATE, ReasonCode.GATE, ReasonCode.WINDOW]
    await store.load()
    for at_s, code in enumerate(codes[:2]):
        await store.commit(record(at_s=at_s, decision=hold(code=code)))
    await store.aclose()
    await rival.load()
    for at_s, code in enumerate(codes[2:], start=2):
        await rival.commit(record(at_s=at_s, decision=hold(code=code)))
    assert query(rival, "SELECT look, codes FROM decisions") == [(1, "window"), (3, "gate"), (5, "window")]


async def test_every_move_is_written_down_with_its_reasons(store):
    move = replace(hold(code=ReasonCode.RULE), action=Action.ROLL_BACK)
    await store.load()
    for at_s in (0, 60):
        await store.commit(record(at_s=at_s, decision=move))
    rows = query(store, "SELECT action, reasons FROM decisions")
    assert [action for action, _ in rows] == ["roll_back", "roll_back"]
    assert json.loads(rows[0][1]) == [{"code": "rule", "text": "because of rule"}]
