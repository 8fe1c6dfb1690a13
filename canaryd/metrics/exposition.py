"""A metrics page as a service shows it, and selectors that choose series of it.

Selectors are those of PromQL without ranges: ``name{label="x", other!="y", code=~"5..", path!~"/health.*"}``.
Regular expressions match whole values; a label that a series lacks is the empty text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from canaryd.metrics.promql import STRING
from canaryd.metrics.series import Series

Page = Mapping[str, Sequence[Series]]
"""Series by the name of their samples."""

_OPS = {"=", "!=", "=~", "!~"}
_NAME = re.compile(r"\s*([A-Za-z_:][A-Za-z0-9_:]*)\s*")
_MATCHER = re.compile(rf"\s*([A-Za-z_]\w*)\s*([=!~]{{1,2}})\s*({STRING})\s*(,|\Z)", re.ASCII | re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_page(text: str) -> Page:
    """Return all series of a page in the Prometheus text format.

    Raises:
        ValueError: The page is not in that format.
    """
    page: dict[str, list[Series]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            page.setdefault(sample.name, []).append(Series(sample.labels, sample.value))
    return page


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    label: str
    op: str
    text: str

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is meant."""
        value = labels.get(self.label, "")
        same = value == self.text if self.op in ("=", "!=") else re.fullmatch(self.text, value) is not None
        return same is not self.op.startswith("!")


@dataclass(frozen=True, slots=True)
class Selector:
    """A name, and what its labels must be."""

    name: str
    matchers: tuple[Matcher, ...] = ()

    def choose(self, page: Page) -> list[Series]:
        """Return the series of the page that are meant."""
        return [
            each for each in page.get(self.name, ()) if all(matcher.accepts(each.labels) for matcher in self.matchers)
        ]

    def renamed(self, name: str) -> Selector:
        """Return the same conditions on another name, as for the ``_bucket`` and ``_sum`` of one histogram."""
        return Selector(name, self.matchers)


_REPEATED_GROUP = re.compile(r"(?<!\\)\)[*+{]")
"""A quantifier behind a group: with another one inside it, the time to match grows without bound."""


def parse_selector(text: str) -> Selector:
    """Return a selector.

    Raises:
        ValueError: It is none; functions and ranges belong to a Prometheus server.
    """
    match = _NAME.match(text)
    if match is None:
        raise ValueError(f"{text.strip()!r} does not begin with a metric's name")
    rest = text[match.end() :].strip()
    if not rest:
        return Selector(match[1])
    if not (rest.startswith("{") and rest.endswith("}")):
        raise ValueError(
            f'{text.strip()!r} is no selector such as {match[1]}{{code=~"5.."}}: '
            "functions and ranges need a Prometheus server"
        )
    return Selector(match[1], tuple(_matchers(rest[1:-1])))


def _matchers(text: str) -> list[Matcher]:
    found, position = [], 0
    while position < len(text.rstrip()):
        match = _MATCHER.match(text, position)
        if match is None or match[2] not in _OPS:
            raise ValueError(f'{text[position:].strip()!r} is no condition such as code=~"5.."')
        found.append(_matcher(match[1], match[2], match[3]))
        position = match.end()
    return found


def _matcher(label: str, op: str, literal: str) -> Matcher:
    text = literal[1:-1] if literal.startswith("`") else _ESCAPE.sub(_unescaped, literal[1:-1])
    if op.endswith("~"):
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f"{label}{op}{literal}: {error}") from None
        if _REPEATED_GROUP.search(text):
            raise ValueError(f"{label}{op}{literal}: a repeated group can take for ever; write it without")
    return Matcher(label, op, text)


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(match[1], match[1])
