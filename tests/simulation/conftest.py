import logging

import pytest
import structlog


@pytest.fixture(autouse=True)
def _quiet():
    """A storm is thousands of warnings that nobody reads."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def _drop(_logger, _method, _event):
    raise structlog.DropEvent
