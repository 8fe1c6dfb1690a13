import fcntl
import json
import os
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from canaryd.core.model import Change, Mark
from canaryd.errors import ChangeRefused, ChangeUnknown
from canaryd.routers.config_file import files

MARK = Mark(rollout="ion-api", release="rev-2", attempt=1, stage=2, epoch=3)

NOBODY = 65534


@pytest.fixture
def folder_of_others():
    """A folder that may be looked into, not written to; root turns into nobody, whom permissions bind."""
    folder = Path(tempfile.mkdtemp())
    (folder / "canary.json").write_text('{"traffic_percent": 5}')
    folder.chmod(0o555)
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)
    shutil.rmtree(folder)


async def write(router, weight=10.0, mark=MARK):
    await router.write(Change(weight=weight, mark=mark, version=(await router.read()).version))


async def test_the_application_finds_what_it_needs(router, file):
    await write(router)
    content = json.loads(file.read_text())
    updated_at = content.pop("updated_at")
    assert content == {
        "enabled": True,
        "current_stage": 2,
        "traffic_percent": 10,
        "rollout": "ion-api",
        "release": "rev-2",
        "attempt": 1,
        "epoch": 3,
        "latched": False,
    }
    assert updated_at.endswith("Z")


async def test_at_weight_zero_the_canary_is_switched_off(router, file):
    await write(router, weight=0.0)
    assert json.loads(file.read_text())["enabled"] is False


async def test_the_application_s_own_keys_stay_as_they_are(router, file):
    file.write_text('{"stages": [5, 10, 50], "traffic_percent": 1, "note": "ruhig bleiben, müde"}')
    await write(router)
    text = file.read_text()
    assert json.loads(text)["stages"] == [5, 10, 50]
    assert "ruhig bleiben, müde" in text
    assert list(json.loads(text))[:3] == ["stages", "traffic_percent", "note"]


async def test_no_list_of_stages_is_made_up(router, file):
    await write(router)
    assert "stages" not in json.loads(file.read_text())


async def test_others_may_read_a_new_file_and_an_old_one_keeps_its_mode(router, file):
    previous = os.umask(0o077)
    try:
        await write(router)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    file.chmod(0o640)
    await write(router, mark=replace(MARK, epoch=4))
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


async def test_a_broken_file_is_repaired_and_its_old_content_kept(router, file, folder):
    file.write_text('{"enabled": tru')
    await write(router)
    assert (await router.read()).weight == 10.0
    assert (folder / "canary.json.broken").read_text() == '{"enabled": tru'


async def test_a_reader_never_sees_a_file_in_between(router, file):
    """The file that a reader has open is the old one to its end: replaced, not edited."""
    await write(router)
    with file.open() as opened:
        old = file.read_text()
        await write(router, weight=50.0, mark=replace(MARK, epoch=4))
        assert opened.read() == old


async def test_a_link_survives_and_its_target_is_replaced(router, file, folder):
    target = folder / "real.json"
    target.write_text("{}")
    file.symlink_to("real.json")
    await write(router)
    assert file.is_symlink()
    assert json.loads(target.read_text())["traffic_percent"] == 10


async def test_an_older_daemon_is_told_who_was_newer(router):
    await write(router)
    with pytest.raises(ChangeRefused, match=r"a newer daemon wrote .*epoch 3, ours is 2"):
        await write(router, mark=replace(MARK, epoch=2))


async def test_another_rollout_s_epoch_is_no_fence(router, file):
    await write(router)
    await write(router, mark=replace(MARK, rollout="other", epoch=1))
    assert json.loads(file.read_text())["rollout"] == "other"


async def test_what_a_crash_left_behind_is_cleaned_up(router, folder):
    (folder / ".canary.json.tmp").write_text("half a fi")
    await write(router)
    assert sorted(path.name for path in folder.iterdir()) == [".canary.json.lock", "canary.json"]


async def test_a_planted_temporary_link_is_not_written_through(router, folder):
    victim = folder / "victim"
    victim.write_text("mine")
    (folder / ".canary.json.tmp").symlink_to(victim)
    await write(router)
    assert victim.read_text() == "mine"


async def test_a_writer_that_never_ends_does_not_block_for_long(router, file, folder, monkeypatch):
    monkeypatch.setattr(files, "LOCK_ATTEMPTS", 2)
    with (folder / ".canary.json.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ChangeRefused, match="locked"):
            await write(router)
    assert not file.exists()
    await write(router)


async def test_a_folder_that_cannot_be_synced_leaves_the_change_unknown(router, file, monkeypatch):
    def broken(folder):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "sync_folder", broken)
    with pytest.raises(ChangeUnknown, match="Input/output error"):
        await write(router)
    assert json.loads(file.read_text())["traffic_percent"] == 10


async def test_a_missing_folder_refuses_the_change(new_router):
    router = new_router("no-such-folder/canary.json")
    with pytest.raises(ChangeRefused, match="no-such-folder"):
        await router.write(Change(weight=5.0, mark=MARK, version="absent"))


async def test_checking_a_new_place_promises_to_write_it_and_does_not(router, folder):
    findings = await router.check()
    assert all(finding.ok for finding in findings)
    assert "the first change writes it" in findings[0].detail
    assert list(folder.iterdir()) == []


async def test_checking_names_a_missing_folder_and_a_remedy(new_router):
    (finding,) = await new_router("no-such-folder/canary.json").check()
    assert not finding.ok
    assert "no-such-folder does not exist" in finding.detail
    assert finding.remedy


async def test_a_folder_that_others_own_is_found_by_check_and_refuses_changes(new_router, folder_of_others):
    router = new_router(folder_of_others / "canary.json")
    readable, replaceable = await router.check()
    assert readable.ok
    assert not replaceable.ok
    assert "cannot be written to" in replaceable.detail
    with pytest.raises(ChangeRefused, match="Permission denied"):
        await write(router)
