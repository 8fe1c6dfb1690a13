"""What operators may say about reading over HTTP, checked before anything is read."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Annotated
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from canaryd.config.quantities import parse_duration
from canaryd.errors import OperatorError
from canaryd.metrics.promql import substitute
from canaryd.ports import Surroundings


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=float | str)]
"""A number of seconds, or a duration such as ``30s``."""


class BasicAuth(BaseModel):
    """A user name, and the name of the secret that holds the password."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    username: str
    """The user name, sent as it is."""
    password_from: str
    """The name of the secret that holds the password."""


class HttpOptions(BaseModel):
    """How to read over HTTP; every HTTP source has these options."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    timeout: Annotated[Seconds, Field(gt=0, le=60)] = 5.0
    """Seconds for a whole request, from connecting to the last byte."""
    token_from: str | None = None
    """The name of the secret that holds a bearer token."""
    basic_auth: BasicAuth | None = None
    """Credentials for HTTP basic authentication."""
    ca_file: str | None = None
    """Certificate authorities to trust instead of the usual ones: a PEM file, relative to the policy's folder."""

    @model_validator(mode="after")
    def _one_way_to_authenticate(self) -> HttpOptions:
        if self.token_from and self.basic_auth:
            raise ValueError("token_from and basic_auth exclude each other")
        return self


def checked_url(url: str) -> str:
    """Return an absolute http(s) URL without its trailing slash.

    Raises:
        ValueError: It has another scheme, no host, credentials, a query or a fragment.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("the url must be http://… or https://… with a host")
    if "@" in parts.netloc:
        raise ValueError("the url may not hold credentials: use basic_auth")
    if parts.query or parts.fragment:
        raise ValueError("the url may not hold a query or a fragment")
    if not url.isprintable() or " " in url:
        raise ValueError("the url may not hold spaces or control characters")
    return url.rstrip("/")


def side_url(target: Mapping[str, str], path: str) -> str:
    """Return the address of a page on one side; ``$placeholders`` in the path are the side's labels, quoted.

    Raises:
        ValueError: The side has no usable ``url``, the path is relative, or a placeholder is unknown.
    """
    if "url" not in target:
        raise ValueError("the side has no url to read from")
    if not path.startswith("/") or not path.isprintable() or " " in path:
        raise ValueError("the path must start with / and hold no spaces")
    return checked_url(target["url"]) + substitute(path, {name: quote(text, safe="") for name, text in target.items()})


@cache
def usual_authorities() -> ssl.SSLContext:
    """Return the usual authorities: 2 MiB and 20 ms, so all sources of a process share them."""
    return httpx.create_ssl_context(trust_env=False)


def trusted_authorities(options: HttpOptions, surroundings: Surroundings) -> ssl.SSLContext:
    """Return what to verify certificates against.

    Raises:
        OperatorError: The file cannot be read or holds no certificates.
    """
    if options.ca_file is None:
        return usual_authorities()
    path = surroundings.folder / options.ca_file
    if path.exists() and not path.is_file():
        raise OperatorError(f"ca_file {options.ca_file} cannot be used: it is no regular file")
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"ca_file {options.ca_file} cannot be used: {error.strerror or error}") from None
