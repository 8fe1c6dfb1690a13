"""Run a command that dies with its parent: ``python -m canaryd.lab.leash PARENT_PID command…``.

The kernel is asked to kill this process when its parent ends, however that happens (``kill -9`` included), and then the
command takes its place. See prctl(2), PR_SET_PDEATHSIG: the setting survives ``exec``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process with ``parent``; end now if the parent is gone already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        raise SystemExit("the parent has ended")


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 (the command is the caller's own)
