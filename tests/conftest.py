"""What every test folder shares."""

import asyncio
import logging

import pytest
import structlog

# On Python 3.11 the first use of the default policy makes a loop that nobody closes, and warnings are errors here.
asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def logging_is_as_before():
    """Undo what a command run inside a test has set up for the whole process."""
    config, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**config)
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for handler in root.handlers:
        if handler not in handlers:
            root.removeHandler(handler)
