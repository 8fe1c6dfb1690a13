"""How the demo shows itself: one picture in place on a terminal, a line for each change anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from canaryd.lab.ladder_view import render
from canaryd.lab.load import Seen

UNREMARKABLE = frozenset({"window", "settling", "too_few", "finished"})
"""Reasons to hold that are just the time passing."""


class Screen(Protocol):
    """Shows status documents as they come."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was, with the last picture on it."""
        ...

    def show(self, document: Mapping[str, Any], seen: Seen) -> None:
        """Show one status document, and what users have seen so far."""
        ...

    def say(self, text: str) -> None:
        """Say something that is not the daemon's."""
        ...


def screen_for(console: Console) -> Screen:
    """Return the screen that suits where the output goes."""
    return LiveScreen(console) if console.is_terminal else LineScreen(console)


class LiveScreen:
    """Draws over its last picture."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        """Begin; nothing is drawn yet."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._live.stop()

    def show(self, document: Mapping[str, Any], seen: Seen) -> None:
        """Draw the ladder with the users' side below its title."""
        self._live.update(Group(Text(f" {users(seen)}", "dim"), render(document)), refresh=True)

    def say(self, text: str) -> None:
        """Print a line above the picture."""
        self._console.print(Text(text, "yellow"))


class LineScreen:
    """Prints what is new: journal lines, and holds that last longer than one look and are not just time passing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._journal: set[tuple[float, str]] = set()
        self._at: float | None = None
        self._reasons: frozenset[str] = frozenset()
        self._said: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def show(self, document: Mapping[str, Any], seen: Seen) -> None:  # noqa: ARG002 (users have no part in changes)
        """Print what this document adds."""
        if document["at"] == self._at:
            return
        for line in reversed(document["journal"]):
            self._print_once(line["at"], line["text"])
        reasons = frozenset(reason["code"] for reason in document["reasons"]) - UNREMARKABLE
        if reasons == self._reasons:
            self._say_hold(document, reasons)
        self._at, self._reasons = document["at"], reasons

    def _say_hold(self, document: Mapping[str, Any], reasons: frozenset[str]) -> None:
        if document["action"] == "hold" and reasons and reasons != self._said:
            self.say(document["summary"])
        self._said = reasons

    def _print_once(self, at: float, text: str) -> None:
        if (at, text) not in self._journal:
            self._journal.add((at, text))
            self.say(text)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(text), soft_wrap=True)


def users(seen: Seen) -> str:
    """Return what users saw, in one line."""
    canary, stable = seen.answers["canary"], seen.answers["stable"]
    return (
        f"Users  {stable:,} answers from stable, {canary:,} from canary ({seen.canary_share:.1%}); "
        f"{seen.failures:,} went wrong"
    )
