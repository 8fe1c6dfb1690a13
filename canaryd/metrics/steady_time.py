"""Times of points for sources that read the present moment: Unix seconds that a jumping wall clock cannot turn back."""

from __future__ import annotations

from canaryd.core.model import Instant


class SteadyTime:
    """Unix seconds of the first moment seen, carried on by the elapsed clock."""

    def __init__(self) -> None:
        self._first: Instant | None = None

    def unix(self, at: Instant) -> float:
        """Return the time of a moment; later moments of one run always get later times."""
        if self._first is None or self._first.run != at.run:
            self._first = at
        return self._first.wall + at.seconds_since(self._first)
