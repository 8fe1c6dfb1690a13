"""One line for each event, the same chain for structlog and the standard library.

JSON uses the field names that Cloud Logging understands (``severity``, ``message``, ``time``,
``logging.googleapis.com/trace``); every other field stays at the top level. On a terminal, lines are made for eyes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from canaryd.telemetry.redaction import redact_event

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

QUIET_LIBRARIES = ("httpx", "httpcore", "google", "grpc", "asyncio", "urllib3")
"""Libraries whose informative lines hold whole URLs or repeat every request."""
TRACE_FIELD = "logging.googleapis.com/trace"


def configure(format: Format = "auto", level: Level = "info", stream: TextIO | None = None) -> None:  # noqa: A002
    """Send every log line of the process to ``stream`` (standard error); may be called again.

    Args:
        format: ``auto`` is ``console`` on a terminal and ``json`` otherwise.
        level: The least severe level that is shown.
        stream: Where lines go; never standard output, which belongs to the commands' results.
    """
    stream = stream or sys.stderr
    as_json = format == "json" or (format == "auto" and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(_json_chain() if as_json else _console_chain(colors=stream.isatty())))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for library in QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    _configure_structlog(level)


def _configure_structlog(level: Level) -> None:
    structlog.configure(
        processors=[
            *_shared_chain(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _formatter(chain: list[Processor]) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared_chain(), structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *chain],
    )


def _shared_chain() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]


def _json_chain() -> list[Processor]:
    return [_name_for_cloud_logging, redact_event, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _console_chain(*, colors: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time", pad_event_to=32)
    return [redact_event, _escape_controls, renderer]


def _name_for_cloud_logging(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["severity"] = str(event.pop("level", "info")).upper()
    event["message"] = event.pop("event", "")
    if trace := event.pop("trace", None):
        event[TRACE_FIELD] = trace
    return event


def _escape_controls(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep text from outside from moving the cursor or faking a second line; tracebacks keep their lines."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            lines = value.split("\n") if key == "exception" else [value]
            event[key] = "\n".join(_printable(line) for line in lines)
    return event


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
