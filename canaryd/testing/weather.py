"""How often each kind of fault strikes in a simulated world."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How often each kind of fault strikes, as a probability at each opportunity."""

    unreadable: float = 0.0
    refused: float = 0.0
    lost_request: float = 0.0
    lost_reply: float = 0.0
    slow_settling: float = 0.0
    disk_fails: float = 0.0
    commit_reply_lost: float = 0.0
    dies: float = 0.0
    state_lost: float = 0.0
    source_fails: float = 0.0
    blip: float = 0.0
    edited_router: float = 0.0
    edited_desired: float = 0.0
    clock_jumps: float = 0.0
    suspended: float = 0.0


CALM = Weather()


def weather_of(chance: random.Random) -> Weather:
    """Return weather in which some kinds of fault are frequent, some rare and some absent."""
    kinds = Weather.__dataclass_fields__
    return Weather(**{kind: chance.choice((0.0, 0.0, 0.02, 0.1, 0.3)) for kind in kinds})
