"""The desired-state file: what people want, and the edits that commands make to it."""

from __future__ import annotations

from canaryd.config.border import Problems, validate
from canaryd.config.document import Document, read_document
from canaryd.config.edits import edit_desired
from canaryd.config.files import write_desired
from canaryd.config.misfit import Misfit
from canaryd.config.models import DesiredModel
from canaryd.core.model import Desired, Policy

__all__ = ["edit_desired", "parse_desired", "write_desired"]


def parse_desired(text: bytes, name: str, policy: Policy) -> Desired:
    """Return what people want.

    Args:
        text: The file's content.
        name: The file's name, for messages.
        policy: The policy whose stages the file speaks of.

    Raises:
        InvalidFile: Something in it is wrong; the first problem by line.
    """
    document = read_document(text, name)
    model = validate(DesiredModel, document.data, document)
    _refuse_unknown_stages(model, document, policy.last_stage)
    return Desired(
        release=model.release,
        stage=model.stage,
        attempt=model.attempt,
        paused=model.paused,
        approved=frozenset(model.approved),
        waived=frozenset(model.waived),
    )


def _refuse_unknown_stages(model: DesiredModel, document: Document, last: int) -> None:
    problems = Problems(document)
    problems.attempt(("stage",), _exists, model.stage, last)
    for key, stages in (("approved", model.approved), ("waived", model.waived)):
        for index, stage in enumerate(stages):
            problems.attempt((key, index), _exists, stage, last)
    problems.raise_first()


def _exists(stage: int, last: int) -> None:
    if stage > last:
        raise Misfit("the policy has no such stage", found=str(stage), expected=f"at most {last}")
