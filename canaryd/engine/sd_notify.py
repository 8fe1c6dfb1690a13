"""Tells systemd how the daemon is doing; does nothing where no service manager listens."""

from __future__ import annotations

import os
from typing import Self

import sdnotify  # type: ignore[import-untyped]

MAX_STATUS_CHARS = 256
SEND_S = 1.0
"""A full queue at the service manager must not hold the daemon."""


class ServiceManager:
    """The notification socket of the unit this process runs in, if there is one."""

    def __init__(self) -> None:
        self._notifier = _connected() if os.environ.get("NOTIFY_SOCKET") else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; what is said afterwards is not heard."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()

    def ready(self) -> None:
        """Say that start-up is finished."""
        self._send("READY=1")

    def watchdog(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that shutdown has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line in ``systemctl status``."""
        self._send(f"STATUS={' '.join(text.split())[:MAX_STATUS_CHARS]}")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for that many more seconds before start or stop counts as failed."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    @property
    def watchdog_interval_s(self) -> float | None:
        """Return the seconds within which the watchdog must be fed, None without one for this process.

        Feed it at half of that. Read from ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` as sd_watchdog_enabled(3) says.
        """
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        for_process = os.environ.get("WATCHDOG_PID") or str(os.getpid())
        if not microseconds.isdecimal() or not int(microseconds) or for_process != str(os.getpid()):
            return None
        return int(microseconds) / 1e6

    def _send(self, message: str) -> None:
        if self._notifier is not None:
            # The library encodes as Latin-1, systemd reads UTF-8.
            self._notifier.notify(message.encode().decode("latin-1"))


def _connected() -> sdnotify.SystemdNotifier:
    notifier = sdnotify.SystemdNotifier()
    if notifier.socket is not None:
        notifier.socket.settimeout(SEND_S)
    return notifier
