"""Commit ticks, as the daemon would, and say which ones the store has confirmed."""

from pathlib import Path

from fork_server import serve

from canaryd.core.readings import Counts, Readings, Side
from canaryd.engine.clock import SystemClock
from canaryd.errors import StateUnavailable
from canaryd.ports import Surroundings
from canaryd.stores.sqlite import SqliteStore
from canaryd.stores.sqlite.store import SqliteOptions
from canaryd.testing.records import record


def tick(number: int):
    readings = Readings({("errors", Side.CANARY): Counts(bad=0, total=5, span_s=30, newest_at=number)})
    return record(f"tick {number}", "promoted", at_s=float(number), readings=readings)


async def main(name: str, ticks: int) -> None:
    folder = Path(name)
    surroundings = Surroundings(folder=folder, clock=SystemClock(), state_dir=folder, secret=str, rollout="ion-api")
    store = SqliteStore(SqliteOptions(), surroundings)
    await store.load()
    for number in range(1, ticks + 1):
        try:
            await store.commit(tick(number))
        except StateUnavailable as error:
            print("unavailable", error, flush=True)
        else:
            print("confirmed", number, flush=True)
    await store.aclose()


serve(main)
