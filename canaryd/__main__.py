"""``python -m canaryd`` and the ``canaryd`` command: one line for people, one exit code for programs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from canaryd.cli.main import run_command_line  # noqa: PLC0415 - nothing is imported before it is needed

    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
