"""Reading over HTTP within bounds: one deadline for the whole request, one limit for the body, no surprises.

Proxies from the environment, redirects and compressed bodies are refused: each of them lets somebody else choose
where a credential goes or how much memory an answer takes.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import anyio
import httpx

from canaryd.core.readings import Fault, Unread
from canaryd.metrics.http_options import HttpOptions, trusted_authorities
from canaryd.ports import Surroundings

MAX_BYTES = 4 * 1024 * 1024
MAX_CONNECTIONS = 10
SHARE_OF_DEADLINE = 0.9
"""A request gives up a little before the look does, so that its own words reach people."""
_SAID_NO = frozenset({401, 403, 407, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, whatever its status."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def refusal(self) -> Unread:
        """Return the status as an error value: a known name, never text that the server made up."""
        why = Fault.REFUSED if self.status in _SAID_NO else Fault.BAD_ANSWER
        redirected = " (redirects are not followed)" if 300 <= self.status < 400 else ""
        return Unread(why=why, detail=f"{status_name(self.status)}{redirected}")


def status_name(status: int) -> str:
    """Return ``401 Unauthorized``."""
    known = {each.value: each.phrase for each in HTTPStatus}
    return f"{status} {known.get(status, '')}".strip()


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


class _TooLarge(Exception):
    """The body is longer than its limit."""


class HttpReader:
    """Reads whole answers. What goes wrong on the way is returned, not raised."""

    def __init__(self, options: HttpOptions, surroundings: Surroundings, *, max_bytes: int = MAX_BYTES) -> None:
        self._timeout_s = options.timeout
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(
            auth=_credentials(options, surroundings),
            verify=trusted_authorities(options, surroundings),
            headers={"accept-encoding": "identity", "user-agent": "canaryd"},
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
            timeout=options.timeout,  # for each single read: the deadline over all of them is in _ask
            follow_redirects=False,
            trust_env=False,
        )

    async def get(self, url: str, *, deadline_s: float, accept: str = "*/*") -> Answer | Unread:
        """Return the answer to a GET."""
        return await self._ask(self._client.build_request("GET", url, headers={"accept": accept}), deadline_s)

    async def post(self, url: str, form: Mapping[str, str], *, deadline_s: float) -> Answer | Unread:
        """Return the answer to a form that is posted: queries stay out of URLs and so out of access logs."""
        return await self._ask(self._client.build_request("POST", url, data=dict(form)), deadline_s)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def timeout_s(self, deadline_s: float) -> float:
        """Return the seconds a request may take within a look's deadline."""
        return min(self._timeout_s, SHARE_OF_DEADLINE * deadline_s)

    async def _ask(self, request: httpx.Request, deadline_s: float) -> Answer | Unread:
        limit_s = self.timeout_s(deadline_s)
        try:
            with anyio.fail_after(limit_s):
                return await self._exchange(request)
        except (TimeoutError, httpx.TimeoutException):
            return Unread(why=Fault.TIMEOUT, detail=f"no answer within {limit_s:g} s")
        except _TooLarge:
            return Unread(why=Fault.BAD_ANSWER, detail=f"the answer has more than {_size(self._max_bytes)}")
        except httpx.HTTPError as error:
            return _unread(error, request.url)

    async def _exchange(self, request: httpx.Request) -> Answer | Unread:
        response = await self._client.send(request, stream=True)
        try:
            encoding = response.headers.get("content-encoding", "identity").lower()
            if encoding != "identity":
                return Unread(why=Fault.BAD_ANSWER, detail="the answer is compressed, which was not asked for")
            return Answer(response.status_code, await self._body(response))
        finally:
            await response.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                raise _TooLarge
        return bytes(body)


def _credentials(options: HttpOptions, surroundings: Surroundings) -> httpx.Auth | None:
    if options.token_from:
        return _Bearer(surroundings.secret(options.token_from))
    if options.basic_auth:
        return httpx.BasicAuth(options.basic_auth.username, surroundings.secret(options.basic_auth.password_from))
    return None


def _size(count: int) -> str:
    return f"{count / 1024 / 1024:g} MiB" if count >= 1024 * 1024 else f"{count} bytes"


def _unread(error: httpx.HTTPError, url: httpx.URL) -> Unread:
    """Return what went wrong in words that hold the address, but no path, query or credential."""
    where = f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
        words = next(filter(None, (_in_words(cause, where) for cause in _causes(error))), f"{where} hung up")
        return Unread(why=Fault.UNREACHABLE, detail=words)
    return Unread(why=Fault.BAD_ANSWER, detail=f"reading {where} failed: {type(error).__name__}")


def _in_words(cause: BaseException, where: str) -> str:
    match cause:
        case ConnectionRefusedError():
            return f"connection refused by {where}"
        case socket.gaierror():
            return f"the name in {where} cannot be resolved"
        case ssl.SSLCertVerificationError():
            return f"{where} is not trusted: {cause.verify_message}"
        case ssl.SSLError():
            return f"no TLS with {where}: {cause.reason or 'it failed'}"
        case httpx.RemoteProtocolError():
            return f"{where} broke off, or does not speak HTTP"
        case _:
            return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down to the operating system's own error, through groups of attempted addresses."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    elif below := error.__cause__ or error.__context__:
        yield from _causes(below)
