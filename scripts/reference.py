"""Write the parts of the documentation that come from code, or with ``--check`` say which are out of date.

A page holds them between ``<!-- begin: name -->`` and ``<!-- end: name -->``; everything around is written by people.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from reference_parts import PARTS

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?P<begin><!-- begin: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end: (?P=name) -->)", re.DOTALL)


class UnusedPart(Exception):
    """A part that no page shows, or a page that asks for a part that nobody makes."""


def pages() -> Sequence[Path]:
    """Return every page that people read."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def rewritten(text: str) -> str:
    """Return a page with its generated parts as the code has them now."""
    return BLOCK.sub(lambda block: f"{block['begin']}\n{_part(block['name'])}\n\n{block['end']}", text)


def _part(name: str) -> str:
    if name not in PARTS:
        raise UnusedPart(f"a page asks for {name}, known are {', '.join(PARTS)}")
    return PARTS[name]().strip()


def refuse_unused(texts: Sequence[str]) -> None:
    """Raise UnusedPart when a part stands on no page."""
    shown = {block["name"] for text in texts for block in BLOCK.finditer(text)}
    if unused := PARTS.keys() - shown:
        raise UnusedPart(f"no page shows {', '.join(sorted(unused))}")


def main(arguments: Sequence[str]) -> int:
    """Bring every page up to date; with ``--check`` change nothing and return 1 when there is something to do."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages()}
    refuse_unused(list(texts.values()))
    stale = {page: new for page, text in texts.items() if (new := rewritten(text)) != text}
    for page, new in stale.items():
        print(f"{page.relative_to(ROOT)} {'is out of date: run make docs' if '--check' in arguments else 'written'}")
        if "--check" not in arguments:
            page.write_text(new, encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
