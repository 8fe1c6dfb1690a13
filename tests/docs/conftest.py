from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    info: str
    body: str

    @property
    def id(self) -> str:
        return f"{self.page.name}:{self.line}"


def all_pages() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match["info"], match["body"])
        for match in FENCE.finditer(text)
    ]


def all_blocks() -> list[Block]:
    return [block for page in all_pages() for block in blocks_of(page)]


def all_scripts() -> list[list[Block]]:
    """The shell blocks of each page that has any, in order."""
    found = [[block for block in blocks_of(page) if block.info.split()[:1] == ["sh"]] for page in all_pages()]
    return [blocks for blocks in found if blocks]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its page, its page's script, or its block of the kind that the module's ``BLOCKS`` names."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", all_pages(), ids=lambda page: page.name)
    if "script" in metafunc.fixturenames:
        metafunc.parametrize("script", all_scripts(), ids=lambda script: script[0].page.name)
    if "block" in metafunc.fixturenames:
        info = metafunc.module.BLOCKS[metafunc.function.__name__]
        found = [block for block in all_blocks() if block.info == info]
        metafunc.parametrize("block", found, ids=lambda block: block.id)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def text_of():
    """The text of one page by its path below the repository."""
    return lambda name: (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def table_in():
    """The rows of the table that follows a line of a page, as lists of cells."""

    def rows(text: str, after: str) -> list[list[str]]:
        lines = text[text.index(after) :].splitlines()
        start = next(index for index, line in enumerate(lines) if line.startswith("|"))
        table = lines[start:]
        end = next((index for index, line in enumerate(table) if not line.startswith("|")), len(table))
        return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[2:end]]

    return rows
