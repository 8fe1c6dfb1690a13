"""Process settings: what an operator gives the process, as environment variables that start with ``CANARYD_``.

Secrets come from ``CANARYD_SECRET_<NAME>`` or from files of the secrets folder (systemd credentials, mounted
secrets). A variable that canaryd does not know is an error, because a misspelt one would be ignored in silence.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from canaryd.errors import OperatorError
from canaryd.telemetry.logging import Format, Level
from canaryd.telemetry.redaction import register_secret

PREFIX = "CANARYD_"
SECRET_PREFIX = f"{PREFIX}SECRET_"
SECRET_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MAX_SECRET_BYTES = 64 * 1024
DEFAULT_PORT = 22627
"""CANAR on a telephone's keys: outside the ports that exporters take (9100 to 9999, where the services beside
canaryd have theirs) and below those that Linux hands out by itself (from 32768)."""


class Settings(BaseSettings):
    """Every setting with its meaning; the environment is read when an instance is made."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    state_dir: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("CANARYD_STATE_DIR", "STATE_DIRECTORY"),
        description="Folder for state and history. Else systemd's $STATE_DIRECTORY, else .canaryd beside the policy.",
    )
    http_host: str = Field(
        default="127.0.0.1",
        description="Address of the read-only pages. Whoever reaches it can read everything but secrets.",
    )
    http_port: int = Field(
        default=DEFAULT_PORT, ge=0, le=65535, description="Port of the read-only pages; 0 takes a free one."
    )
    http_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=50,
        description="Host names, separated by commas, under which the pages are asked for besides localhost.",
    )
    log_format: Format = Field(
        default="auto", description="`json`, `console`, or `auto`: console on a terminal, else json."
    )
    log_level: Level = Field(
        default="info", description="The least severe level logged: debug, info, warning or error."
    )
    secrets_dir: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("CANARYD_SECRETS_DIR", "CREDENTIALS_DIRECTORY"),
        description="Folder with one file for each secret. Else systemd's $CREDENTIALS_DIRECTORY.",
    )

    @field_validator("state_dir", mode="before")
    @classmethod
    def _first_folder(cls, value: object) -> object:
        """Take the first folder of systemd's list."""
        return value.partition(":")[0] if isinstance(value, str) else value

    @field_validator("http_host")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        """Refuse names: which address they mean would be DNS's choice."""
        try:
            return str(ip_address(value))
        except ValueError:
            raise ValueError("must be an IP address such as 127.0.0.1 or 0.0.0.0") from None

    @field_validator("http_allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return tuple(host.strip() for host in value.split(",") if host.strip()) if isinstance(value, str) else value

    @field_validator("log_format", "log_level", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    def secret(self, name: str) -> str:
        """Return a secret by name and hide it from all logs from now on.

        The environment comes before the secrets folder. Raises OperatorError that names both places when there
        is none, or says what is wrong with the one there is.
        """
        if not SECRET_NAME.fullmatch(name):
            raise OperatorError(f"{name!r} is no name of a secret: lower-case letters, digits, - and _ are allowed")
        variable = secret_variable(name)
        value = os.environ.get(variable)
        if value is None:
            value = self._secret_from_folder(name, variable)
        if not value:
            raise OperatorError(f"the secret {name} is empty")
        register_secret(value)
        return value

    def _secret_from_folder(self, name: str, variable: str) -> str:
        if self.secrets_dir is None:
            raise OperatorError(
                f"no secret {name}: set {variable}, or CANARYD_SECRETS_DIR to a folder with a file {name}"
            )
        path = self.secrets_dir / name
        try:
            return _read_secret_file(path)
        except FileNotFoundError:
            raise OperatorError(
                f"no secret {name}: neither the variable {variable} nor the file {path} exists"
            ) from None
        except OSError as error:
            raise OperatorError(f"the secret file {path} cannot be read: {error.strerror}") from None


def load_settings(**overrides: object) -> Settings:
    """Read the settings; keyword arguments (from the command line) come before the environment.

    Raises OperatorError, in one line, for an unknown variable and for a value that makes no sense.
    """
    _refuse_unknown_variables()
    for variable, value in os.environ.items():
        if variable.startswith(SECRET_PREFIX):
            register_secret(value)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise OperatorError("; ".join(_in_words(detail) for detail in error.errors(include_url=False))) from None


def secret_variable(name: str) -> str:
    """Return the environment variable of a secret: ``prom-token`` is ``CANARYD_SECRET_PROM_TOKEN``."""
    return SECRET_PREFIX + name.upper().replace("-", "_")


def describe() -> str:
    """Return all settings as a Markdown table for the documentation."""
    rows = [f"| `{variable}` | {_default(field)} | {field.description} |" for variable, field in _variables()]
    secret = f"| `{SECRET_PREFIX}<NAME>` | none | A secret that the policy names; upper case, `-` becomes `_`. |"
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, secret, ""])


def _variables() -> Iterator[tuple[str, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        yield PREFIX + name.upper(), field


def _default(field: FieldInfo) -> str:
    return f"`{field.default}`" if field.default not in (None, ()) else "none"


def _refuse_unknown_variables() -> None:
    known = [variable for variable, _ in _variables()]
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known and not variable.startswith(SECRET_PREFIX):
            near = get_close_matches(variable, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
            raise OperatorError(f"unknown setting {variable}. {hint}")


def _in_words(detail: ErrorDetails) -> str:
    place = str(detail["loc"][0]) if detail["loc"] else "settings"
    variable = place if place.isupper() else PREFIX + place.upper()
    return f"{variable}: {detail['msg'].removeprefix('Value error, ')}"


def _read_secret_file(path: Path) -> str:
    """Read a small regular file; links are followed, since mounted secrets are links."""
    with open(path, "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OperatorError(f"the secret file {path} is no regular file")
        content = file.read(MAX_SECRET_BYTES + 1)
    if len(content) > MAX_SECRET_BYTES:
        raise OperatorError(f"the secret file {path} is larger than {MAX_SECRET_BYTES} bytes")
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise OperatorError(f"the secret file {path} is not UTF-8 text") from None


def _open_without_waiting(path: str, flags: int) -> int:
    """Open even a named pipe at once: the wait for a writer could last for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
