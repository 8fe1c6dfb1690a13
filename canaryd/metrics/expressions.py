"""Which expressions a metric of each kind must give: shared by the sources that read PromQL-like text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from canaryd.config.misfit import listed, nearest
from canaryd.core.readings import MetricKind
from canaryd.ports import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The expressions one kind of metric needs and takes."""

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """All keys that mean something."""
        return self.needed + self.optional


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What a source can read. ``elsewhere`` says, for a kind it cannot, who can."""

    source: str
    kinds: Mapping[MetricKind, Keys]
    elsewhere: Mapping[MetricKind, str] = field(default_factory=dict)

    def check(self, query: Query) -> None:
        """Raise ValueError unless the query's expressions are those its kind needs."""
        if query.kind not in self.kinds:
            hint = f": use {self.elsewhere[query.kind]}" if query.kind in self.elsewhere else ""
            raise ValueError(f"{self.source} cannot read {query.kind} metrics{hint}")
        keys = self.kinds[query.kind]
        for key in query.expressions:
            _known(key, keys, query.metric)
        for key in keys.needed:
            if not query.expressions.get(key, "").strip():
                raise ValueError(f"{query.metric} needs {key}")
        if query.up and query.kind is not MetricKind.HEALTH:
            raise ValueError(f"{query.metric} is no health metric and cannot have up")


def _known(key: str, keys: Keys, metric: str) -> None:
    if key not in keys.known:
        close = nearest(key, keys.known)
        meant = f"did you mean {close}?" if close else f"expected {listed(keys.known)}"
        raise ValueError(f"{metric} has an unknown expression {key}: {meant}")
