"""The application's own router: every request goes to stable or canary, by a config file that is read again on change.

The file is the one that canaryd's ``config_file`` router writes; of its keys only ``enabled`` and
``traffic_percent`` matter here. A missing file sends everything to stable, a broken one changes nothing.
``python -m canaryd.lab.front_door --config canary.json --stable 9001 --canary 9002 --port 9000``
"""

from __future__ import annotations

import argparse
import json
import math
import threading
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from canaryd.lab.http_server import Handler, listen

UPSTREAM_TIMEOUT_S = 5.0
MAX_ANSWER = 1024 * 1024
Fingerprint = tuple[int, int, int]


class SplitFile:
    """The canary's share in percent, as the file says now; a file that says nothing usable changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Fingerprint | None = None
        self._percent = 0.0

    def percent(self) -> float:
        """Return the share; costs one ``stat`` while nothing changes."""
        try:
            found = self._path.stat()
            fingerprint = (found.st_ino, found.st_mtime_ns, found.st_size)
            if fingerprint != self._seen:
                self._percent = _read_percent(self._path)
                self._seen = fingerprint
        except (OSError, ValueError, KeyError, TypeError):
            pass  # keep the last good one, and look again with the next request
        return self._percent


def _read_percent(path: Path) -> float:
    config = json.loads(path.read_bytes())
    percent = float(config["traffic_percent"])
    if not math.isfinite(percent) or not 0 <= percent <= 100:
        raise ValueError(percent)
    return percent if config["enabled"] is True else 0.0


class Splitter:
    """Smooth weighted round robin: of any 100 requests in a row exactly the wanted share goes to the canary."""

    def __init__(self, split: SplitFile) -> None:
        self._split = split
        self._credit = 50.0
        self._lock = threading.Lock()

    def choose(self) -> str:
        """Return the side of the next request."""
        with self._lock:
            percent = self._split.percent()
            if percent <= 0:
                return "stable"
            self._credit += percent
            if self._credit < 100:
                return "stable"
            self._credit -= 100
            return "canary"


class FrontDoorHandler(Handler):
    """Forwards each request of one connection, over one kept connection to each side."""

    def __init__(self, splitter: Splitter, ports: dict[str, int], *args: object) -> None:
        self._splitter = splitter
        self._upstreams = {
            side: HTTPConnection("127.0.0.1", port, timeout=UPSTREAM_TIMEOUT_S) for side, port in ports.items()
        }
        super().__init__(*args)  # type: ignore[arg-type]  # what socketserver passes on

    def do_GET(self) -> None:  # noqa: N802 (http.server's name)
        """Forward to one side, and say which."""
        side = self._splitter.choose()
        upstream = self._upstreams[side]
        try:
            status, body, content_type = self._forward(upstream)
        except (OSError, HTTPException):
            upstream.close()
            status, body, content_type = 502, b'{"error": "the upstream did not answer"}', "application/json"
        self.answer(status, body, content_type, x_variant=side)

    def _forward(self, upstream: HTTPConnection) -> tuple[int, bytes, str]:
        kept = upstream.sock is not None
        try:
            return self._ask(upstream)
        except ConnectionError:
            upstream.close()
            if not kept:
                raise
        return self._ask(upstream)  # an idle connection was closed at the other end

    def _ask(self, upstream: HTTPConnection) -> tuple[int, bytes, str]:
        upstream.request("GET", self.path, headers={"host": "front-door"})
        response = upstream.getresponse()
        body = response.read(MAX_ANSWER)
        if not response.isclosed():
            raise HTTPException("the answer is too long")
        return response.status, body, response.headers.get("content-type", "application/octet-stream")

    def finish(self) -> None:
        """Close the kept connections with the client's own."""
        for upstream in self._upstreams.values():
            upstream.close()
        super().finish()


def main() -> None:
    """Route until killed."""
    parser = argparse.ArgumentParser(prog="canaryd.lab.front_door", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--stable", type=int, required=True, help="port of the stable service")
    parser.add_argument("--canary", type=int, required=True, help="port of the canary service")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    splitter = Splitter(SplitFile(options.config))
    ports = {"stable": options.stable, "canary": options.canary}
    listen(options.port, partial(FrontDoorHandler, splitter, ports)).serve_forever()  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
