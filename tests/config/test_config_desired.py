"""The desired-state file says which release and how far; nothing else gets through."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.config.desired import parse_desired
from canaryd.config.policy import PolicyFile
from canaryd.core.model import Desired, Policy, Stage
from canaryd.errors import InvalidFile

POLICY = Policy(
    rollout="r", digest="", intervals=(), metrics={}, stages=tuple(Stage(weight=w) for w in (5, 10, 50, 100))
)


def parse(text: str | bytes) -> Desired:
    return parse_desired(text if isinstance(text, bytes) else text.encode(), "d.yaml", POLICY)


def refusal(text: str | bytes) -> str:
    with pytest.raises(InvalidFile) as caught:
        parse(text)
    return str(caught.value)


def test_the_usual_file_is_read(desired_text: str, policy_file: PolicyFile) -> None:
    assert parse_desired(desired_text.encode(), "d.yaml", policy_file.policy) == Desired(
        release="ion-api-canary-00042", stage=4
    )


def test_every_key_counts() -> None:
    text = "{release: r2, stage: 3, attempt: 2, paused: true, approved: [1, 4], waived: [2]}"
    assert parse(text) == Desired(
        release="r2", stage=3, attempt=2, paused=True, approved=frozenset({1, 4}), waived=frozenset({2})
    )


def test_only_release_and_stage_are_needed() -> None:
    assert parse("release: a\nstage: 0\n") == Desired(release="a", stage=0)


MISTAKES = [
    ("stage: 1\n", "1:1: the key release is missing"),
    ("release: a\n", "1:1: the key stage is missing"),
    ("release: 1.10\nstage: 1\n", "1:10: the key release has a wrong value; found the number 1.1; expected text, in"),
    ("release:\nstage: 1\n", "1:1: the key release has a wrong value; found nothing; expected text"),
    ("release: ''\nstage: 1\n", "1:10: not a release; found nothing; expected 1 to 200 printable characters"),
    ("release: a b\nstage: 1\n", "1:10: not a release; found a b; expected 1 to 200 printable"),
    ('release: "a\\nb"\nstage: 1\n', "1:10: not a release; found a\\nb; expected"),
    ('release: "a\\u202eb"\nstage: 1\n', "1:10: not a release; found a\\u202eb; expected"),
    ("release: " + "a" * 201 + "\nstage: 1\n", "1:10: not a release; found aaaa"),
    ("release: a\nstage: true\n", "2:8: the key stage has a wrong value; found true; expected a whole number"),
    ("release: a\nstage: '5'\n", '2:8: the key stage has a wrong value; found the text "5"; expected a whole number'),
    ("release: a\nstage: 5.0\n", "2:8: the key stage has a wrong value; found the number 5.0; expected a whole number"),
    ("release: a\nstage: -1\n", "2:8: the key stage has a wrong value; found the number -1; expected at least 0"),
    ("release: a\nstage: 5\n", "2:8: the policy has no such stage; found 5; expected at most 4"),
    ("release: a\nstage: .inf\n", "2:8: infinite and undefined numbers are not allowed; found .inf"),
    ("release: a\nstage: 1\npaused: no\n", '3:9: the key paused has a wrong value; found the text "no"; expected true'),
    ("release: a\nstage: 1\npaused: 0\n", "3:9: the key paused has a wrong value; found the number 0; expected"),
    ("release: a\nstage: 1\nattempt: 0\n", "3:10: the key attempt has a wrong value; found the number 0; expected at"),
    ("release: a\nstage: 1\napproved: 2\n", "3:11: the key approved has a wrong value; found the number 2; expected"),
    ("release: a\nstage: 1\napproved: [1, x]\n", '3:15: the key approved has a wrong value; found the text "x"'),
    ("release: a\nstage: 1\napproved: [0]\n", "3:12: the key approved has a wrong value; found the number 0"),
    ("release: a\nstage: 1\nwaived: [4, 5]\n", "3:13: the policy has no such stage; found 5; expected at most 4"),
    ("release: a\nstage: 1\npause: true\n", ("3:1: unknown key pause; expected one of release, stage, attempt, paused, "
     "approved, waived. Did you mean paused?")),
    ("relase: a\nstage: 1\n", "1:1: unknown key relase; expected one of release, stage"),
    ("release: a\nstage: 1\nstage: 4\n", "3:1: duplicate key stage; it stands in line 2 already"),
    ("release: a\nstage: [1\n", "3:1: wrong YAML syntax"),
    ("", "1:1: this is not what the file should hold; found nothing; expected a mapping"),
    ("- release: a\n", "1:1: this is not what the file should hold; found a list; expected a mapping"),
    (b"\xff\xfe", " the text is not UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_told_at_its_place(text: str | bytes, message: str) -> None:
    told = refusal(text)
    assert told.startswith(f"d.yaml:{message}")
    assert told.isprintable()


@given(
    st.binary(max_size=100)
    | st.text(max_size=100).map(str.encode)
    | st.fixed_dictionaries(
        {"release": st.text(max_size=20), "stage": st.integers(-2, 9)},
        optional={"approved": st.lists(st.integers(-1, 6)), "paused": st.booleans() | st.none(), "x": st.none()},
    ).map(lambda data: json.dumps(data).encode())
)
def test_any_bytes_are_a_wish_within_the_ladder_or_one_clear_line(content: bytes) -> None:
    try:
        desired = parse(content)
    except InvalidFile as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    assert 0 <= desired.stage <= 4
    assert desired.approved <= {1, 2, 3, 4}
    assert desired.release.isprintable()
