"""The state as text and back: strict, so that a damaged or foreign document is refused and never half understood."""

from __future__ import annotations

from functools import cache

from pydantic import ConfigDict, TypeAdapter, ValidationError

from canaryd.core.model import RolloutState
from canaryd.errors import StateCorrupt


@cache
def _adapter() -> TypeAdapter[RolloutState]:
    return TypeAdapter(
        RolloutState, config=ConfigDict(extra="forbid", ser_json_inf_nan="constants", allow_inf_nan=True)
    )


def encode(state: RolloutState) -> str:
    """Return the state as one line of JSON."""
    return _adapter().dump_json(state).decode()


def decode(text: str) -> RolloutState:
    """Return the state, or raise StateCorrupt naming the first field that is wrong."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise StateCorrupt(f"the stored state is not readable: {where}: {first['msg']}") from None
