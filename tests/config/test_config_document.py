"""YAML within bounds: plain values with places, and one clear line for everything else."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.config.document import read_document
from canaryd.errors import InvalidFile, Location


def test_values_follow_yaml_1_2() -> None:
    text = "{a: on, b: no, c: 1:30, d: 010, e: 0o17, f: 0x1F, g: 1_000, h: 2020-01-01, i: ~, j: 1e3, k: .5, l: TRUE}"
    assert read_document(text, "f").data == {
        "a": "on",
        "b": "no",
        "c": "1:30",
        "d": 10,
        "e": 15,
        "f": 31,
        "g": "1_000",
        "h": "2020-01-01",
        "i": None,
        "j": 1000.0,
        "k": 0.5,
        "l": True,
    }


def test_quoted_values_are_text() -> None:
    assert read_document("a: '1'\nb: \"true\"\nc: |\n  x\n  y\n", "f").data == {"a": "1", "b": "true", "c": "x\ny\n"}


def test_every_value_has_its_place() -> None:
    document = read_document("a: 1\nlist:\n  - x\n  - {k: 'v'}\nempty:\nlast: 2\n", "f")
    assert document.at(["a"]) == Location("f", 1, 4)
    assert document.at(["list", 1, "k"]) == Location("f", 4, 9)
    assert document.at_key(["list", 1, "k"]) == Location("f", 4, 6)
    assert document.at(["empty"]) == Location("f", 5, 1)


def test_a_value_that_is_not_there_has_the_place_of_its_nearest_parent() -> None:
    document = read_document("a: {b: 1}\n", "f")
    assert document.at(["a", "x", "y", 3]) == Location("f", 1, 4)
    assert document.at([]) == Location("f", 1, 1)
    assert read_document("", "f").at(["a"]) == Location("f", 1, 1)


def test_an_offset_points_into_the_text_of_a_value() -> None:
    document = read_document("a: abc\nb: 'abc'\nc: >\n  abc\n", "f")
    assert document.at(["a"], 2) == Location("f", 1, 6)
    assert document.at(["b"], 2) == Location("f", 2, 7)
    assert document.at(["c"], 2) == Location("f", 3, 4)


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert read_document("\ufeffa: 1\n".encode(), "f").data == {"a": 1}


BILLION_LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

MISTAKES = [
    (BILLION_LAUGHS, "f:1:4: YAML anchors are not supported; expected the value itself"),
    ("a: *x\n", "f:1:4: YAML aliases are not supported; expected the value itself"),
    ("a: !!python/object:os.system {}\n", "f:1:4: YAML tags are not supported; found tag:yaml.org,2002:python/obj"),
    ("a: 1\nb: !secret x\n", "f:2:4: YAML tags are not supported; found !secret"),
    ("%YAML 1.1\n---\na: on\n", "f:2:1: YAML directives are not supported"),
    ("%TAG ! tag:x,2000:\n---\na: 1\n", "f:2:1: YAML directives are not supported"),
    ("a: 1\n---\nb: 2\n", "f:2:1: a second document in one file; expected one document, without ---"),
    ("a: 1\nb: 2\na: 3\n", "f:3:1: duplicate key a; it stands in line 1 already"),
    ("x: {a: 1, 'a': 2}\n", "f:1:11: duplicate key a; it stands in line 1 already"),
    ("1: x\n", "f:1:1: keys must be text; found the number 1"),
    ("true: x\n", "f:1:1: keys must be text; found true"),
    ("? [a]\n: x\n", "f:1:3: keys must be text; found a list or a mapping"),
    ("a: .nan\n", "f:1:4: infinite and undefined numbers are not allowed; found .nan; expected a finite number"),
    ("a: [1, -.INF]\n", "f:1:8: infinite and undefined numbers are not allowed; found -.INF"),
    ("a: 1e999\n", "f:1:4: infinite and undefined numbers are not allowed; found 1e999"),
    ("a: " + "9" * 5000 + "\n", "f:1:4: the number is too long"),
    ("a:\n\t- 1\n", "f:2:1: wrong YAML syntax; found a tab; expected spaces"),
    ("a: b: c\n", "f:1:5: wrong YAML syntax: mapping values are not allowed here"),
    ("a: 'open\n", "f:2:1: wrong YAML syntax: found unexpected end of stream"),
    ("a: [1, 2\nb: 3\n", "f:2:2: wrong YAML syntax"),
    ("a: @x\n", "f:1:4: wrong YAML syntax"),
    ('a: "\\U99999999"\n', "f: wrong YAML syntax"),
    ("a: !<%ff> x\n", "f:1:6: wrong YAML syntax"),
    ("a: 1\nb: \x07\n", "f:2:4: a character that YAML does not allow"),
    (b"a: \xff\n", "f: the text is not UTF-8"),
    ("[" * 60_000, "f:1:17: nested too deeply; expected at most 16 levels"),
    ("{a: " * 15_000, "f:1:65: nested too deeply; expected at most 16 levels"),
    ("\n".join("  " * depth + "a:" for depth in range(150)), "f:17:33: nested too deeply; expected at most 16 levels"),
    ("- " * 30_000, "f:1:33: nested too deeply; expected at most 16 levels"),
    ("[" + "1," * 30_000 + "]", "f:1:4000: too many values in one file; expected at most 2000"),
    ("".join(f"k{n}: 1\n" for n in range(9000)), "f:1000:7: too many values in one file; expected at most 2000"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_what_is_not_plain_yaml_is_refused_at_its_place_and_at_once(text: str | bytes, message: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidFile) as caught:
        read_document(text, "f")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - started < 1


def test_many_values_within_the_bounds_are_read() -> None:
    assert len(read_document("".join(f"k{n}: 1\n" for n in range(999)), "f").data) == 999


yaml_like = st.text(alphabet="ab1 :-[]{},&*!|>'\"%@`#?\n\t\\.x~<=", max_size=60)


@given(yaml_like | st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_a_document_or_an_invalid_file(content: str | bytes) -> None:
    try:
        document = read_document(content, "f")
    except InvalidFile as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    assert document.name == "f"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**9), 10**9)
        | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner)
        ),
        max_leaves=20,
    )
)
def test_json_is_read_as_what_it_says(value: object) -> None:
    assert read_document(json.dumps(value, ensure_ascii=False), "f").data == value
