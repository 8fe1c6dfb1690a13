"""Adapters by name. Built-ins and other people's are registered the same way: as entry points.

Only the names that a policy uses are loaded. Two distributions that offer the same name are refused, because
which of them would run would be chance; a plugin runs with all the rights of the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog
from pydantic import BaseModel

from canaryd.config.border import Section
from canaryd.config.misfit import listed, nearest
from canaryd.errors import InvalidFile, OperatorError
from canaryd.ports import Surroundings

log = structlog.get_logger(__name__)


class Group(StrEnum):
    """The kinds of adapters and their entry-point groups."""

    SOURCE = "canaryd.metric_sources"
    ROUTER = "canaryd.routers"
    STORE = "canaryd.state_stores"
    NOTIFIER = "canaryd.notifiers"


@cache
def registered(group: Group) -> Mapping[str, EntryPoint]:
    """Return the adapters of a group by name; raise OperatorError when a name is offered twice."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group.value):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise OperatorError(
                f"two installed packages offer {entry.name!r} in {group}: {_origin(other)} and {_origin(entry)}; "
                "remove one of them"
            )
    return found


def load(group: Group, section: Section) -> type[Any]:
    """Return the adapter class that a section of the policy names."""
    known = registered(group)
    if section.type not in known:
        raise InvalidFile(
            section.at("type"),
            "there is no such type",
            found=section.type,
            expected=listed(sorted(known)),
            nearest=nearest(section.type, known),
        )
    entry = known[section.type]
    try:
        adapter: type[Any] = entry.load()
    except (ImportError, AttributeError) as error:
        raise OperatorError(f"{section.type} of {_origin(entry)} cannot be loaded: {error}") from error
    log.debug("adapter.loaded", group=group.value, name=entry.name, package=_origin(entry))
    return adapter


def create(group: Group, section: Section, surroundings: Surroundings) -> Any:  # noqa: ANN401 - typed by its group
    """Return an adapter built from its section; raise InvalidFile at the line of a wrong option."""
    adapter = load(group, section)
    options: type[BaseModel] = adapter.Options
    return adapter(section.parse(options), surroundings)


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
