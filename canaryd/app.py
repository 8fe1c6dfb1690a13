"""The composition root: the only file that sees policies, settings and adapters together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from canaryd import __version__
from canaryd.config.desired import parse_desired
from canaryd.config.files import MISSING, PathDesiredSource, fingerprint, read_bounded
from canaryd.config.policy import PolicyFile, load_policy, parse_policy
from canaryd.core.model import Desired
from canaryd.engine.clock import SystemClock
from canaryd.engine.lifecycle import run_until_stopped
from canaryd.engine.sd_notify import ServiceManager
from canaryd.engine.supervise import supervise
from canaryd.engine.wiring import Rollout
from canaryd.errors import InvalidFile, OperatorError
from canaryd.plugins import Group, create
from canaryd.ports import Clock, MetricSource, Query, Recorder, Surroundings
from canaryd.settings import Settings
from canaryd.telemetry.http import HttpSurface
from canaryd.telemetry.instruments import Instruments
from canaryd.telemetry.recorder import MetricsRecorder
from canaryd.telemetry.status_board import StatusBoard
from canaryd.telemetry.status_recorder import StatusRecorder

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Process:
    """What all rollouts of one process share."""

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    instruments: Instruments = field(default_factory=lambda: Instruments(__version__))
    board: StatusBoard = field(default_factory=StatusBoard)
    policies: dict[str, Path] = field(default_factory=dict)
    """The policy that each rollout is run from."""


# ---------------------------------------------------------------- one rollout


def state_dir(policy_path: Path, settings: Settings) -> Path:
    """Return where a policy's state is kept: as set, else ``.canaryd`` beside the policy."""
    return settings.state_dir or policy_path.resolve().parent / ".canaryd"


def surroundings_of(file: PolicyFile, process: Process) -> Surroundings:
    """Return what the adapters of a policy are built with."""
    return Surroundings(
        folder=file.path.resolve().parent,
        clock=process.clock,
        state_dir=state_dir(file.path, process.settings),
        secret=process.settings.secret,
        rollout=file.policy.rollout,
    )


def desired_path(file: PolicyFile) -> Path:
    """Return the desired-state file's path; relative ones start at the policy."""
    return file.path.parent / file.desired


def read_desired(file: PolicyFile) -> Desired:
    """Return the desired state as the file has it now, or raise InvalidFile."""
    path = desired_path(file)
    return parse_desired(read_bounded(path), path.name, file.policy)


def build_rollout(file: PolicyFile, process: Process, recorder: Recorder | None = None) -> Rollout:
    """Return a rollout with its adapters; nothing is opened, read or written yet.

    Raises InvalidFile for options that an adapter does not take and for queries that cannot work.
    """
    _refuse_own_files(file)
    surroundings = surroundings_of(file, process)
    sources = {name: create(Group.SOURCE, section, surroundings) for name, section in file.sources.items()}
    queries = queries_by_source(file)
    _validate_queries(file, sources, queries)
    return Rollout(
        policy=file.policy,
        policy_file=str(file.path),
        desired=PathDesiredSource(desired_path(file)),
        desired_name=desired_path(file).name,
        queries=queries,
        sources=sources,
        router=create(Group.ROUTER, file.router, surroundings),
        store=create(Group.STORE, file.state, surroundings),
        notifiers=tuple(create(Group.NOTIFIER, section, surroundings) for section in file.notify),
        recorder=recorder or _recorder(file, process),
        clock=process.clock,
    )


def _refuse_own_files(file: PolicyFile) -> None:
    """Refuse a router or a store that would overwrite the policy, the desired state, or each other's file."""
    taken = {file.path.resolve(): "the policy itself", desired_path(file).resolve(): "the desired state"}
    for section, whose in ((file.router, "the router's file"), (file.state, "the state")):
        path = section.options.get("path")
        if not isinstance(path, str) or "\0" in path:
            continue
        resolved = (file.path.parent / path).resolve()
        if resolved in taken:
            raise InvalidFile(
                section.at("path"), f"this is {taken[resolved]}", found=path, expected="a file of its own"
            )
        taken[resolved] = whose


def queries_by_source(file: PolicyFile) -> Mapping[str, Sequence[Query]]:
    """Return the queries of each source; a source that no metric uses has none and is not asked."""
    by_source: dict[str, list[Query]] = {}
    for query in file.queries:
        by_source.setdefault(query.source, []).append(query)
    return by_source


def _validate_queries(
    file: PolicyFile, sources: Mapping[str, MetricSource], queries: Mapping[str, Sequence[Query]]
) -> None:
    for name, wanted in queries.items():
        for query in wanted:
            try:
                sources[name].validate(query)
            except ValueError as error:
                at = file.document.at(("metrics", query.metric))
                raise InvalidFile(at, f"{query.metric} cannot be read from {name}: {error}") from error


def _recorder(file: PolicyFile, process: Process) -> Recorder:
    metrics = MetricsRecorder(file.policy, process.instruments)
    return StatusRecorder(file.policy, metrics, process.board)


# ---------------------------------------------------------------- policy files that change while running


class PolicySource:
    """A policy file as the supervisor sees it: built again when it has changed and is still valid."""

    def __init__(self, path: Path, process: Process) -> None:
        self.name = path.name
        self._path = path
        self._process = process
        self._seen = MISSING
        self._digest = ""
        self._rollout = path.stem
        """The rollout's name; the file's until the policy could be read."""

    def build(self) -> Rollout:
        """Return the rollout as the file describes it now; raises OperatorError."""
        self._seen = fingerprint(self._path)
        file = load_policy(self._path)
        self._digest = _content_digest(file)
        rollout = build_rollout(file, self._process)
        self._claim(file.policy.rollout)
        self._rename(file.policy.rollout)
        self._process.board.announce(self._rollout, self._process.clock.now(), file.policy.interval_s(0.0))
        return rollout

    def _claim(self, name: str) -> None:
        """Take the rollout for this policy, and give back an earlier one."""
        self._refuse_taken(name)
        others = {rollout: path for rollout, path in self._process.policies.items() if path != self._path}
        self._process.policies = others | {name: self._path}

    def _refuse_taken(self, name: str) -> None:
        """Refuse a rollout that another policy of this process is of: it has one state and one router."""
        other = self._process.policies.get(name, self._path)
        if other != self._path:
            raise OperatorError(f"{self._path.name} and {other.name} are both of rollout {name!r}; it has one policy")

    def _rename(self, name: str) -> None:
        """Show the rollout under its policy's name, and no longer under an earlier one."""
        if name != self._rollout:
            self._process.board.withdraw(self._rollout)
            self._process.instruments.withdraw(self._rollout)
        self._rollout = name

    def failed(self, problem: str) -> None:
        """Show that the rollout does not run until it is tried again."""
        self._process.board.mark_down(self._rollout, self._process.clock.now(), problem)

    def changed(self) -> bool:
        """Whether the file now holds another policy that can run; a bad edit is said once and changes nothing."""
        seen = fingerprint(self._path)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            file = load_policy(self._path)
            self._refuse_taken(file.policy.rollout)
            build_rollout(file, Process(self._process.settings))  # adapters refuse what the form alone does not show
        except OperatorError as error:
            log.error("policy.invalid", rollout=self.name, problem=str(error))  # noqa: TRY400
            return False
        return _content_digest(file) != self._digest


def _content_digest(file: PolicyFile) -> str:
    """Return what tells two valid policies apart, notices and state included."""
    return repr(file.document.data)


# ---------------------------------------------------------------- the daemon


async def run_daemon(paths: Sequence[Path], settings: Settings) -> None:
    """Run the rollouts of several policies, and the read-only pages, until SIGTERM or SIGINT."""
    process, manager = Process(settings), ServiceManager()
    sources = [PolicySource(path, process) for path in paths]
    _refuse_same_rollout(paths)
    surface = HttpSurface(
        process.board,
        process.instruments.registry,
        process.clock,
        settings.http_host,
        settings.http_port,
        allowed_hosts=settings.http_allowed_hosts,
    )

    def ready() -> None:
        """Show and tell only once the leases are held: a second daemon must fail for that reason."""
        surface.start()
        host, port = surface.address
        log.info("daemon.started", version=__version__, policies=[path.name for path in paths], http=f"{host}:{port}")
        manager.ready()

    try:
        await run_until_stopped(
            lambda: supervise(sources, process.clock, ready),
            manager,
            lambda: process.board.is_alive(process.clock.now()),
        )
    finally:
        surface.stop()
        log.info("daemon.stopped")


def _refuse_same_rollout(paths: Sequence[Path]) -> None:
    """Two policies of one name would fight over one state."""
    names: dict[str, Path] = {}
    for path in paths:
        try:
            name = parse_policy(read_bounded(path), path).policy.rollout
        except OperatorError:
            continue  # said when it is built
        if (other := names.setdefault(name, path)) is not path:
            raise OperatorError(f"{other.name} and {path.name} are both of rollout {name!r}; a rollout has one policy")
