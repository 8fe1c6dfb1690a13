"""The newest events of a rollout: what the status document shows, and what still has to reach the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from canaryd.core.invariants import Step
from canaryd.core.model import Decision, Event
from canaryd.ports import JournalLine

SHOWN_LINES = 50
"""How many of the newest events the status document shows; all of them are in the store."""
MAX_UNSTORED = 100
"""While nothing can be stored, only so many events wait for it."""


class Journal:
    """Keeps events in order, newest first; nothing is told twice in the same words, and nothing told is lost."""

    def __init__(self) -> None:
        self._lines: deque[JournalLine] = deque(maxlen=SHOWN_LINES)
        self._unstored: deque[Event] = deque(maxlen=MAX_UNSTORED)
        self._told: tuple[Event, ...] = ()

    @property
    def lines(self) -> tuple[JournalLine, ...]:
        """The newest events, newest first."""
        return tuple(self._lines)

    def recall(self, lines: Iterable[JournalLine]) -> None:
        """Start from what was stored earlier, newest first."""
        self._lines.extend(lines)

    def without_repeats(self, decision: Decision) -> Decision:
        """Drop events that the tick before told in the same words: a repair that is tried again is no news."""
        told, self._told = self._told, decision.events
        return replace(decision, events=tuple(event for event in decision.events if event not in told))

    def note(self, step: Step) -> None:
        """Add the events of a tick."""
        for event in step.decision.events:
            line = JournalLine(
                at=step.now.wall,
                kind=event.kind.value,
                text=event.text,
                stage=step.after.stage,
                release=step.after.release,
            )
            self._lines.appendleft(line)

    def take_back(self, step: Step) -> Step:
        """Return the step without its events: what they tell of did not happen, and is news another time."""
        for _ in step.decision.events:
            self._lines.popleft()
        self._told = ()
        return replace(step, decision=replace(step.decision, events=()))

    def to_store(self, decision: Decision) -> Decision:
        """Return the decision with the events that could not be stored before its own."""
        return replace(decision, events=(*self._unstored, *decision.events)) if self._unstored else decision

    def mark_stored(self) -> None:
        """Note that everything has reached the store."""
        self._unstored.clear()

    def mark_unstored(self, decision: Decision) -> None:
        """Keep a decision's events for the next time that something can be stored."""
        self._unstored.extend(decision.events)
