"""What people say to a rollout: every verb edits the desired-state file, keeps its comments, and nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from canaryd.cli.exit_codes import Exit
from canaryd.cli.options import QUIET, PolicyArgument, StateDirOption, settings_for
from canaryd.errors import OperatorError, WorldError

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the edit and do not make it.")]


@dataclass(frozen=True, slots=True)
class _Editing:
    """One desired-state file being edited."""

    policy_path: Path
    file: Any
    desired: Any
    settings: Any

    def stage_now(self, default: int = 0) -> int:
        """Return the stage the daemon is at; ``default`` when it never ran.

        Read only when a command needs it: going back must work whatever has become of the state.
        """
        status = self._status()
        return int(status["stage"]) if status else default

    def attempt_now(self) -> int:
        """Return the highest attempt that the file or the daemon knows of, as far as its state can be read."""
        try:
            status = self._status()
        except WorldError:
            status = None
        return max(int(self.desired.attempt), int(status["attempt"]) if status else 0)

    def _status(self) -> Mapping[str, Any] | None:
        from canaryd.one_shot import stored_document  # noqa: PLC0415

        return stored_document(self.policy_path, self.settings)

    def known_stage(self, stage: int) -> int:
        """Return a stage that exists, or raise OperatorError."""
        last = self.file.policy.last_stage
        if not 0 <= stage <= last:
            raise OperatorError(
                f"there is no stage {stage}; {self.policy_path.name} has stages 1 to {last}, 0 is stable"
            )
        return stage


def promote(
    policy: PolicyArgument,
    *,
    to: Annotated[Optional[int], typer.Option("--to", help="Stage to climb to (default: one higher).")] = None,  # noqa: UP045
    release: Annotated[Optional[str], typer.Option(help="Another release; starts from stable, attempt 1.")] = None,  # noqa: UP045
    state_dir: StateDirOption = None,
    dry_run: DryRunOption = False,
) -> int:
    """Let the rollout climb higher: raise the desired stage. Gates and windows still hold."""
    editing = _open(policy, state_dir)
    if release is not None and release != editing.desired.release:
        stage = editing.known_stage(1 if to is None else to)
        changes = {"release": release, "stage": stage, "attempt": 1, "approved": [], "waived": []}
        return _apply(editing, changes, dry_run=dry_run)
    wanted = editing.desired.stage + 1 if to is None else to
    if to is None and wanted > editing.file.policy.last_stage:
        raise OperatorError(f"the desired stage is {editing.desired.stage} already, the last one")
    if editing.known_stage(wanted) < editing.desired.stage:
        raise OperatorError(f"stage {wanted} is below the desired stage {editing.desired.stage}; use: canaryd rollback")
    return _apply(editing, {"stage": wanted}, dry_run=dry_run)


def approve(
    policy: PolicyArgument,
    stage: Annotated[Optional[int], typer.Argument(help="Stage to enter (default: the next one).")] = None,  # noqa: UP045
    *,
    state_dir: StateDirOption = None,
    dry_run: DryRunOption = False,
) -> int:
    """Agree that a stage is entered."""
    editing = _open(policy, state_dir)
    target = editing.known_stage(editing.stage_now() + 1 if stage is None else stage)
    return _apply(editing, {"approved": sorted({*editing.desired.approved, target})}, dry_run=dry_run)


def waive(
    policy: PolicyArgument,
    stage: Annotated[Optional[int], typer.Argument(help="Stage not to wait in (default: the present one).")] = None,  # noqa: UP045
    *,
    state_dir: StateDirOption = None,
    dry_run: DryRunOption = False,
) -> int:
    """Do not wait for the rest of a stage's window. Its gates still hold."""
    editing = _open(policy, state_dir)
    target = editing.known_stage(editing.stage_now() if stage is None else stage)
    if not target:
        raise OperatorError("stage 0 has no window to waive; name a stage")
    return _apply(editing, {"waived": sorted({*editing.desired.waived, target})}, dry_run=dry_run)


def pause(policy: PolicyArgument, *, state_dir: StateDirOption = None, dry_run: DryRunOption = False) -> int:
    """Stop climbing. Rollback rules stay at work."""
    return _apply(_open(policy, state_dir), {"paused": True}, dry_run=dry_run)


def resume(policy: PolicyArgument, *, state_dir: StateDirOption = None, dry_run: DryRunOption = False) -> int:
    """Go on after a pause."""
    return _apply(_open(policy, state_dir), {"paused": False}, dry_run=dry_run)


def rollback(
    policy: PolicyArgument,
    *,
    to: Annotated[str, typer.Option("--to", help="stable, previous, or a stage number.")] = "stable",
    state_dir: StateDirOption = None,
    dry_run: DryRunOption = False,
) -> int:
    """Go back by hand, at once: lower the desired stage. It stays there until somebody raises it."""
    editing = _open(policy, state_dir)
    target = editing.known_stage(_rollback_target(to, editing))
    if target > editing.desired.stage:
        raise OperatorError(f"stage {target} is above the desired stage {editing.desired.stage}; use: canaryd promote")
    return _apply(editing, {"stage": target}, dry_run=dry_run)


def _rollback_target(to: str, editing: _Editing) -> int:
    if to == "stable":
        return 0
    if to == "previous":
        return max(0, editing.stage_now(default=editing.desired.stage) - 1)
    if to.isascii() and to.isdigit():
        return int(to)
    raise OperatorError(f"--to takes stable, previous or a stage number, not {to!r}")


def retry(policy: PolicyArgument, *, state_dir: StateDirOption = None, dry_run: DryRunOption = False) -> int:
    """Try a rolled-back release again: raise the attempt. Earlier approvals and waivers are taken out."""
    editing = _open(policy, state_dir)
    changes = {"attempt": editing.attempt_now() + 1, "approved": [], "waived": []}
    return _apply(editing, changes, dry_run=dry_run)


# ---------------------------------------------------------------- the edit itself


def _open(policy: Path, state_dir: Path | None) -> _Editing:
    from canaryd.app import read_desired  # noqa: PLC0415
    from canaryd.config.policy import load_policy  # noqa: PLC0415

    settings = settings_for(state_dir, log_level=QUIET)
    file = load_policy(policy)
    return _Editing(policy, file, read_desired(file), settings)


def _apply(editing: _Editing, changes: dict[str, object], *, dry_run: bool) -> int:
    from canaryd.app import desired_path  # noqa: PLC0415
    from canaryd.config.desired import parse_desired  # noqa: PLC0415
    from canaryd.config.edits import edit_desired  # noqa: PLC0415
    from canaryd.config.files import read_bounded, write_desired  # noqa: PLC0415

    path = desired_path(editing.file)
    before = read_bounded(path).decode()
    after = edit_desired(before, _needed(editing.desired, changes))
    parse_desired(after.encode(), path.name, editing.file.policy)
    if after == before:
        typer.echo(f"{path.name} says so already; nothing to change.")
        return Exit.OK
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0):
        if not line.startswith(("---", "+++", "@@")):
            typer.echo(f"{path.name}: {line}")
    if dry_run:
        typer.echo("Dry run: nothing was written.")
    else:
        write_desired(path, after)
    return Exit.OK


def _needed(desired: Any, changes: dict[str, object]) -> dict[str, object]:  # noqa: ANN401 - imported lazily
    """Leave out what the file says already, so that an edit adds no key that it does not need."""
    now = {
        "release": desired.release,
        "stage": desired.stage,
        "attempt": desired.attempt,
        "paused": desired.paused,
        "approved": sorted(desired.approved),
        "waived": sorted(desired.waived),
    }
    return {key: value for key, value in changes.items() if now[key] != value}


VERBS = (promote, approve, waive, pause, resume, rollback, retry)
