import hashlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canaryd.core.model import Change, Mark, Traffic
from canaryd.errors import RouterUnavailable
from canaryd.routers.config_file.document import MAX_BYTES, parse, render, traffic_of

WRITTEN = {
    "enabled": True,
    "current_stage": 1,
    "traffic_percent": 5,
    "rollout": "ion-api",
    "release": "rev-2",
    "attempt": 2,
    "epoch": 7,
    "latched": False,
}


def read(**changes):
    return traffic_of(json.dumps(WRITTEN | changes).encode(), "canary.json")


def test_a_file_that_canaryd_wrote_is_understood():
    traffic = read()
    assert traffic.weight == 5.0
    assert traffic.mark == Mark(rollout="ion-api", release="rev-2", attempt=2, stage=1, epoch=7)


def test_a_canary_that_is_switched_off_gets_nothing_whatever_its_percentage_says():
    assert read(enabled=False).weight == 0.0
    assert read(enabled=False, traffic_percent="all").weight == 0.0


@pytest.mark.parametrize("percent", [True, "5", None, -0.1, 100.1, [5], 10**400])
def test_a_percentage_that_is_none_is_an_unknown_weight_said_out_loud(percent):
    traffic = read(traffic_percent=percent)
    assert traffic.weight is None
    assert "traffic_percent is no number from 0 to 100" in traffic.detail


@pytest.mark.parametrize("enabled", ["yes", 1, None])
def test_a_switch_that_is_neither_on_nor_off_is_an_unknown_weight(enabled):
    assert read(enabled=enabled).weight is None


@pytest.mark.parametrize(
    "damage",
    [
        {"rollout": ""},
        {"rollout": None},
        {"release": 7},
        {"current_stage": 1.0},
        {"current_stage": -1},
        {"epoch": "7"},
        {"epoch": True},
        {"epoch": -1},
        {"epoch": 2**70},
        {"latched": "false"},
        {"attempt": 0},
    ],
)
def test_a_mark_is_believed_only_as_a_whole(damage):
    traffic = read(**damage)
    assert traffic.mark is None
    assert traffic.weight == 5.0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not valid JSON"),
        (b'{"traffic_percent": 5', "not valid JSON"),
        (b'{"traffic_percent": NaN}', "NaN is no number"),
        (b'{"traffic_percent": 1e999}', "1e999 is no number"),
        (b'{"traffic_percent": 5, "traffic_percent": 50}', "'traffic_percent' stands twice"),
        (b"[5]", "not a JSON object"),
        (b'{"traffic_percent": "\xff"}', "not valid JSON"),
        (b'{"a":' + b"[" * 60_000, "nested too deeply"),
        (b'{"traffic_percent": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_a_broken_file_is_an_unknown_weight_with_its_cause(content, problem):
    traffic = traffic_of(content, "canary.json")
    assert traffic.weight is None
    assert traffic.mark is None
    assert problem in traffic.detail
    assert traffic.version == hashlib.sha256(content).hexdigest()


async def test_a_missing_file_is_an_unknown_weight(router):
    expected = Traffic(weight=None, version="absent", detail="canary.json does not exist yet")
    assert await router.read() == expected


async def test_what_is_no_plain_file_is_unavailable(router, file):
    os.mkfifo(file)
    with pytest.raises(RouterUnavailable, match="no regular file"):
        await router.read()
    file.unlink()
    file.mkdir()
    with pytest.raises(RouterUnavailable, match="Is a directory"):
        await router.read()


async def test_a_file_too_large_to_be_meant_is_unavailable(router, file):
    file.write_bytes(b" " * MAX_BYTES + b"{}")
    with pytest.raises(RouterUnavailable, match="larger than 64 KiB"):
        await router.read()


async def test_a_folder_that_does_not_exist_is_unavailable(new_router):
    with pytest.raises(RouterUnavailable, match="does not exist"):
        await new_router("no-such-folder/canary.json").read()


async def test_a_link_is_followed_only_within_its_folder(router, file, folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret.json"
    elsewhere.write_text(json.dumps(WRITTEN))
    file.symlink_to(elsewhere)
    with pytest.raises(RouterUnavailable, match="out of its folder"):
        await router.read()
    file.unlink()
    (folder / "data").mkdir()
    (folder / "data" / "real.json").write_text(json.dumps(WRITTEN))
    file.symlink_to("data/real.json")
    assert (await router.read()).weight == 5.0


async def test_a_link_to_itself_is_unavailable(router, file):
    file.symlink_to(file.name)
    with pytest.raises(RouterUnavailable, match=r"canary\.json"):
        await router.read()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters()), json_values, max_size=6), st.booleans(), st.floats(0, 100))
def test_keys_of_the_application_keep_their_value_and_their_order(keys, ascii_only, weight):
    """Whatever the application keeps in the file, in whichever notation."""
    content = json.dumps(keys, ensure_ascii=ascii_only).encode(errors="backslashreplace")
    change = Change(weight=weight, mark=Mark(rollout="r", release="rev-2", attempt=1, stage=1, epoch=1), version="v")
    after = parse(render(content, change, "2026-01-01T00:00:00Z"))
    assert not after.problem
    kept = [key for key in after.keys if key in keys]
    assert kept == list(keys)
    assert all(after.keys[key] == keys[key] for key in keys if key not in {*WRITTEN, "updated_at"})
    assert traffic_of(render(content, change, ""), "canary.json").weight == weight
