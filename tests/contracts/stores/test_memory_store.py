import pytest

from canaryd.errors import StateCorrupt, StateUnavailable
from canaryd.testing.faults import Faults, StorePoint
from canaryd.testing.records import record
from canaryd.testing.store_contract import StateStoreContract
from canaryd.testing.stores import MemoryDisk, MemoryStore


@pytest.fixture
def disk():
    return MemoryDisk()


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def store(disk, faults):
    return MemoryStore(disk, faults=faults)


@pytest.fixture
def rival(disk):
    return MemoryStore(disk)


class TestMemoryStore(StateStoreContract):
    """The fake keeps the same promises as the real ones."""


@pytest.mark.parametrize(
    ("point", "seen_by_the_next"),
    [(StorePoint.BEFORE_WRITE, "old"), (StorePoint.BEFORE_SYNC, "old"), (StorePoint.AFTER_SYNC, "new")],
)
async def test_a_crash_keeps_what_was_synced(store, rival, faults, point, seen_by_the_next):
    await store.load()
    await store.commit(record("old"))
    faults.at(point, StateUnavailable("the disk is gone"))
    with pytest.raises(StateUnavailable):
        await store.commit(record("new"))
    store.crash()
    assert await rival.load() == seen_by_the_next


async def test_a_write_that_failed_before_its_sync_is_still_seen_while_the_machine_runs(store, faults):
    await store.load()
    faults.at(StorePoint.BEFORE_SYNC, StateUnavailable("fsync failed"))
    with pytest.raises(StateUnavailable):
        await store.commit(record("new"))
    assert await store.load() == "new"


async def test_damaged_state_is_lost_once_and_the_lease_is_kept(store, rival, faults):
    await store.load()
    await store.commit(record("old"))
    faults.at(StorePoint.LOAD, StateCorrupt("a bit flipped"))
    with pytest.raises(StateCorrupt):
        await store.load()
    assert await store.load() is None
    await store.commit(record("rebuilt"))
    assert await store.load() == "rebuilt"
