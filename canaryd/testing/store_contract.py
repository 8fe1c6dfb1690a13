"""What every state store must do. Needs pytest; plugin authors subclass the class and give it two fixtures.

``store``  the adapter under test, nothing stored yet
``rival``  another daemon's adapter to the same place
"""

from __future__ import annotations

import pytest

from canaryd.errors import AnotherRuns, StateUnavailable
from canaryd.ports import StateStore
from canaryd.testing.records import record


class StateStoreContract:
    """Tests of one adapter; each says in its name what a rollout relies on."""

    async def test_a_place_without_state_loads_as_nothing(self, store: StateStore) -> None:
        """The first start of a rollout is no error."""
        assert await store.load() is None
        assert not await store.journal(10)

    async def test_the_next_daemon_loads_what_was_committed_last(self, store: StateStore, rival: StateStore) -> None:
        """The state comes back to the letter."""
        states = ['{"stage":1}', '{"stage":2,"text":"naïve \\u0000 „quotes“ \\n 🐤"}']
        await store.load()
        for at_s, state in enumerate(states):
            await store.commit(record(state, at_s=at_s))
        await store.aclose()
        assert await rival.load() == states[-1]

    async def test_loading_again_shows_the_last_commit(self, store: StateStore) -> None:
        """A daemon may load twice; its own lease does not turn it away."""
        await store.load()
        await store.commit(record("first"))
        assert await store.load() == "first"

    async def test_a_second_daemon_is_turned_away_and_does_no_harm(self, store: StateStore, rival: StateStore) -> None:
        """The lease is exclusive, and the holder goes on as if nothing had been."""
        await store.load()
        await store.commit(record("first"))
        with pytest.raises(AnotherRuns):
            await rival.load()
        await rival.aclose()
        await store.commit(record("second", at_s=60))
        assert await store.load() == "second"

    async def test_a_daemon_without_the_lease_cannot_write(self, store: StateStore, rival: StateStore) -> None:
        """Not before loading, not after closing, and not while another holds it."""
        with pytest.raises(StateUnavailable):
            await store.commit(record("too early"))
        await store.load()
        with pytest.raises(StateUnavailable):
            await rival.commit(record("not mine"))
        await store.aclose()
        with pytest.raises(StateUnavailable):
            await store.commit(record("too late"))
        assert await rival.load() is None

    async def test_the_lease_is_free_after_closing(self, store: StateStore, rival: StateStore) -> None:
        """A restart does not have to wait."""
        await store.load()
        await store.aclose()
        assert await rival.load() is None
        await rival.commit(record("theirs"))
        with pytest.raises(AnotherRuns):
            await store.load()

    async def test_the_journal_shows_the_newest_events_first(self, store: StateStore) -> None:
        """Events keep their order within a tick and across ticks, and no more are shown than asked for."""
        await store.load()
        await store.commit(record("a", "started", "promoted", at_s=0))
        await store.commit(record("b", at_s=30))
        await store.commit(record("c", "rolled_back", at_s=60))
        lines = await store.journal(10)
        assert [line.kind for line in lines] == ["rolled_back", "promoted", "started"]
        assert [line.kind for line in await store.journal(2)] == ["rolled_back", "promoted"]
        assert lines[0].at - lines[1].at == 60
        assert (lines[0].release, lines[0].stage, lines[0].text) == ("rev-2", 1, "what happened: rolled_back")

    async def test_the_journal_outlasts_the_daemon(self, store: StateStore, rival: StateStore) -> None:
        """What happened is known after a restart."""
        await store.load()
        await store.commit(record("a", "started"))
        await store.aclose()
        await rival.load()
        assert [line.kind for line in await rival.journal(10)] == ["started"]

    async def test_closing_twice_does_no_harm(self, store: StateStore) -> None:
        """A shutdown may meet a store that is closed, or was never opened."""
        await store.aclose()
        await store.load()
        await store.aclose()
        await store.aclose()
