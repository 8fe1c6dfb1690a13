"""The events of one YAML document, refused before anything grows from them.

No anchors, aliases, tags, directives or second documents: what a person sees is all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
)
from ruamel.yaml.reader import ReaderError

from canaryd.config.misfit import printable
from canaryd.errors import InvalidFile, Location

MAX_DEPTH = 16
MAX_NODES = 2000
"""Keys and values together."""


def bounded_events(text: str, name: str) -> Iterator[Event]:
    """Yield the parser's events as long as they stay plain and within bounds.

    Raises:
        InvalidFile: Wrong syntax, or something that configuration does not need.
    """
    try:
        yield from _Guard(name).watch(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        raise _syntax_error(error, name) from None
    except ReaderError as error:
        raise InvalidFile(_place(text, error.position, name), "a character that YAML does not allow") from None
    except (YAMLError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # The parser converts escapes and tags without checking them.
        raise InvalidFile(Location(name), f"wrong YAML syntax: {printable(str(error))}") from None


def location(event: Event, name: str) -> Location:
    """Return where an event starts."""
    return Location(name, event.start_mark.line + 1, event.start_mark.column + 1)


class _Guard:
    def __init__(self, name: str) -> None:
        self._name = name
        self._depth = 0
        self._nodes = 0
        self._documents = 0

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case DocumentStartEvent():
                    self._document(event)
                case NodeEvent():
                    self._node(event)
                case CollectionEndEvent():
                    self._depth -= 1
            yield event

    def _document(self, event: DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse(event, "a second document in one file", expected="one document, without ---")
        if event.version or event.tags:
            self._refuse(event, "YAML directives are not supported")

    def _node(self, event: NodeEvent) -> None:
        if isinstance(event, AliasEvent):
            self._refuse(event, "YAML aliases are not supported", expected="the value itself")
        if event.anchor is not None:
            self._refuse(event, "YAML anchors are not supported", expected="the value itself")
        if (tag := getattr(event, "tag", None)) is not None:
            self._refuse(event, "YAML tags are not supported", found=printable(str(tag)))
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse(event, "too many values in one file", expected=f"at most {MAX_NODES}")
        if isinstance(event, CollectionStartEvent):
            self._depth += 1
        if self._depth > MAX_DEPTH:
            self._refuse(event, "nested too deeply", expected=f"at most {MAX_DEPTH} levels")

    def _refuse(self, event: Event, problem: str, *, found: str = "", expected: str = "") -> None:
        raise InvalidFile(location(event, self._name), problem, found=found, expected=expected)


def _syntax_error(error: MarkedYAMLError, name: str) -> InvalidFile:
    mark = error.problem_mark or error.context_mark
    at = Location(name, mark.line + 1, mark.column + 1) if mark else Location(name)
    problem = str(error.problem or error.context)
    if r"'\t'" in problem:
        return InvalidFile(at, "wrong YAML syntax", found="a tab", expected="spaces")
    return InvalidFile(at, f"wrong YAML syntax: {printable(problem)}")


def _place(text: str, position: int, name: str) -> Location:
    before = text[:position]
    return Location(name, before.count("\n") + 1, position - before.rfind("\n"))
