import os
import socket

import pytest

from canaryd.engine.sd_notify import ServiceManager


@pytest.fixture(autouse=True)
def no_service_manager(monkeypatch):
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """The socket that systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


@pytest.fixture
def manager(systemd):
    with ServiceManager() as manager:
        yield manager


@pytest.mark.parametrize(
    ("say", "heard"),
    [
        (lambda manager: manager.ready(), "READY=1"),
        (lambda manager: manager.watchdog(), "WATCHDOG=1"),
        (lambda manager: manager.stopping(), "STOPPING=1"),
        (lambda manager: manager.extend_timeout(2.5), "EXTEND_TIMEOUT_USEC=2500000"),
        (lambda manager: manager.status("Holding at stage 1"), "STATUS=Holding at stage 1"),
        (lambda manager: manager.status("fünf … %"), "STATUS=fünf … %"),
        (lambda manager: manager.status("a\nREADY=1"), "STATUS=a READY=1"),
        (lambda manager: manager.status("x" * 5000), "STATUS=" + "x" * 256),
    ],
)
def test_systemd_hears_what_is_said(systemd, manager, say, heard):
    say(manager)
    assert systemd.recv(65536).decode() == heard


def test_an_abstract_socket_is_reached_too(monkeypatch):
    name = f"canaryd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        with ServiceManager() as manager:
            manager.ready()
        assert listener.recv(100) == b"READY=1"


def test_nothing_happens_without_a_service_manager():
    with ServiceManager() as manager:
        manager.ready()
        manager.status("alone")


def test_a_service_manager_that_went_away_harms_nobody(systemd, manager):
    systemd.close()
    manager.watchdog()


def test_the_watchdog_interval_is_given_in_seconds(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert ServiceManager().watchdog_interval_s == 30
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert ServiceManager().watchdog_interval_s == 30


@pytest.mark.parametrize(("usec", "pid"), [("", ""), ("0", ""), ("soon", ""), ("-5", ""), ("30000000", "1")])
def test_there_is_no_watchdog_unless_it_is_meant_for_this_process(monkeypatch, usec, pid):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert ServiceManager().watchdog_interval_s is None
