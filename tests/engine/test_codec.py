"""The stored state: what is written is what is read, and anything else is refused by name."""

import pytest

from canaryd.engine import codec
from canaryd.errors import StateCorrupt
from canaryd.testing.build import counts
from canaryd.testing.walk import Walk


@pytest.fixture
def state():
    bad = {"errors": counts(0, total=1000, bad=20)}
    return Walk().at_stage(3).sees(canary=bad).ticks(5).state


def test_a_state_with_latch_streaks_and_sums_comes_back_as_it_was(state):
    assert state.latch is not None
    assert any(track.streak for track in state.tracks.values())
    assert codec.decode(codec.encode(state)) == state


def test_a_state_is_one_line(state):
    assert "\n" not in codec.encode(state)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda text: text[:-20], "JSON"),
        (lambda text: text.replace('"streak":', '"streak":"1","_":', 1), "streak"),
        (lambda text: text.replace('"streak":', '"mood":2,"streak":', 1), "mood"),
        (lambda text: text.replace('"attempt":1,', "", 1), "attempt"),
        (lambda text: text.replace('"phase":"rolled_back"', '"phase":"flying"', 1), "phase"),
        (lambda _text: "", "JSON"),
        (lambda _text: "null", "document"),
    ],
    ids=["torn", "wrong type", "unknown field", "missing field", "unknown phase", "empty", "null"],
)
def test_a_damaged_state_is_refused_by_name(state, change, named):
    text = codec.encode(state)
    assert change(text) != text
    with pytest.raises(StateCorrupt, match=named):
        codec.decode(change(text))
