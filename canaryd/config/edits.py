"""Edits of a desired-state file that leave everything else as it is, byte for byte.

A value is replaced where it stands in the text, so nothing else can change; afterwards the text is read again and
must say exactly what was asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence

from canaryd.config.document import BYTE_ORDER_MARK, Document, Mark, read_document
from canaryd.config.scalars import resolve
from canaryd.errors import InvalidFile, Location, OperatorError

_NAME = "the desired-state file"
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@+:-]*(?<!:)", re.ASCII)


def edit_desired(text: str, changes: Mapping[str, object]) -> str:
    """Return the text with keys set to new values; a key that is not there yet is added at the end.

    Args:
        text: The file's content: any one valid YAML mapping.
        changes: Text, whole numbers, booleans or collections of them, by key. Collections are sets: what stays
            keeps its order in the file, what is new comes last.

    Raises:
        InvalidFile: The text is no valid YAML mapping.
        OperatorError: The layout is so unusual that a person has to make the change.
    """
    body = text.removeprefix(BYTE_ORDER_MARK)
    mark = text[: len(text) - len(body)]
    for key, value in changes.items():
        body = _set(body, key, value)
    return mark + body


def _set(text: str, key: str, value: object) -> str:
    document = read_document(text, _NAME)
    if not isinstance(document.data, dict):
        raise InvalidFile(Location(_NAME), "this is not what the file should hold", expected="a mapping")
    old = document.data.get(key)
    wanted = _in_order(value, old) if isinstance(value, Collection) and not isinstance(value, str) else value
    if key in document.data and _same(old, wanted):
        return text
    edited = _replace(document, key, wanted) if key in document.data else _append(document, key, wanted)
    _verify(edited, {**document.data, key: wanted}, key)
    return edited


def _in_order(value: Collection[object], old: object) -> list[object]:
    before = [item for item in old if item in value] if isinstance(old, list) else []
    return before + [item for item in value if item not in before]


def _verify(edited: str, wanted: Mapping[str, object], key: str) -> None:
    by_hand = OperatorError(f"{key} is written in {_NAME} in a way that only a person can edit")
    try:
        got = read_document(edited, _NAME).data
    except InvalidFile:
        raise by_hand from None
    if not _same(got, wanted):
        raise by_hand


def _same(one: object, other: object) -> bool:
    """Compare with types and order: to Python, 1 and true are equal."""
    return repr(one) == repr(other)


# ---------------------------------------------------------------- a key that is there


def _replace(document: Document, key: str, value: object) -> str:
    text, mark, old = document.text, document.marks[(key,)], document.data[key]
    if isinstance(old, list) and isinstance(value, list) and old:
        if mark.style == "block":
            return _edit_block_list(document, key, value)
        if value[: len(old)] == old:
            last = document.marks[(key, len(old) - 1)]
            return _insert(text, last.end, "".join(f", {_written(item)}" for item in value[len(old) :]))
    if mark.start == mark.end:
        return _fill(text, document.key_marks[(key,)], _written(value))
    return text[: mark.start] + _written(value, mark.style) + text[mark.end :]


def _insert(text: str, position: int, added: str) -> str:
    return text[:position] + added + text[position:]


def _fill(text: str, key: Mark, written: str) -> str:
    """Put a value behind a key that has none."""
    return _insert(text, text.index(":", key.end) + 1, f" {written}") if ":" in text[key.end :] else text


def _edit_block_list(document: Document, key: str, value: Sequence[object]) -> str:
    """Take out the lines of items that go and add lines for those that come; comments on the others stay."""
    old: list[object] = document.data[key]
    text = _ended(document.text)
    spans = [_line_of(text, document.marks[(key, index)]) for index in range(len(old))]
    last = text[slice(*spans[-1])]
    edited = _insert(text, spans[-1][1], "".join(_like_line(last, item) for item in value if item not in old))
    for item, (start, end) in reversed(list(zip(old, spans, strict=True))):
        if item not in value:
            edited = edited[:start] + edited[end:]
    return edited if value else _fill(edited, document.key_marks[(key,)], "[]")


def _line_of(text: str, mark: Mark) -> tuple[int, int]:
    return text.rfind("\n", 0, mark.start) + 1, text.index("\n", mark.end) + 1


def _like_line(line: str, item: object) -> str:
    """Return a line for one more item, indented and ended as the line of another."""
    indent = line[: len(line) - len(line.lstrip(" "))]
    return f"{indent}- {_written(item)}{_ending(line)}"


# ---------------------------------------------------------------- a key that is not there


def _append(document: Document, key: str, value: object) -> str:
    text, root = document.text, document.marks[()]
    written = f"{key}: {_written(value)}"
    if root.style == "flow":
        return _insert(text, root.end - 1, f", {written}" if document.data else written)
    return _ended(text) + " " * (root.column - 1) + written + _ending(text)


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + _ending(text)


def _ending(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


# ---------------------------------------------------------------- values as text


def _written(value: object, style: str = "") -> str:
    """Return a value as YAML; text keeps the quotes of the text before it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _quoted(value, style)
        case list():
            return f"[{', '.join(_written(item) for item in value)}]"
        case _:
            return str(value)


def _quoted(text: str, style: str) -> str:
    if style == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    if style == '"' or not _PLAIN.fullmatch(text) or not isinstance(resolve(text), str):
        return json.dumps(text, ensure_ascii=not text.isprintable())
    return text
