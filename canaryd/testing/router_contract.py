"""What every traffic router must do. Needs pytest; plugin authors subclass the class and give it three fixtures.

``router``  the adapter under test, nothing written yet
``rival``   another daemon's adapter to the same traffic
``edit``    a callable: a person sets the weight by other means
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio.lowlevel
import pytest

from canaryd.core.model import WEIGHT_TOLERANCE, Change, Mark, Traffic
from canaryd.errors import ChangeRefused
from canaryd.ports import TrafficRouter

Edit = Callable[[float], Awaitable[None] | None]

MARK = Mark(rollout="ion-api", release="rev-2", attempt=1, stage=1, epoch=1)
LOOKS_TO_SETTLE = 50


class TrafficRouterContract:
    """Tests of one adapter; each says in its name what a rollout relies on."""

    async def settled(self, router: TrafficRouter) -> Traffic:
        """Return the traffic once it is served; override where settling takes real time."""
        for _ in range(LOOKS_TO_SETTLE):
            traffic = await router.read()
            if traffic.settled:
                return traffic
            await anyio.lowlevel.checkpoint()
        pytest.fail(f"the traffic did not settle within {LOOKS_TO_SETTLE} looks")

    async def test_what_was_written_is_read_back(self, router: TrafficRouter) -> None:
        """Weight and mark come back whole, also for weights below one percent."""
        for epoch, weight in enumerate((5.0, 0.1, 33.3, 100.0, 0.0), start=1):
            mark = replace(MARK, epoch=epoch, stage=epoch)
            await _set(router, weight, mark)
            traffic = await self.settled(router)
            assert traffic.weight == pytest.approx(weight, abs=WEIGHT_TOLERANCE)
            assert traffic.mark == mark

    async def test_a_latch_is_read_back_by_another_daemon(self, router: TrafficRouter, rival: TrafficRouter) -> None:
        """A daemon that lost its state learns from the router that a release was taken back."""
        await _set(router, 0.0, replace(MARK, stage=0, latched=True, attempt=3))
        mark = (await self.settled(rival)).mark
        assert mark is not None
        assert mark.latched
        assert mark.attempt == 3

    async def test_reading_changes_nothing(self, router: TrafficRouter) -> None:
        """The precondition stays the same as long as nobody writes."""
        await _set(router, 5.0, MARK)
        await self.settled(router)
        assert (await router.read()).version == (await router.read()).version

    async def test_every_change_makes_the_last_reading_outdated(self, router: TrafficRouter) -> None:
        """A change that was decided on an old reading is refused, and the traffic stays."""
        outdated = (await router.read()).version
        await _set(router, 5.0, MARK)
        with pytest.raises(ChangeRefused):
            await router.write(Change(weight=50.0, mark=replace(MARK, epoch=2), version=outdated))
        assert (await self.settled(router)).weight == pytest.approx(5.0, abs=WEIGHT_TOLERANCE)

    async def test_of_two_daemons_that_read_the_same_only_one_changes_it(
        self, router: TrafficRouter, rival: TrafficRouter
    ) -> None:
        """Changes meet at the router, not at the daemons."""
        await _set(router, 5.0, MARK)
        version = (await self.settled(router)).version
        await rival.write(Change(weight=0.0, mark=replace(MARK, epoch=2, stage=0), version=version))
        with pytest.raises(ChangeRefused):
            await router.write(Change(weight=10.0, mark=replace(MARK, epoch=2, stage=2), version=version))
        assert (await self.settled(router)).weight == pytest.approx(0.0, abs=WEIGHT_TOLERANCE)

    @pytest.mark.parametrize("epoch", [6, 7])
    async def test_an_older_daemon_is_refused_although_it_has_read(
        self, router: TrafficRouter, rival: TrafficRouter, epoch: int
    ) -> None:
        """The epoch is the fence: a precondition alone does not protect from a stale decision."""
        await _set(rival, 0.0, replace(MARK, epoch=7, stage=0, latched=True))
        version = (await self.settled(router)).version
        with pytest.raises(ChangeRefused):
            await router.write(Change(weight=50.0, mark=replace(MARK, epoch=epoch), version=version))
        traffic = await self.settled(router)
        assert traffic.weight == pytest.approx(0.0, abs=WEIGHT_TOLERANCE)
        assert traffic.mark is not None
        assert traffic.mark.epoch == 7

    async def test_a_person_is_never_overwritten_unread(self, router: TrafficRouter, edit: Edit) -> None:
        """What somebody set by hand after the last look stands, and the next look shows it."""
        await _set(router, 25.0, MARK)
        version = (await self.settled(router)).version
        done = edit(2.0)
        if inspect.isawaitable(done):
            await done
        with pytest.raises(ChangeRefused):
            await router.write(Change(weight=50.0, mark=replace(MARK, epoch=2), version=version))
        assert (await self.settled(router)).weight == pytest.approx(2.0, abs=WEIGHT_TOLERANCE)

    async def test_a_person_s_change_can_be_followed_by_one_that_has_read_it(
        self, router: TrafficRouter, edit: Edit
    ) -> None:
        """Conditional does not mean stuck."""
        await _set(router, 25.0, MARK)
        done = edit(2.0)
        if inspect.isawaitable(done):
            await done
        await _set(router, 0.0, replace(MARK, epoch=2, stage=0))
        assert (await self.settled(router)).weight == pytest.approx(0.0, abs=WEIGHT_TOLERANCE)

    async def test_checking_finds_nothing_wrong_and_changes_nothing(self, router: TrafficRouter) -> None:
        """The command ``canaryd check`` may be run at any time."""
        await _set(router, 5.0, MARK)
        before = await self.settled(router)
        findings = await router.check()
        assert findings
        assert all(finding.ok and finding.subject and finding.detail for finding in findings)
        assert await router.read() == before

    async def test_closing_twice_does_no_harm(self, router: TrafficRouter) -> None:
        """A shutdown may meet an adapter that is closed already."""
        await router.read()
        await router.aclose()
        await router.aclose()


async def _set(router: TrafficRouter, weight: float, mark: Mark) -> None:
    traffic = await router.read()
    await router.write(Change(weight=weight, mark=mark, version=traffic.version))
