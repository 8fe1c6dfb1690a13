"""The documented exit codes. They are stable: pipelines and service managers depend on them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command ends with."""

    OK = 0
    """Fine: done, promoted, finished, or waiting for nothing but time."""
    FAULT = 1
    """Our fault."""
    USAGE = 2
    """Wrong usage, or a file, setting or environment that a person must put right."""
    ROLLED_BACK = 3
    """The release was rolled back, now or earlier."""
    HELD = 4
    """Held for another reason than time: a gate, no data, an approval, a pause."""
    ANOTHER_RUNS = 75
    """Another daemon works on the same rollout."""
    INTERRUPTED = 130
    """Ended by Ctrl-C."""
