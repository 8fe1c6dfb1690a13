"""Looking without touching: check, plan, status, explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from canaryd.cli.exit_codes import Exit
from canaryd.cli.options import QUIET, JsonOption, PolicyArgument, StateDirOption, settings_for
from canaryd.cli.show import show_json, show_status
from canaryd.ports import Finding

OVERDUE_INTERVALS = 3
OVERDUE_S = 3.0
"""As for /livez: a tick is overdue after three intervals, and a few seconds more for very short ones."""


def check(
    policy: PolicyArgument,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Look at the files alone, without any network.")] = False,
    state_dir: StateDirOption = None,
    json: JsonOption = False,
) -> int:
    """Check files, sources, router and every query, before anything moves."""
    import anyio  # noqa: PLC0415

    from canaryd.preflight import check_everything, check_files  # noqa: PLC0415

    settings = settings_for(state_dir, log_level=QUIET)
    findings = check_files(policy, settings) if offline else anyio.run(check_everything, policy, settings)
    if json:
        show_json({"ok": all(f.ok for f in findings), "findings": [_as_json(f) for f in findings]})
    else:
        _show_findings(findings)
    return Exit.OK if all(finding.ok for finding in findings) else Exit.USAGE


def plan(policy: PolicyArgument, *, state_dir: StateDirOption = None, json: JsonOption = False) -> int:
    """Say what the next tick would do, and do nothing."""
    import anyio  # noqa: PLC0415

    from canaryd.one_shot import plan_once  # noqa: PLC0415

    document = anyio.run(plan_once, policy, settings_for(state_dir, log_level=QUIET))
    if json:
        show_json(document)
        return Exit.OK
    change = document["change"]
    typer.echo(f"The next tick: {document['summary']}")
    if change is None:
        typer.echo("The traffic would stay as it is.")
    else:
        typer.echo(f"The router would be set to {change['weight']:g} % for the canary (epoch {change['epoch']}).")
    return Exit.OK


def status(policy: PolicyArgument, *, state_dir: StateDirOption = None, json: JsonOption = False) -> int:
    """Show where the rollout stands, as the daemon saw it last."""
    document = _stored_document(policy, state_dir)
    if document is None:
        return Exit.HELD
    show_status(document, json=json)
    if not json:
        typer.echo(_age_in_words(document))
    return Exit.OK


def explain(policy: PolicyArgument, *, state_dir: StateDirOption = None, json: JsonOption = False) -> int:
    """Say why the rollout is where it is, and what a person can do about it."""
    document = _stored_document(policy, state_dir)
    if document is None:
        return Exit.HELD
    if json:
        show_json({key: document[key] for key in ("summary", "reasons", "next_steps", "latch", "checks", "at")})
    else:
        _show_explanation(document)
        typer.echo(_age_in_words(document))
    return Exit.OK


def _stored_document(policy: Path, state_dir: Path | None) -> Mapping[str, Any] | None:
    """Return what the daemon stored last, or say that there is nothing yet."""
    from canaryd.one_shot import stored_document  # noqa: PLC0415

    document = stored_document(policy, settings_for(state_dir, log_level=QUIET))
    if document is None:
        typer.echo(f"canaryd has not run with {policy} yet. Start it: canaryd run {policy}", err=True)
    return document


def _age_in_words(document: Mapping[str, Any]) -> str:
    """Say how old the answer is, and whether the daemon should have looked again since."""
    from canaryd.core.wording import format_duration  # noqa: PLC0415
    from canaryd.engine.clock import SystemClock  # noqa: PLC0415

    age_s = max(0.0, SystemClock().now().wall - document["at"])
    overdue = age_s > OVERDUE_INTERVALS * document["next_look_s"] + OVERDUE_S
    late = "; the next one is overdue: is canaryd running, and can it store its state?" if overdue else ""
    return f"Last look stored {format_duration(age_s)} ago{late}"


def _as_json(finding: Finding) -> dict[str, object]:
    return {"ok": finding.ok, "subject": finding.subject, "detail": finding.detail, "remedy": finding.remedy}


def _show_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        sign = "ok  " if finding.ok else "FAIL"
        typer.echo(f"{sign}  {finding.subject}: {finding.detail}")
        if finding.remedy and not finding.ok:
            typer.echo(f"      {finding.remedy}")


def _show_explanation(document: Mapping[str, Any]) -> None:
    typer.echo(document["summary"])
    for reason in document["reasons"]:
        typer.echo(f"  - {reason['text']}  [{reason['code']}]")
    if document["desired_error"]:
        typer.echo(f"The desired file is not valid, the last good one is in force: {document['desired_error']}")
    for command in document["next_steps"]:
        typer.echo(f"A person can lift this: {command}")


VERBS = (check, plan, status, explain)
