"""Reads a JSON document of each side, such as its health page, and picks values from it by JMESPath.

A health page that does not answer, or not with 2xx, is not missing data: it is the very sign that the page exists
to give. Numbers are another matter: without an answer they are unread.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

import anyio
import jmespath
from jmespath.exceptions import JMESPathError

from canaryd.config.misfit import printable
from canaryd.core.readings import Absence, Fault, Gauge, Health, MetricKind, NoData, Reading, Unread
from canaryd.metrics import series
from canaryd.metrics.expressions import Grammar, Keys
from canaryd.metrics.http_client import Answer, HttpReader
from canaryd.metrics.http_options import HttpOptions, side_url
from canaryd.metrics.steady_time import SteadyTime
from canaryd.ports import Finding, Look, Query, Surroundings

MAX_VERSION_LENGTH = 100
_NOT_JSON = Unread(why=Fault.BAD_ANSWER, detail="the answer is not JSON")

_GRAMMAR = Grammar(
    source="http_json",
    kinds={
        MetricKind.HEALTH: Keys(optional=("path",)),
        MetricKind.GAUGE: Keys(needed=("value",), optional=("path",)),
    },
    elsewhere=dict.fromkeys(
        (MetricKind.COUNTS, MetricKind.HISTOGRAM), "a source of type prometheus or scrape, which can count"
    ),
)


class HttpJsonOptions(HttpOptions):
    """A policy's section for a source of type ``http_json``."""

    path: str = "/health"
    """Where the document is, below each side's ``url``; a metric may give a ``path`` of its own."""


class HttpJsonSource:
    """Implements ``ports.MetricSource`` by JSON over HTTP: health and gauges."""

    Options = HttpJsonOptions

    def __init__(self, options: HttpJsonOptions, surroundings: Surroundings) -> None:
        self._path = options.path
        self._http = HttpReader(options, surroundings)
        self._time = SteadyTime()

    def validate(self, query: Query) -> None:
        """Raise ValueError for missing or malformed expressions, unknown placeholders or a missing url."""
        _GRAMMAR.check(query)
        self._url(query)
        for expression in (*query.up, *filter(None, [query.expressions.get("value")])):
            _compiled(expression)

    async def read(self, queries: Sequence[Query], look: Look) -> Sequence[Reading]:
        """Read each document once, then answer every query from it."""
        answers = await self._answers({self._url(query) for query in queries}, look)
        at = self._time.unix(look.at)
        return [_reading(query, answers[self._url(query)], at) for query in queries]

    async def check(self) -> Sequence[Finding]:
        """Say nothing: each side's document is read only when a metric asks for it."""
        return []

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    def _url(self, query: Query) -> str:
        return side_url(query.target, query.expressions.get("path", self._path))

    async def _answers(self, urls: Iterable[str], look: Look) -> Mapping[str, Answer | Unread]:
        answers: dict[str, Answer | Unread] = {}

        async def fetch(url: str) -> None:
            answers[url] = await self._http.get(url, deadline_s=look.deadline_s, accept="application/json")

        async with anyio.create_task_group() as group:
            for url in urls:
                group.start_soon(fetch, url)
        return answers


def _reading(query: Query, answer: Answer | Unread, at: float) -> Reading:
    return _health(query, answer, at) if query.kind is MetricKind.HEALTH else _gauge(query, answer, at)


# ---------------------------------------------------------------- health


def _health(query: Query, answer: Answer | Unread, at: float) -> Health:
    if isinstance(answer, Unread):
        return Health(up=False, detail=answer.detail, newest_at=at)
    document = _document(answer)
    wrong = _what_is_wrong(query, answer, document)
    return Health(up=not wrong, detail=wrong, newest_at=at, version=_version(document))


def _what_is_wrong(query: Query, answer: Answer, document: object) -> str:
    """Return the first thing that is not as it should be; the document's own words before the bare status."""
    expected = query.up
    if isinstance(document, Unread):
        mismatches = [document.detail] if expected else []
    else:
        mismatches = [words for path, wanted in expected.items() if (words := _mismatch(document, path, wanted))]
    status = "" if answer.ok else answer.refusal().detail
    return ", ".join(filter(None, [status, *mismatches[:1]]))


def _mismatch(document: object, path: str, wanted: object) -> str:
    try:
        found = _search(path, document)
    except ValueError as error:
        return str(error)
    if found == wanted and isinstance(found, bool) == isinstance(wanted, bool):
        return ""
    if found is None:
        return f"{path} is missing, not {_words(wanted)}"
    as_text = "the text " if isinstance(found, str) and not isinstance(wanted, str) else ""
    return f"{path} is {as_text}{_words(found)}, not {_words(wanted)}"


def _words(value: object) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return printable(value if isinstance(value, str) else json.dumps(value))


def _version(document: object) -> str:
    version = document.get("version") if isinstance(document, dict) else None
    return "".join(filter(str.isprintable, version[:MAX_VERSION_LENGTH])) if isinstance(version, str) else ""


# ---------------------------------------------------------------- gauges


def _gauge(query: Query, answer: Answer | Unread, at: float) -> Reading:
    if isinstance(answer, Unread):
        return answer
    if not answer.ok:
        return answer.refusal()
    document = _document(answer)
    if isinstance(document, Unread):
        return document
    return _number(query.expressions["value"], document, at)


def _number(expression: str, document: object, at: float) -> Reading:
    try:
        value = _search(expression, document)
    except ValueError as error:
        return Unread(why=Fault.BAD_ANSWER, detail=str(error))
    if value is None:
        return NoData(why=Absence.NO_SERIES, detail=f"{expression} is not in the document")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Unread(why=Fault.BAD_ANSWER, detail=f"{expression} is {_words(value)}, not a number")
    if abs(value) > sys.float_info.max:
        return series.not_a_number()
    return Gauge(value=float(value), newest_at=at)


# ---------------------------------------------------------------- documents


def _document(answer: Answer) -> object:
    """Return the parsed body. NaN and infinity are no JSON, and neither is what is nested too deeply to parse."""
    try:
        return json.loads(answer.body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _compiled(expression: str) -> jmespath.parser.ParsedResult:
    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"{expression!r} is no JMESPath expression: {problem}") from None


def _search(expression: str, document: object) -> object:
    try:
        return _compiled(expression).search(document)
    except JMESPathError as error:
        raise ValueError(f"{expression} cannot be evaluated: {printable(' '.join(str(error).split()))}") from None
