import io
import json
import logging
import warnings
from datetime import datetime

import httpx
import pytest
import structlog

from canaryd.telemetry import redaction
from canaryd.telemetry.logging import configure
from canaryd.telemetry.redaction import register_secret


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch):
    """Logging is one for the process: put it back after each test."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.setattr(redaction, "_secrets", set())
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def fail(error):
    raise error


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def lines(stream):
    """Return what was logged so far, one decoded JSON document for each line."""
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_in_the_words_of_cloud_logging(stream, lines):
    configure("json", "info", stream)
    structlog.get_logger("canaryd.engine").warning("decision.hold", rollout="shop", release="r7", stage=2)
    (line,) = lines()
    assert datetime.fromisoformat(line.pop("time")).utcoffset().total_seconds() == 0
    assert line == {
        "severity": "WARNING",
        "message": "decision.hold",
        "logger": "canaryd.engine",
        "rollout": "shop",
        "release": "r7",
        "stage": 2,
    }


def test_the_standard_library_logs_through_the_same_chain(stream, lines):
    configure("json", "info", stream)
    logging.getLogger("somebody.else").error("lost %s of %d", "3", 5, extra={"rollout": "shop"})
    (line,) = lines()
    assert (line["severity"], line["message"], line["rollout"]) == ("ERROR", "lost 3 of 5", "shop")


def test_bound_context_is_on_every_line_and_a_trace_under_its_cloud_name(stream, lines):
    configure("json", "info", stream)
    structlog.contextvars.bind_contextvars(rollout="shop", trace="projects/p/traces/t")
    structlog.get_logger().info("one")
    logging.getLogger("two").warning("two")
    assert [line["rollout"] for line in lines()] == ["shop", "shop"]
    assert {line["logging.googleapis.com/trace"] for line in lines()} == {"projects/p/traces/t"}


@pytest.mark.parametrize("source", ["structlog", "stdlib"])
def test_an_exception_is_one_field_of_one_line(stream, lines, source, capsys):
    configure("json", "info", stream)
    log = structlog.get_logger() if source == "structlog" else logging.getLogger("x")
    try:
        fail(ValueError("broken\nin two"))
    except ValueError:
        log.exception("tick.failed")
    (line,) = lines()
    assert line["severity"] == "ERROR"
    assert "ValueError: broken" in line["exception"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_line_ever_shows_a_secret(stream, style):
    configure(style, "debug", stream)
    register_secret("h0neyt0ken")
    log = structlog.get_logger()
    log.info("asking h0neyt0ken", url="https://u:h0neyt0ken@prom", headers={"Authorization": "Bearer h0neyt0ken"})
    logging.getLogger("lib").warning("h0neyt0ken %s", "h0neyt0ken", extra={"token": "h0neyt0ken"})
    try:
        fail(RuntimeError("h0neyt0ken"))
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("lib").exception("failed")
    assert "h0neyt0ken" not in stream.getvalue()
    assert len(stream.getvalue()) > 200


def test_http_requests_are_not_logged_with_their_urls(stream, lines):
    configure("json", "debug", stream)
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.get("https://prom.example/q?secret=x")
    assert lines() == []


def test_less_severe_lines_than_asked_for_are_left_out(stream, lines):
    configure("json", "warning", stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["message"] for line in lines()] == ["loud"]


def test_warnings_of_python_are_log_lines_too(stream, lines):
    configure("json", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old habit", stacklevel=1)
    assert "old habit" in lines()[0]["message"]


def test_auto_is_json_for_machines_and_readable_on_a_terminal():
    machine, terminal = io.StringIO(), Terminal()
    configure("auto", "info", machine)
    structlog.get_logger().info("decision.hold", stage=2)
    configure("auto", "info", terminal)
    structlog.get_logger().info("decision.hold", stage=2)
    assert json.loads(machine.getvalue())["stage"] == 2
    assert "decision.hold" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_configuring_again_replaces_rather_than_doubles(stream, lines):
    for _ in range(3):
        configure("json", "info", stream)
    structlog.get_logger().info("once")
    assert len(lines()) == 1


@pytest.mark.parametrize("hostile", ["a\nfaked line", "a\x1b[2Jcleared", "a\rover", "a\u202eright to left"])
def test_text_from_outside_cannot_fake_lines_on_a_terminal(stream, hostile):
    configure("console", "info", stream)
    structlog.get_logger().info(hostile, detail=hostile)
    assert len(stream.getvalue().splitlines()) == 1
    assert not set(stream.getvalue()) & {"\x1b", "\r", "\u202e"}


def test_a_traceback_keeps_its_lines_on_a_terminal(stream):
    configure("console", "info", stream)
    try:
        fail(ValueError("broken"))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError: broken" in stream.getvalue().splitlines()
