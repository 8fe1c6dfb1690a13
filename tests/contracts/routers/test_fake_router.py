import pytest

from canaryd.core.model import Change
from canaryd.errors import ChangeUnknown, RouterUnavailable
from canaryd.testing.faults import Faults, RouterPoint
from canaryd.testing.router_contract import MARK, TrafficRouterContract
from canaryd.testing.routers import FakeRouter, FakeTraffic


@pytest.fixture
def traffic():
    return FakeTraffic()


@pytest.fixture
def router(traffic):
    return FakeRouter(traffic)


@pytest.fixture
def rival(traffic):
    return FakeRouter(traffic)


@pytest.fixture
def edit(traffic):
    return traffic.edit


class TestFakeRouter(TrafficRouterContract):
    """The fake keeps the same promises as the real ones."""


class TestSlowFakeRouter(TrafficRouterContract):
    """So does one that takes its time to serve what it accepted."""

    @pytest.fixture
    def router(self, traffic):
        return FakeRouter(traffic, reads_to_settle=3)


@pytest.mark.parametrize(("point", "weight"), [(RouterPoint.BEFORE_WRITE, 0.0), (RouterPoint.AFTER_WRITE, 5.0)])
async def test_an_unknown_change_was_applied_or_not_by_where_the_reply_was_lost(point, weight):
    faults = Faults()
    faults.at(point, ChangeUnknown("no reply"))
    router = FakeRouter(faults=faults)
    with pytest.raises(ChangeUnknown):
        await router.write(Change(weight=5.0, mark=MARK, version="v0"))
    assert (await router.read()).weight == weight


async def test_an_injected_fault_is_raised_once():
    faults = Faults()
    faults.at(RouterPoint.READ, None, RouterUnavailable("down"))
    router = FakeRouter(faults=faults)
    await router.read()
    with pytest.raises(RouterUnavailable):
        await router.read()
    await router.read()
