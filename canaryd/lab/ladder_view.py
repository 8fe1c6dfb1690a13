"""A rollout's status document as people see it in a terminal: sentence, ladder, split, checks, journal.

What matters most stands on top: a low terminal cuts the rest off at the bottom. ``render`` is pure: the document of
``/api/v1/rollouts/<name>`` in, something that rich prints out. 80 columns are enough.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from canaryd.core.conditions import Unit
from canaryd.core.wording import format_duration, format_quantity

Document = Mapping[str, Any]

PHASE_STYLES = {
    "settling": "cyan",
    "watching": "cyan",
    "finished": "bold green",
    "rolling_back": "bold red",
    "rolled_back": "bold red",
}
OUTCOMES = {
    "pass": Text("✓", "green"),
    "fail": Text("✗", "bold red"),
    "no_data": Text("…", "yellow"),
    "error": Text("!", "bold yellow"),
}
BAR_WIDTH = 34
SPLIT_WIDTH = 34
JOURNAL_LINES = 4


def render(document: Document) -> RenderableType:
    """Return the whole view of one status document."""
    parts: list[RenderableType] = [_title(document), _sentence(document), Text(), _ladder(document), Text()]
    parts.append(_split(document))
    if document["checks"]:
        parts += [Text(), _checks(document["checks"])]
    if document["journal"]:
        parts += [Text(), _journal(document["journal"])]
    return Group(*parts)


def _title(document: Document) -> RenderableType:
    phase = document["phase"]
    title = Text.assemble(
        (document["rollout"], "bold"),
        f"  {document['release']}",
        (f"  attempt {document['attempt']}" if document["attempt"] > 1 else "", "dim"),
        "  ",
        (phase.replace("_", " "), PHASE_STYLES.get(phase, "dim")),
    )
    return Rule(title, align="left", style="dim")


# ---------------------------------------------------------------- the ladder


def _ladder(document: Document) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for width in (2, 2, 5, BAR_WIDTH, None):
        table.add_column(min_width=width, no_wrap=True, justify="right" if width == 5 else "left")
    for stage in document["stages"]:
        table.add_row(*_rung(document, stage))
    return table


def _rung(document: Document, stage: Mapping[str, Any]) -> Sequence[RenderableType]:
    number, here = stage["stage"], document["stage"]
    weight = f"{stage['weight']:g} %"
    if number < here or document["phase"] == "finished":
        return Text(" ✓", "green"), Text(str(number), "green"), Text(weight, "green"), "", Text(_window(stage), "dim")
    if number > here:
        return "  ", Text(str(number), "dim"), Text(weight, "dim"), "", Text(_ahead(document, stage), "dim")
    return (
        Text(" ▶", "bold cyan"),
        Text(str(number), "bold"),
        Text(weight, "bold"),
        _progress(document),
        _left(document),
    )


def _window(stage: Mapping[str, Any]) -> str:
    return "without end" if stage["window_s"] is None else format_duration(stage["window_s"])


def _ahead(document: Document, stage: Mapping[str, Any]) -> str:
    latch = document["latch"]
    if latch and latch["from_stage"] == stage["stage"]:
        return "taken back from here"
    if not stage.get("approval"):
        return _window(stage)
    return f"{_window(stage)}, {'approved' if stage['stage'] in document['approved'] else 'asks for approval'}"


def _progress(document: Document) -> RenderableType:
    window_s = document["window_s"]
    if window_s is None:
        return Text("watched without end", "cyan")
    return ProgressBar(
        total=window_s, completed=min(document["watched_s"], window_s), width=BAR_WIDTH, complete_style="cyan"
    )


def _left(document: Document) -> str:
    watched = format_duration(document["watched_s"])
    return watched if document["window_s"] is None else f"{watched} of {format_duration(document['window_s'])}"


# ---------------------------------------------------------------- the split


def _split(document: Document) -> RenderableType:
    observed = document["observed_weight"]
    if observed is None:
        return Text(" Traffic  the router does not say how it is split", "yellow")
    canary = round(SPLIT_WIDTH * observed / 100)
    canary = min(max(canary, 1 if observed > 0 else 0), SPLIT_WIDTH - (1 if observed < 100 else 0))
    line = Text.assemble(
        " Traffic  ",
        ("█" * canary, "cyan"),
        ("░" * (SPLIT_WIDTH - canary), "dim"),
        (f"  {observed:g} % canary", "cyan"),
        f"  {100 - observed:g} % stable",
    )
    if abs(observed - document["weight"]) > 0.01:
        line.append(f"\n          the stage wants {document['weight']:g} %", "yellow")
    return line


# ---------------------------------------------------------------- the checks


def _checks(checks: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    gates = _gates(checks)
    table.add_column("   to go on" if gates else "", no_wrap=True, min_width=28)
    for name in ("canary", "so far", "stable"):
        table.add_column(name, justify="right", no_wrap=True, min_width=7)
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=24)
    for now, so_far in gates:
        table.add_row(*_gate_row(now, so_far))
    table.add_row(Text("   to go back", "dim"))
    for check in checks:
        if check["role"] == "rule":
            table.add_row(*_rule_row(check))
    return table


def _gates(checks: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
    so_far = {check["condition"]: check for check in checks if check["role"] == "gate_so_far"}
    return [(check, so_far.get(check["condition"])) for check in checks if check["role"] == "gate_now"]


def _gate_row(now: Mapping[str, Any], so_far: Mapping[str, Any] | None) -> Sequence[RenderableType]:
    worst = so_far if so_far and now["outcome"] == "pass" else now
    return (
        _condition(worst),
        _value(now, "canary"),
        _value(so_far, "canary") if so_far else "",
        _value(now, "stable"),
        Text("" if worst["outcome"] == "pass" else _unknown(worst), "yellow"),
    )


def _rule_row(check: Mapping[str, Any]) -> Sequence[RenderableType]:
    streak, needed = check["streak"], check["streak_needed"]
    dots = Text("●" * min(streak, needed), "bold red").append("○" * max(0, needed - streak), "dim")
    if check["outcome"] in ("no_data", "error"):
        dots.append(f" {_unknown(check)}", "dim" if check["outcome"] == "no_data" else "yellow")
    return _condition(check), _value(check, "canary"), "", _value(check, "stable"), dots


def _condition(check: Mapping[str, Any]) -> Text:
    return Text.assemble(" ", OUTCOMES.get(check["outcome"], Text("?")), f" {check['condition']}")


def _unknown(check: Mapping[str, Any]) -> str:
    return check["detail"].removeprefix("canary: ") if check["outcome"] in ("no_data", "error") else ""


def _value(check: Mapping[str, Any], side: str) -> Text:
    value = check[side]
    if value is None:
        return Text("-", "dim")
    return Text(format_quantity(float(value), Unit(check["unit"])), "dim" if side == "stable" else "")


# ---------------------------------------------------------------- words


def _sentence(document: Document) -> RenderableType:
    latched = document["latch"] is not None
    sentence = Text(document["summary"], "bold red" if latched else "bold")
    if document.get("desired_error"):
        sentence.append(f"\n{document['desired_error']}", "yellow")
    return _indented(sentence)


def _indented(text: Text) -> RenderableType:
    grid = Table.grid()
    grid.add_row(" ", text)
    return grid


def _journal(lines: Sequence[Mapping[str, Any]]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    for line in reversed(lines[:JOURNAL_LINES]):
        at = time.strftime("%H:%M:%S", time.localtime(line["at"]))
        grid.add_row(Text(f" {at}", "dim"), Text(line["text"], "dim"))
    return grid
