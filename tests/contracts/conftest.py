"""What the tests of all adapters share."""

import asyncio

import pytest

pytest.register_assert_rewrite("canaryd.testing.router_contract", "canaryd.testing.store_contract")


@pytest.fixture(scope="session", autouse=True)
def no_stray_event_loop():
    """Without this, asking for the current loop before the first asynchronous test makes one nobody closes."""
    asyncio.set_event_loop(None)
