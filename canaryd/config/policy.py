"""The policy file: how an operator tells canaryd to judge and to climb."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from canaryd.config.border import Problems, Section, validate
from canaryd.config.document import Document, read_document
from canaryd.config.document import Path as DocumentPath
from canaryd.config.files import read_bounded
from canaryd.config.ladder import build_intervals, build_rules, build_stages, refuse_ambiguous_rules
from canaryd.config.measures import build_metric, build_queries, refuse_reserved_labels, refuse_unknown_sources
from canaryd.config.models import PolicyModel, SectionModel
from canaryd.core.model import Blind, Policy
from canaryd.ports import Query

_NEITHER_JUDGES_NOR_ROUTES = {"desired", "notify", "state"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """One valid policy file: the core's policy, and the parts that adapters read.

    ``queries`` holds one query per metric and side, in the file's order, stable before canary.
    """

    path: Path
    document: Document
    policy: Policy
    desired: str
    stable: Mapping[str, str]
    canary: Mapping[str, str]
    sources: Mapping[str, Section]
    router: Section
    state: Section
    notify: tuple[Section, ...]
    queries: tuple[Query, ...]


def load_policy(path: Path) -> PolicyFile:
    """Return the policy that a file holds.

    Raises:
        InvalidFile: The file cannot be opened, or something in it is wrong.
    """
    return parse_policy(read_bounded(path), path)


def parse_policy(content: bytes | str, path: Path) -> PolicyFile:
    """Return the policy that a text holds; ``path`` names it and is where relative paths start.

    Raises:
        InvalidFile: Something in it is wrong; the first problem by line.
    """
    document = read_document(content, path.name)
    model = validate(PolicyModel, document.data, document)
    return PolicyFile(
        path=path,
        document=document,
        policy=_build_policy(model, document),
        desired=model.desired,
        stable=model.stable,
        canary=model.canary,
        sources={name: _section(each, name, document, ("sources", name)) for name, each in model.sources.items()},
        router=_section(model.router, "router", document, ("router",)),
        state=_section(model.state, "state", document, ("state",)),
        notify=tuple(
            _section(each, f"notify {index + 1}", document, ("notify", index))
            for index, each in enumerate(model.notify)
        ),
        queries=build_queries(model),
    )


def _build_policy(model: PolicyModel, document: Document) -> Policy:
    problems = Problems(document)
    metrics = {name: build_metric(name, each) for name, each in model.metrics.items()}
    refuse_unknown_sources(model, problems)
    refuse_reserved_labels(model, problems)
    intervals = build_intervals(model.interval, problems)
    stages = build_stages(model.stages, metrics, problems)
    rollback = build_rules(model.rollback, ("rollback",), metrics, len(model.stages), problems)
    refuse_ambiguous_rules(model.stages, model.rollback, problems)
    problems.raise_first()
    return Policy(
        rollout=model.rollout,
        digest=_digest(model),
        intervals=intervals,
        metrics=metrics,
        stages=stages,
        rollback=rollback,
        blind=Blind(page_after_s=model.blind.page_after, roll_back_after_s=model.blind.roll_back_after),
    )


def _digest(model: PolicyModel) -> str:
    """Return a fingerprint of everything that judges or routes; comments, layout and key order do not matter."""
    judged = model.model_dump(mode="json", by_alias=True, exclude=_NEITHER_JUDGES_NOR_ROUTES)
    canonical = json.dumps(judged, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _section(model: SectionModel, name: str, document: Document, path: DocumentPath) -> Section:
    return Section(type=model.type, name=name, options=model.model_extra or {}, document=document, path=path)
