"""A path can be replaced with anything; opening it never hangs, never follows a link away, never reads too much."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from canaryd.config.files import MISSING, PathDesiredSource, read_bounded, write_desired
from canaryd.errors import InvalidFile, OperatorError


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Root may read everything, so permissions are only felt as somebody else."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    yield
    os.seteuid(user)


def refusal(path: Path, **options: int) -> str:
    with pytest.raises(InvalidFile) as caught:
        read_bounded(path, **options)
    return str(caught.value)


def test_a_small_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("größe: 1\r\n".encode())
    assert read_bounded(path) == "größe: 1\r\n".encode()


def test_a_file_may_fill_the_limit_but_not_pass_it(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"x" * 100)
    assert len(read_bounded(path, limit=100)) == 100
    assert refusal(path, limit=99) == "a.yaml: the file is too large; found 100 bytes; expected at most 99"


def test_an_endless_file_is_refused_after_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)
    assert "found 1000000000000 bytes" in refusal(path)


def test_a_missing_file_is_named_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "ion-api.yaml").touch()
    assert refusal(tmp_path / "ion-apu.yaml") == "ion-apu.yaml: there is no such file. Did you mean ion-api.yaml?"


def test_a_missing_folder_is_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no" / "a.yaml") == "a.yaml: there is no such file"


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path.name}: not a regular file; found a folder"


def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "pipe: not a regular file; found a named pipe"


def test_a_device_is_refused() -> None:
    assert refusal(Path("/dev/zero")) == "zero: not a regular file; found a device"


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert refusal(Path("s")) == "s: it is a socket"


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert refusal(tmp_path / "a") == "a: the symbolic links go in a circle"


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "in" / "a.yaml").symlink_to("../secret")
    message = refusal(tmp_path / "in" / "a.yaml")
    assert message.startswith("a.yaml: the symbolic link leads out of its folder")
    assert "s3cret" not in message


def mount_config(folder: Path, content: str, version: str) -> Path:
    """Lay files out, and swap them, as Kubernetes mounts a ConfigMap."""
    (folder / version).mkdir()
    (folder / version / "a.yaml").write_text(content)
    (folder / "..tmp").symlink_to(version)
    (folder / "..tmp").replace(folder / "..data")
    path = folder / "a.yaml"
    if not path.is_symlink():
        path.symlink_to("..data/a.yaml")
    return path


async def test_mounted_configuration_is_followed_through_a_swap(tmp_path: Path) -> None:
    path = mount_config(tmp_path, "one", "..2026_01")
    source = PathDesiredSource(path)
    before = await source.fingerprint()
    assert await source.read() == b"one"
    mount_config(tmp_path, "two", "..2026_02")
    assert await source.read() == b"two"
    assert await source.fingerprint() != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \0", "a.yaml:2:4: this is not a text file; found a NUL byte"),
        (b"a: 1\n\xc3\xa4\xff", "a.yaml:2:2: the text is not UTF-8; found the byte 0xff"),
        ("a: 1".encode("utf-16-le"), "a.yaml:1:2: this is not a text file; found a NUL byte"),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_their_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert refusal(path) == message


def test_a_file_without_permission_says_so(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "a.yaml"
    path.touch(mode=0)
    request.getfixturevalue("as_nobody")
    assert refusal(path) == "a.yaml: no permission to read it"


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert "the name is too long" in refusal(tmp_path / ("x" * 300))


async def test_the_fingerprint_changes_with_the_content_and_ends_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("one")
    source = PathDesiredSource(path)
    first = await source.fingerprint()
    assert await source.fingerprint() == first
    write_desired(path, "two")
    assert await source.fingerprint() != first
    path.unlink()
    assert await source.fingerprint() == MISSING


async def test_reading_a_missing_desired_file_is_an_answer(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="there is no such file"):
        await PathDesiredSource(tmp_path / "a.yaml").read()


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_a_file_system_that_hangs_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    released = threading.Event()
    monkeypatch.setattr("canaryd.config.files.read_bounded", lambda path: released.wait(30))
    try:
        with pytest.raises(InvalidFile, match="no answer within 5 s"):
            await PathDesiredSource(tmp_path / "a.yaml").read()
    finally:
        released.set()


def test_writing_keeps_the_mode_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("one")
    path.chmod(0o640)
    write_desired(path, "two ü\r\n")
    assert path.read_bytes() == "two ü\r\n".encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.yaml"]


def test_writing_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("one")
    (tmp_path / "a.yaml").symlink_to("real.yaml")
    write_desired(tmp_path / "a.yaml", "two")
    assert (tmp_path / "a.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_text() == "two"


def test_writing_through_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "in" / "a.yaml").symlink_to("../outside")
    with pytest.raises(InvalidFile):
        write_desired(tmp_path / "in" / "a.yaml", "two")
    assert (tmp_path / "outside").read_text() == "mine"


def test_a_new_file_is_written_for_others_to_read(tmp_path: Path) -> None:
    write_desired(tmp_path / "a.yaml", "one")
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OperatorError, match=r"a\.yaml cannot be written: No space left on device"):
        write_desired(path, "two")
    assert path.read_text() == "one"
    assert len(list(tmp_path.iterdir())) == 1
