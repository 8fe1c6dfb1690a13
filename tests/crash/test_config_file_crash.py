"""A real process is killed, or runs out of disk, at every step of replacing the canary file."""

import json
import platform
from dataclasses import replace

import pytest

from canaryd.core.model import Change, Mark
from canaryd.engine.clock import SystemClock
from canaryd.ports import Surroundings
from canaryd.routers.config_file import ConfigFileRouter
from canaryd.routers.config_file.router import ConfigFileOptions

pytestmark = pytest.mark.strace

OLD = {
    "enabled": True,
    "current_stage": 1,
    "traffic_percent": 5,
    "rollout": "ion-api",
    "release": "rev-2",
    "attempt": 1,
    "epoch": 1,
    "latched": False,
}
RENAME = "rename" if platform.machine() == "x86_64" else "renameat"
UNLINK = "unlink" if platform.machine() == "x86_64" else "unlinkat"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "canary.json").write_text(json.dumps(OLD))
    return folder


@pytest.fixture
def writer(tracer):
    return tracer("write_config.py", ("", "canary.json", ".canary.json.tmp", ".canary.json.lock"))


def weight_in(folder):
    return json.loads((folder / "canary.json").read_text())["traffic_percent"]


async def lower_it_all(folder):
    """Do what the next daemon would: read, and go back to stable."""
    surroundings = Surroundings(folder=folder, clock=SystemClock(), state_dir=folder, secret=str, rollout="ion-api")
    router = ConfigFileRouter(ConfigFileOptions(path="canary.json"), surroundings)
    traffic = await router.read()
    mark = replace(traffic.mark, epoch=traffic.mark.epoch + 1, stage=0, latched=True)
    await router.write(Change(weight=0.0, mark=mark, version=traffic.version))
    assert (await router.read()).mark == Mark(
        rollout="ion-api", release="rev-2", attempt=1, stage=0, epoch=mark.epoch, latched=True
    )


@pytest.mark.parametrize("syscall", ["openat", "flock", "write", "fchmod", "fsync", RENAME])
async def test_a_crash_leaves_the_old_file_or_the_new_one_and_the_next_daemon_goes_on(
    kill_at_every, writer, folder, syscall
):
    for place, ended in kill_at_every(writer, folder, syscall):
        assert weight_in(place) in ({50} if "confirmed" in ended.output else {5, 50})
        await lower_it_all(place)
        assert not (place / ".canary.json.tmp").exists()


@pytest.mark.parametrize(
    "fault", ["write:error=ENOSPC", "write:error=EIO", "fsync:error=EIO:when=1", f"{RENAME}:error=EDQUOT"]
)
def test_a_disk_that_says_no_leaves_the_old_file_and_the_change_is_refused(writer, folder, fault):
    before = (folder / "canary.json").read_bytes()
    ended = writer.run(folder, inject=fault)
    assert ended.output.startswith("ChangeRefused")
    assert (folder / "canary.json").read_bytes() == before
    assert not (folder / ".canary.json.tmp").exists()


def test_a_rename_that_could_not_be_synced_is_an_unknown_change(writer, folder):
    ended = writer.run(folder, inject="fsync:error=EIO:when=2")
    assert ended.output.startswith("ChangeUnknown")
    assert weight_in(folder) == 50


def test_a_disk_that_takes_less_than_it_was_given_is_given_the_rest(writer, folder):
    ended = writer.run(folder, inject="write:retval=0:when=1")
    assert ended.output == "confirmed\n"
    assert weight_in(folder) == 50


def test_after_a_power_loss_the_name_never_stands_for_unsynced_content(writer, folder):
    """The order that survives it: content synced, then renamed, then the folder synced, then confirmed."""
    ended = writer.run(folder)
    assert ended.output == "confirmed\n"
    synced = ended.position(r"fsync\(\d+<[^>]*\.canary\.json\.tmp>")
    renamed = ended.position(rf"{RENAME}\(", after=synced)
    ended.position(r"fsync\(\d+<[^>]*/folder>", after=renamed)
