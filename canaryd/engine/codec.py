"""The state as text and back: strict, so that a damaged or foreign document is refused and never half understood."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from canaryd.core.model import RolloutState
from canaryd.errors import StateCorrupt


class _Document(BaseModel):
    """The state inside an envelope: only a model's configuration reaches the dataclasses below it."""

    model_config = ConfigDict(strict=True, extra="forbid", ser_json_inf_nan="constants")

    state: RolloutState


def encode(state: RolloutState) -> str:
    """Return the state as one line of JSON."""
    return _Document(state=state).model_dump_json()


def decode(text: str) -> RolloutState:
    """Return the state, or raise StateCorrupt naming the first field that is wrong."""
    try:
        return _Document.model_validate_json(text).state
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise StateCorrupt(f"the stored state is not readable: {where}: {first['msg']}") from None
