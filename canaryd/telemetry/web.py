"""The read-only pages as one WSGI application. Nothing here changes anything.

Everything is served from bytes and numbers that the event loop left behind, so pages answer while it is stuck.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, make_wsgi_app

from canaryd.core.model import Instant
from canaryd.ports import Clock
from canaryd.telemetry.status_board import Heartbeat, StatusBoard

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROLLOUTS = "/api/v1/rollouts"
SECURITY_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]
LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class WebApplication:
    """Routes requests: checks method and Host first, then serves pages or hands over to the metrics page."""

    def __init__(
        self, board: StatusBoard, registry: CollectorRegistry, clock: Clock, allowed_hosts: Collection[str] = ()
    ) -> None:
        self._board = board
        self._clock = clock
        self._allowed_hosts = LOCAL_NAMES | {host.lower() for host in allowed_hosts}
        self._metrics: WSGIApplication = make_wsgi_app(registry)
        self._pages: Mapping[str, Callable[[], Page]] = {
            "/": self._home,
            "/livez": self._livez,
            "/readyz": self._readyz,
            ROLLOUTS: self._list,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        refusal = self._refusal(environ)
        if refusal is None and environ["PATH_INFO"] == "/metrics":
            return self._answer_metrics(environ, start_response)
        page = refusal or self._page(environ["PATH_INFO"])
        headers = [("Content-Type", page.content_type), ("Content-Length", str(len(page.body)))]
        start_response(_status_line(page.status), [*headers, *page.headers, *SECURITY_HEADERS])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [page.body]

    def _refusal(self, environ: WSGIEnvironment) -> Page | None:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, "nothing can be changed here", ("Allow", "GET, HEAD"))
        host = environ.get("HTTP_HOST", "")
        if not host:
            return _error(HTTPStatus.BAD_REQUEST, "the request names no host")
        if not self._is_known(host):
            return _error(
                HTTPStatus.MISDIRECTED_REQUEST, "this host name is not served; see CANARYD_HTTP_ALLOWED_HOSTS"
            )
        return None

    def _is_known(self, host: str) -> bool:
        """Accept configured names and every plain address: a rebound DNS name never is an address."""
        name = _without_port(host).lower()
        return name in self._allowed_hosts or _is_address(name)

    def _answer_metrics(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start_with_security(status: str, headers: list[tuple[str, str]]) -> object:
            return start_response(status, [*headers, *SECURITY_HEADERS])

        chunks = self._metrics(environ | {"REQUEST_METHOD": "GET"}, start_with_security)  # type: ignore[arg-type]
        return [] if environ["REQUEST_METHOD"] == "HEAD" else chunks

    def _page(self, path: str) -> Page:
        if path in self._pages:
            return self._pages[path]()
        if path.startswith(f"{ROLLOUTS}/"):
            return self._one(path.removeprefix(f"{ROLLOUTS}/"))
        return _error(HTTPStatus.NOT_FOUND, "no such page")

    def _livez(self) -> Page:
        now = self._clock.now()
        states = [_liveness(heartbeat, now) for heartbeat in self._board.all()]
        alive = self._board.is_alive(now)
        return _json(_ok_or_unavailable(alive), {"alive": alive, "rollouts": states})

    def _readyz(self) -> Page:
        waiting = [heartbeat.rollout for heartbeat in self._board.all() if not heartbeat.is_ready]
        return _json(_ok_or_unavailable(not waiting), {"ready": not waiting, "waiting_for": waiting})

    def _list(self) -> Page:
        now = self._clock.now()
        rollouts = [_liveness(item, now) | {"url": f"{ROLLOUTS}/{item.rollout}"} for item in self._board.all()]
        return _json(HTTPStatus.OK, {"rollouts": rollouts})

    def _one(self, rollout: str) -> Page:
        try:
            heartbeat = self._board.of(rollout)
        except KeyError:
            return _error(HTTPStatus.NOT_FOUND, "no such rollout")
        if not heartbeat.document:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "the first look is not finished")
        return Page(HTTPStatus.OK, heartbeat.document)

    def _home(self) -> Page:
        rows = "".join(_row(heartbeat) for heartbeat in self._board.all())
        html = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>canaryd</title>'
            "<style>body{font:1rem system-ui;margin:2rem}td,th{padding:.3rem 1rem;text-align:left}</style>"
            f"<h1>canaryd</h1><table><tr><th>rollout<th>stage<th>status</tr>{rows}</table></html>"
        )
        return Page(HTTPStatus.OK, html.encode(), "text/html; charset=utf-8")


def _liveness(heartbeat: Heartbeat, now: Instant) -> dict[str, object]:
    return {
        "rollout": heartbeat.rollout,
        "alive": heartbeat.is_alive(now),
        "ticked": heartbeat.ticked,
        "down": heartbeat.down,
        "age_s": round(heartbeat.age_s(now), 3),
        "limit_s": heartbeat.life_s,
    }


def _row(heartbeat: Heartbeat) -> str:
    document = json.loads(heartbeat.document) if heartbeat.document else {"summary": "The first look is not finished."}
    name = escape(heartbeat.rollout)
    stage, summary = (escape(str(document.get(key, ""))) for key in ("stage", "summary"))
    return f'<tr><td><a href="{ROLLOUTS}/{name}">{name}</a><td>{stage}<td>{summary}</tr>'


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _ok_or_unavailable(condition: object) -> HTTPStatus:
    return HTTPStatus.OK if condition else HTTPStatus.SERVICE_UNAVAILABLE


def _json(status: HTTPStatus, document: Mapping[str, object]) -> Page:
    return Page(status, json.dumps(document).encode())


def _error(status: HTTPStatus, problem: str, *headers: tuple[str, str]) -> Page:
    return Page(status, json.dumps({"error": problem}).encode(), headers=headers)


def _status_line(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"
