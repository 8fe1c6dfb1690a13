"""What is wrong with one value, before anybody knows in which file and line it stands."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN_LENGTH = 60


class Misfit(ValueError):
    """A value that is not what it should be. ``offset`` counts characters into the value's text."""

    def __init__(
        self, problem: str, *, found: str = "", expected: str = "", nearest: str = "", offset: int = 0
    ) -> None:
        self.problem = problem
        self.found = found
        self.expected = expected
        self.nearest = nearest
        self.offset = offset
        super().__init__(problem)


def nearest(word: object, known: Iterable[str]) -> str:
    """Return the known word closest to a misspelt one, or nothing."""
    return next(iter(get_close_matches(str(word)[:100], list(known), n=1)), "")


def listed(words: Iterable[str]) -> str:
    """Return ``one of a, b, c``, shortened where there are very many."""
    known = list(words)
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return f"one of {', '.join(known[:20])}{more}" if len(known) > 1 else ", ".join(known)


def shown(value: object) -> str:
    """Return a value from a file as a short phrase on one line that cannot be mistaken for another type."""
    if isinstance(value, str):
        return f'the text "{printable(value)}"'
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else f"the number {value}"


def printable(text: str) -> str:
    """Return text with control characters escaped, cut to a length that fits a line."""
    cut = text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 1]}…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in cut)
