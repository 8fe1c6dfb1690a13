"""Every exception canaryd raises on purpose, split by who must act.

    CanarydError
    ├── OperatorError          a person must change a file, a setting or a command
    │   ├── InvalidFile        one clear message with file, line and column
    │   └── StateTooNew        the state was written by a newer canaryd
    ├── WorldError             something outside failed; the next tick tries again
    │   ├── RouterUnavailable  the router could not be read
    │   ├── ChangeRefused      the router kept its traffic: someone changed it first, or it said no
    │   ├── ChangeUnknown      no answer: the change may or may not have been applied
    │   ├── StateUnavailable   the state could not be read or written just now
    │   └── StateCorrupt       the state is damaged; it was put aside
    ├── AnotherRuns            a second daemon on the same state
    └── InvariantViolated      our fault: nothing is done, the input is kept for replay

Messages are single lines for people. Exit codes are given here, next to the meaning.
"""

from __future__ import annotations

from dataclasses import dataclass


class CanarydError(Exception):
    """The root of the tree; ``exit_code`` is what a command ends with when this reaches it."""

    exit_code = 1


class OperatorError(CanarydError):
    """A person must change something before canaryd can go on."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a file: 1-based line and column; 0 where the format has none."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return ``file:line:column`` as editors understand it."""
        return ":".join([self.file, *(str(part) for part in (self.line, self.column) if part)])


class InvalidFile(OperatorError):
    """A file that a person wrote is not what it should be.

    ``found`` and ``expected`` are short phrases; ``nearest`` the closest right spelling, if there is one.
    """

    def __init__(self, at: Location, problem: str, *, found: str = "", expected: str = "", nearest: str = "") -> None:
        self.at = at
        self.problem = problem
        self.found = found
        self.expected = expected
        self.nearest = nearest
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return one line: where, what is wrong, what was found, what was expected, what was meant."""
        parts = [f"{self.at}: {self.problem}"]
        if self.found:
            parts.append(f"found {self.found}")
        if self.expected:
            parts.append(f"expected {self.expected}")
        line = "; ".join(parts)
        return f"{line}. Did you mean {self.nearest}?" if self.nearest else line


class StateTooNew(OperatorError):
    """The state's schema is newer than this canaryd understands; going on would lose something."""


class WorldError(CanarydError):
    """Something outside failed; what is decided stays decided and the next tick tries again.

    A command that ends with it leaves it to a person.
    """

    exit_code = 2


class RouterUnavailable(WorldError):
    """The router's traffic could not be read."""


class ChangeRefused(WorldError):
    """The router did not apply the change: its precondition failed or it said no. Traffic is as it was."""


class ChangeUnknown(WorldError):
    """The router did not answer in time: the change may or may not be in force. Read before writing again."""


class StateUnavailable(WorldError):
    """The state could not be read or written: full disk, I/O error, lock held too long."""


class StateCorrupt(WorldError):
    """The stored state failed its checks and was put aside under another name."""


class AnotherRuns(CanarydError):
    """Another daemon holds the lease of the same rollout (``EX_TEMPFAIL``)."""

    exit_code = 75


class InvariantViolated(CanarydError):
    """A decision broke a safety rule. That is a bug in canaryd: the decision is not carried out."""
