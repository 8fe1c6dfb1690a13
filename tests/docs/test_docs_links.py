"""Every link inside the documentation leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors that headings get, by the rule of the usual hosts."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_to_files_and_headings_that_exist(page):
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        target, _, anchor = match["target"].partition("#")
        if target.startswith("https://"):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name} links to {target}#{anchor}"


def test_every_page_can_be_reached_from_the_front_page(root, text_of):
    linked = {Path(match["target"]).name.partition("#")[0] for match in LINK.finditer(text_of("README.md"))}
    pages = {page.name for page in [*root.glob("*.md"), *(root / "docs").glob("*.md")]} - {"README.md"}
    assert pages <= linked


def test_pictures_are_whole_and_load_nothing_from_elsewhere(root):
    pictures = sorted((root / "docs" / "images").glob("*.svg"))
    assert pictures
    for picture in pictures:
        assert ET.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert not re.search(r"(?:href|src|url)\W+https?:", picture.read_text(encoding="utf-8")), picture.name
