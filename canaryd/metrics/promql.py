"""As much of PromQL as templates need: where strings begin and end, and which selectors an expression holds.

``$placeholders`` are filled in with values that cannot leave the string literal they stand in. Inside the value
of ``=~`` and ``!~`` they are escaped as regular expressions too. Outside of strings only ``$window`` may stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Template

from canaryd.config.misfit import nearest

STRING = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`"""
_COMMENT = r"\#[^\n]*"
_LITERALS = re.compile(
    rf"(?P<comment>{_COMMENT})|(?P<op>[=!]~\s*)?(?P<string>{STRING})|(?P<outside>\$(?:\w+|\{{\w*\}}|\$)?)",
    re.DOTALL | re.ASCII,
)
_TOKENS = re.compile(
    rf"""
    (?P<skip>\s+|{_COMMENT}|\[[^\]]*\]|{STRING})
    |(?P<matchers>\{{(?:{STRING}|[^"'`}}])*\}})
    |(?P<name>[A-Za-z_:][\w:]*)
    |(?P<number>[0-9.][\w.]*)
    |(?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_LABELS_FOLLOW = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = _LABELS_FOLLOW | {"and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"}
_RE2_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


# ---------------------------------------------------------------- templates


def substitute(template: str, values: Mapping[str, str]) -> str:
    """Fill in ``$name`` and ``${name}``; ``$$`` is a plain dollar sign.

    Raises:
        ValueError: A placeholder is unknown, or a dollar sign stands alone.
    """
    try:
        return Template(template).substitute(values)
    except KeyError as error:
        raise ValueError(_unknown(error.args[0], values)) from None
    except ValueError:
        raise ValueError("a $ without a name: write $$ where a plain dollar sign is meant") from None


def _unknown(name: str, known: Mapping[str, str]) -> str:
    close = nearest(name, known)
    meant = f"did you mean ${close}?" if close else f"known are {', '.join(f'${each}' for each in sorted(known))}"
    return f"unknown placeholder ${name}: {meant}"


def render(template: str, labels: Mapping[str, str], window_s: float | None = None) -> str:
    """Return the expression for one side, without its comments.

    Args:
        template: PromQL, or one selector of it, with ``$placeholders``.
        labels: The side's labels; they may stand inside string literals.
        window_s: What ``$window`` becomes, in seconds; None where there is no look-back.

    Raises:
        ValueError: A placeholder is unknown, or a label stands outside of a string.
    """
    window = {} if window_s is None else {"window": promql_duration(window_s)}

    def filled(match: re.Match[str]) -> str:
        if match["comment"]:
            return " "
        if match["string"]:
            return (match["op"] or "") + _filled_string(match["string"], {**labels, **window}, regex=bool(match["op"]))
        return _filled_outside(match["outside"], labels, window)

    return _LITERALS.sub(filled, template)


def _filled_string(literal: str, values: Mapping[str, str], *, regex: bool) -> str:
    quote = literal[0]
    body = literal[1:-1]
    if quote == "`" and substitute(body, values) != body:
        raise ValueError("placeholders may not stand in `backticks`, where nothing can be escaped: use double quotes")
    return quote + substitute(body, {name: _escaped(text, quote, regex=regex) for name, text in values.items()}) + quote


def _escaped(text: str, quote: str, *, regex: bool) -> str:
    pattern = _RE2_SPECIAL.sub(lambda special: "\\" + special[0], text) if regex else text
    return pattern.replace("\\", "\\\\").replace("\n", "\\n").replace(quote, "\\" + quote)


def _filled_outside(placeholder: str, labels: Mapping[str, str], window: Mapping[str, str]) -> str:
    name = placeholder.strip("${}")
    if name in labels and name not in window:
        raise ValueError(f'${name} must stand inside quotes, as in {{service="${name}"}}')
    return substitute(placeholder, {**dict.fromkeys(labels, ""), **window})


def promql_duration(seconds: float) -> str:
    """Return ``90s``, or ``1500ms`` where it is no whole number of seconds."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{seconds * 1000:.0f}ms"


def uses_window(template: str) -> bool:
    """Whether the template looks back over ``$window``, comments and strings aside."""
    return any(match["outside"] in ("$window", "${window}") for match in _LITERALS.finditer(template))


# ---------------------------------------------------------------- selectors


def selectors(expression: str) -> tuple[str, ...]:
    """Return each instant selector of an expression once, without range, offset and ``@``, in order."""
    return tuple(dict.fromkeys(_selectors([token for token in _tokens(expression) if token[0] != "skip"])))


_Token = tuple[str, str]


def _tokens(expression: str) -> Iterator[_Token]:
    return ((match.lastgroup or "", match[0]) for match in _TOKENS.finditer(expression))


def _selectors(tokens: list[_Token]) -> Iterator[str]:
    end: _Token = ("end", "")
    name, labels_expected, inside_labels = "", False, False
    for (kind, text), following in zip(tokens, [*tokens[1:], end], strict=False):
        if inside_labels:
            inside_labels = text != ")"
        elif kind == "matchers":
            yield name + text
            name = ""
        elif kind == "mark":
            inside_labels = labels_expected and text == "("
        elif kind == "name" and following[0] == "matchers":
            name = text
        elif kind == "name" and not _is_word(text, following):
            yield text
        labels_expected = kind == "name" and text.lower() in _LABELS_FOLLOW


def _is_word(name: str, following: _Token) -> bool:
    """Whether a name is a keyword, a function or an aggregation, which may be followed by its labels."""
    next_text = following[1].lower()
    return name.lower() in _WORDS or next_text in ("(", "by", "without")
