"""Draw the README's pictures from a real demo run: a stage being watched, and the release being taken back.

The demo runs as users run it; what ``canaryd status`` would show at the right moments is drawn with rich. Takes about
a minute and needs nothing but this machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from canaryd.errors import WorldError
from canaryd.lab.demo_files import ROLLOUT
from canaryd.lab.ladder_view import render
from canaryd.one_shot import stored_document
from canaryd.settings import Settings
from canaryd.telemetry import logging

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
WIDTH = 100
FIRST_PICTURE_STAGE, BROKEN_STAGE = 3, 4
WITHIN_S = 120.0
BETWEEN_LOOKS_S = 0.2
WEB_FONT = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
"""Rich's pictures load a font from elsewhere; these must show without a network."""

Document = Mapping[str, Any]
IsWanted = Callable[[Document], bool]


def is_half_watched(document: Document) -> bool:
    """Whether the first picture's stage is under way."""
    return document["stage"] == FIRST_PICTURE_STAGE and document["watched_s"] > 0.5 * (document["window_s"] or 0.0)


def is_taken_back(document: Document) -> bool:
    """Whether the rollback is served."""
    return document["phase"] == "rolled_back" and document["observed_weight"] == document["weight"]


def wait_for(policy: Path, is_wanted: IsWanted, demo: subprocess.Popen[bytes]) -> Document:
    """Return the first status document that is wanted; raise TimeoutError when none comes."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline and demo.poll() is None:
        document = stored(policy)
        if document is not None and is_wanted(document):
            return document
        time.sleep(BETWEEN_LOOKS_S)
    raise TimeoutError(f"the demo never came to be {is_wanted.__name__}")


def stored(policy: Path) -> Document | None:
    """Return what the daemon stored last; None before it has, or while it cannot be read."""
    try:
        return stored_document(policy, Settings()) if policy.exists() else None
    except WorldError:
        return None


def draw(document: Document, name: str) -> None:
    """Write one status document as an SVG."""
    console = Console(record=True, width=WIDTH, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - as long as the console
    console.print(render(document))
    svg = console.export_svg(
        title=f"canaryd status {ROLLOUT}.yaml", unique_id=name, code_format=WEB_FONT.sub("", CONSOLE_SVG_FORMAT)
    )
    (FOLDER / f"{name}.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def main() -> None:
    """Run the demo once and draw both pictures."""
    logging.configure(level="error")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "canaryd", "demo", "--break", f"errors@{BROKEN_STAGE}", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as demo:
            try:
                policy = Path(folder) / f"{ROLLOUT}.yaml"
                draw(wait_for(policy, is_half_watched, demo), "climbing")
                draw(wait_for(policy, is_taken_back, demo), "taken-back")
            finally:
                demo.terminate()


if __name__ == "__main__":
    main()
