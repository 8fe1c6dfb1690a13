"""Commands edit the desired file; a person's comments and layout stay byte for byte."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.config.desired import edit_desired, parse_desired
from canaryd.config.document import read_document
from canaryd.config.policy import PolicyFile
from canaryd.errors import InvalidFile, OperatorError

UNUSUAL = """\
# top
waived:            # who may skip
  - 1   # Mo said so
  # between
  - 3   # Tu said so

approved:   [ 1,2 ]  # flow
release:   'ion-1'   # why
"stage" :   5
attempt:

paused: FALSE   # x
# end"""


def touched(before: str, after: str) -> list[str]:
    """Return the lines that a diff shows, without their context."""
    diff = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in diff if not line.startswith(("---", "+++", "@@"))]


def test_a_diff_shows_only_the_touched_lines(desired_text: str) -> None:
    after = edit_desired(desired_text, {"stage": 2, "approved": [4], "paused": True})
    assert touched(desired_text, after) == [
        "-stage: 4            # climb no higher; lower it to go back, 0 is all stable",
        "+stage: 2            # climb no higher; lower it to go back, 0 is all stable",
        "-paused: false",
        "-approved: []        # stages a person agrees to enter",
        "+paused: true",
        "+approved: [4]        # stages a person agrees to enter",
    ]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"approved": [1, 2, 3]}, ["-approved:   [ 1,2 ]  # flow", "+approved:   [ 1,2, 3 ]  # flow"]),
        ({"approved": [2]}, ["-approved:   [ 1,2 ]  # flow", "+approved:   [2]  # flow"]),
        ({"approved": frozenset({1, 2, 4})}, ["-approved:   [ 1,2 ]  # flow", "+approved:   [ 1,2, 4 ]  # flow"]),
        ({"waived": [1, 3, 4]}, ["+  - 4"]),
        ({"waived": [3]}, ["-  - 1   # Mo said so"]),
        ({"waived": [1, 2]}, ["-  - 3   # Tu said so", "+  - 2"]),
        ({"release": "ion-2"}, ["-release:   'ion-1'   # why", "+release:   'ion-2'   # why"]),
        ({"stage": 0}, ['-"stage" :   5', '+"stage" :   0']),
        ({"attempt": 2}, ["-attempt:", "+attempt: 2"]),
        ({"paused": True}, ["-paused: FALSE   # x", "+paused: true   # x"]),
        ({"paused": False, "stage": 5}, []),
        ({"new": "true"}, ['+new: "true"']),
    ],
)
def test_unusual_layout_survives(changes: dict[str, object], lines: list[str]) -> None:
    assert touched(UNUSUAL, edit_desired(UNUSUAL, changes)) == lines


def test_the_last_item_of_a_block_list_leaves_an_empty_one() -> None:
    assert edit_desired("waived:\n  - 1\nstage: 1\n", {"waived": []}) == "waived: []\nstage: 1\n"


@pytest.mark.parametrize("release", ["1.10", "true", "null", "0x1f", "5", "-a", "a:", "#a", "é", "'", '"', "a#b"])
def test_a_release_that_looks_like_something_else_is_quoted(release: str) -> None:
    after = edit_desired("release: a  # c\nstage: 1\n", {"release": release})
    assert read_document(after, "d").data == {"release": release, "stage": 1}
    assert after.endswith("  # c\nstage: 1\n")


def test_line_ends_and_byte_order_mark_stay() -> None:
    before = "\ufeffrelease: a\r\nstage: 1\r\nwaived:\r\n- 1\r\n"
    after = edit_desired(before, {"stage": 2, "waived": [1, 2], "attempt": 3})
    assert after == "\ufeffrelease: a\r\nstage: 2\r\nwaived:\r\n- 1\r\n- 2\r\nattempt: 3\r\n"


def test_a_file_in_flow_style_stays_so() -> None:
    assert edit_desired("{release: a, stage: 1}", {"paused": True}) == "{release: a, stage: 1, paused: true}"


def test_a_block_text_is_left_to_a_person() -> None:
    with pytest.raises(OperatorError, match="only a person can edit"):
        edit_desired("stage: |\n  1\npaused: no\n", {"stage": 2})


@pytest.mark.parametrize("text", ["", "- 1\n", "just text", "a: [", "a: 1\na: 2\n", "a: &x 1\n"])
def test_what_is_no_mapping_is_not_edited(text: str) -> None:
    with pytest.raises(InvalidFile):
        edit_desired(text, {"stage": 2})


stages = st.lists(st.integers(1, 4), unique=True)
changes = st.fixed_dictionaries(
    {},
    optional={
        "release": st.from_regex(r"[!-~]{1,20}", fullmatch=True),
        "stage": st.integers(0, 4),
        "attempt": st.integers(1, 99),
        "paused": st.booleans(),
        "approved": stages,
        "waived": stages,
    },
)


@given(changes, st.data())
def test_any_edit_says_what_was_asked_and_keeps_every_comment(wanted: dict[str, object], data: st.DataObject) -> None:
    before = data.draw(st.sampled_from([UNUSUAL, UNUSUAL.replace("\n", "\r\n"), UNUSUAL + "\n\n"]))
    after = edit_desired(before, wanted)
    now, then = read_document(after, "d").data, read_document(before, "d").data
    for key in then.keys() | wanted.keys():
        expected = wanted.get(key, then.get(key))
        assert sorted(now[key]) == sorted(expected) if isinstance(expected, list) else now[key] == expected
    for comment in ("# top", "# who may skip", "# between", "# flow", "# why", "# x", "# end"):
        assert comment in after


@given(changes)
def test_an_edited_file_is_a_valid_one(wanted: dict[str, object]) -> None:
    from canaryd.core.model import Policy, Stage

    policy = Policy(
        rollout="r", digest="", intervals=(), metrics={}, stages=tuple(Stage(weight=w) for w in (5, 10, 50, 100))
    )
    base = "release: a\nstage: 1\napproved: [1]\nwaived:\n- 2\n"
    got = parse_desired(edit_desired(base, wanted).encode(), "d", policy)
    assert got.release == wanted.get("release", "a")
    assert got.approved == frozenset(wanted.get("approved", [1]))
    assert got.waived == frozenset(wanted.get("waived", [2]))
    assert (got.stage, got.attempt) == (wanted.get("stage", 1), wanted.get("attempt", 1))
    assert got.paused is wanted.get("paused", False)


def test_an_edit_of_the_usual_file_round_trips(desired_text: str, policy_file: PolicyFile) -> None:
    there = edit_desired(desired_text, {"stage": 1, "paused": True, "approved": [2, 3], "release": "x-2"})
    back = edit_desired(there, {"stage": 4, "paused": False, "approved": [], "release": "ion-api-canary-00042"})
    assert back == desired_text
    assert parse_desired(there.encode(), "d", policy_file.policy).approved == {2, 3}
