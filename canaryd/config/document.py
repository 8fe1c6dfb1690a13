"""One YAML file as plain Python data, with the place of every value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.events import (
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from canaryd.config.misfit import Misfit, printable, shown
from canaryd.config.scalars import Scalar, resolve
from canaryd.config.yaml_events import bounded_events, location
from canaryd.errors import InvalidFile, Location

Path = tuple[str | int, ...]
"""Keys and indexes from the root to a value."""

Fill = Callable[[Path], tuple[object, Event]]
"""Reads the inside of a collection; returns it with the event that ends it."""

BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value stands: 1-based line and column, and the span of characters in the text.

    ``style`` is empty for plain scalars, the quote or indicator of others, ``flow`` or ``block`` for collections.
    A block collection ends where the parser notices, which may be lines later.
    """

    line: int
    column: int
    start: int
    end: int
    style: str


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file. ``marks`` and ``key_marks`` hold the places of values and of the keys before them."""

    name: str
    text: str = field(repr=False)
    data: Any = field(repr=False)
    marks: Mapping[Path, Mark] = field(repr=False)
    key_marks: Mapping[Path, Mark] = field(repr=False)

    def at(self, path: Sequence[str | int], offset: int = 0) -> Location:
        """Return where a value stands, or the nearest parent that exists.

        Args:
            path: Keys and indexes from the root.
            offset: Characters into the text of a plain or quoted value.
        """
        mark = self._nearest(path)
        if offset and tuple(path) in self.marks and self._is_verbatim(mark):
            offset += len(mark.style)
        else:
            offset = 0
        return Location(self.name, mark.line, mark.column + offset)

    def at_key(self, path: Sequence[str | int]) -> Location:
        """Return where a key itself stands, or the nearest parent that exists."""
        mark = self.key_marks.get(tuple(path)) or self._nearest(path)
        return Location(self.name, mark.line, mark.column)

    def _nearest(self, path: Sequence[str | int]) -> Mark:
        parents = (tuple(path[:length]) for length in range(len(path), -1, -1))
        return next((self.marks[parent] for parent in parents if parent in self.marks), Mark(1, 1, 0, 0, ""))

    def _is_verbatim(self, mark: Mark) -> bool:
        """Whether positions in the value are positions in the file."""
        return mark.style in ("", "'", '"') and "\n" not in self.text[mark.start : mark.end]


def read_document(content: bytes | str, name: str) -> Document:
    """Return a file's content as plain data with places.

    Raises:
        InvalidFile: Anything that is not one small, plain YAML document; with line and column.
    """
    text = _decode(content, name).removeprefix(BYTE_ORDER_MARK)
    builder = _Builder(bounded_events(text, name), name)
    root = builder.root()
    return Document(name, text, root, builder.marks, builder.key_marks)


def _decode(content: bytes | str, name: str) -> str:
    try:
        return content if isinstance(content, str) else content.decode()
    except UnicodeDecodeError:
        raise InvalidFile(Location(name), "the text is not UTF-8") from None


class _Builder:
    """Builds values from events; recursion is as deep as the document, which the events bound."""

    def __init__(self, events: Iterator[Event], name: str) -> None:
        self._events = events
        self._name = name
        self.marks: dict[Path, Mark] = {}
        self.key_marks: dict[Path, Mark] = {}

    def root(self) -> object:
        root: object = None
        for event in self._events:  # to the end, so that a second document is noticed
            if isinstance(event, NodeEvent):
                root = self._value(event, ())
        return root

    def _value(self, event: Event, path: Path) -> object:
        match event:
            case ScalarEvent():
                self.marks[path] = _mark(event, event, str(event.style or ""))
                return self._scalar(event)
            case SequenceStartEvent():
                return self._collection(event, path, self._sequence)
            case MappingStartEvent():
                return self._collection(event, path, self._mapping)
            case _:
                raise AssertionError("aliases are refused before")

    def _collection(self, event: CollectionStartEvent, path: Path, fill: Fill) -> object:
        style = "flow" if event.flow_style else "block"
        self.marks[path] = _mark(event, event, style)
        value, end = fill(path)
        self.marks[path] = _mark(event, end, style)
        return value

    def _sequence(self, path: Path) -> tuple[list[Any], Event]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                return items, event
            items.append(self._value(event, (*path, len(items))))
        raise AssertionError("the parser closes what it opens")

    def _mapping(self, path: Path) -> tuple[dict[str, Any], Event]:
        pairs: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                return pairs, event
            key = self._key(event, path, pairs)
            pairs[key] = self._value(next(self._events), (*path, key))
            if pairs[key] is None:
                self._place_nothing((*path, key))
        raise AssertionError("the parser closes what it opens")

    def _place_nothing(self, path: Path) -> None:
        """A value that was left out stands at its key; the parser sees it lines later."""
        if self.marks[path].start == self.marks[path].end:
            key = self.key_marks[path]
            self.marks[path] = Mark(key.line, key.column, key.end, key.end, "")

    def _key(self, event: Event, path: Path, pairs: Mapping[str, Any]) -> str:
        at = location(event, self._name)
        if not isinstance(event, ScalarEvent):
            raise InvalidFile(at, "keys must be text", found="a list or a mapping", expected="text")
        key = self._scalar(event)
        if not isinstance(key, str):
            raise InvalidFile(at, "keys must be text", found=shown(key), expected="text, in quotes if need be")
        if key in pairs:
            first = self.key_marks[(*path, key)].line
            raise InvalidFile(at, f"duplicate key {printable(key)}; it stands in line {first} already")
        self.key_marks[(*path, key)] = _mark(event, event, str(event.style or ""))
        return key

    def _scalar(self, event: ScalarEvent) -> Scalar:
        if event.style is not None:
            return str(event.value)
        try:
            return resolve(event.value)
        except Misfit as misfit:
            at = location(event, self._name)
            raise InvalidFile(at, misfit.problem, found=misfit.found, expected=misfit.expected) from None


def _mark(first: Event, last: Event, style: str) -> Mark:
    start, end = first.start_mark, last.end_mark
    return Mark(start.line + 1, start.column + 1, start.index, end.index, style)
