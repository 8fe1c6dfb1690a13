import pytest

from canaryd.engine.clock import SystemClock
from canaryd.ports import Surroundings
from canaryd.stores.sqlite import SqliteStore
from canaryd.stores.sqlite.store import SqliteOptions


def no_secret(name):
    raise AssertionError(f"nobody needs the secret {name}")


@pytest.fixture
async def new_store(tmp_path):
    """Stores on the same place; all are closed in the end."""
    stores = []

    def build(retention=None, **options):
        surroundings = Surroundings(
            folder=tmp_path, clock=SystemClock(), state_dir=tmp_path / "state", secret=no_secret, rollout="ion-api"
        )
        stores.append(SqliteStore(SqliteOptions(**options), surroundings, retention))
        return stores[-1]

    yield build
    for store in stores:
        await store.aclose()


@pytest.fixture
def store(new_store):
    return new_store()


@pytest.fixture
def rival(new_store):
    return new_store()
