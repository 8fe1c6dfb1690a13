"""One tick: the only place where ordering lives.

    1 desire     read what people want; a bad file keeps the last good one
    2 observe    router and metrics at once, under one deadline
    3 decide     the pure core
    4 check      the invariants; a violation does nothing and pages
    5 persist    a raise that is not durable is not done; a lowering is done all the same
    6 act        once, shielded, conditional on what was read; unknown is read again by the next tick
    7 tell       status, metrics, log, notices; none of them can delay or undo 5 and 6

Steps 5 and 6 finish even when the process is told to stop.
"""

from __future__ import annotations

from dataclasses import replace

import anyio
import structlog

from canaryd.core.decide import decide
from canaryd.core.explain import format_weight, sentence
from canaryd.core.invariants import Step, violations
from canaryd.core.model import Action, Desired, Instant, Observation, Reason, ReasonCode, RolloutState
from canaryd.engine import codec
from canaryd.engine.desire import DesireReader
from canaryd.engine.journal import SHOWN_LINES, Journal
from canaryd.engine.observe import look_of, observe
from canaryd.engine.status import document
from canaryd.engine.wiring import Rollout
from canaryd.errors import ChangeRefused, ChangeUnknown, InvariantViolated, OperatorError, StateCorrupt, WorldError
from canaryd.ports import Notifier, TickOutcome, TickRecord, TickReport

log = structlog.get_logger(__name__)


class Ticker:
    """Runs the ticks of one rollout, one after the other, and remembers the state between them."""

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout
        self._state: RolloutState | None = None
        self._desire = DesireReader(rollout)
        self._logged_codes: list[str] = []
        self._problems: tuple[str, ...] = ()
        """Violations of the last tick: their input is logged once, not at every look."""
        self._journal = Journal()

    @property
    def state(self) -> RolloutState | None:
        """The state after the last tick."""
        return self._state

    async def open(self) -> None:
        """Take the lease and load the state; a corrupt one was put aside and is rebuilt from the router."""
        try:
            stored = await self._rollout.store.load()
            self.resume(codec.decode(stored) if stored else None)
        except StateCorrupt as error:
            log.error("state.corrupt", rollout=self._rollout.policy.rollout, problem=str(error))  # noqa: TRY400
            self.resume(None)
        self._journal.recall(await self._rollout.store.journal(SHOWN_LINES))

    def resume(self, state: RolloutState | None) -> None:
        """Go on from a state that was read elsewhere, without taking the lease.

        Whether the router knows more than that state is asked anew, also where all processes are one run.
        """
        self._state = replace(state, read_router_in="") if state else None
        self._desire.last_good = self._fitting(state.desired if state else None)

    def _fitting(self, desired: Desired | None) -> Desired | None:
        """Return a remembered desired state as far as the present policy has its stages."""
        if desired is None:
            return None
        return replace(desired, stage=min(desired.stage, self._rollout.policy.last_stage))

    async def require_desired(self) -> Desired:
        """Return the desired state in force; raise OperatorError when there has never been a valid one."""
        desired = await self._desire.read()
        if desired is None:
            raise OperatorError(self._desire.error)
        return desired

    async def tick(self) -> TickReport:
        """Look, decide, remember, act and tell once; raises as ``require_desired`` does."""
        started = self._rollout.clock.now()
        desired = await self.require_desired()
        observation = await observe(self._rollout, look_of(self._rollout, self._state, started))
        now = self._rollout.clock.now()
        step = self._decide(desired, observation, now)
        outcome = await self._carry_out(step)
        if outcome is TickOutcome.NOT_STORED and step.raises:
            step = _not_done(self._journal.take_back(step))
        return await self._tell(step, outcome, started)

    async def plan(self) -> TickReport:
        """Look and decide, and do nothing: what the next tick would do."""
        started = self._rollout.clock.now()
        desired = await self.require_desired()
        observation = await observe(self._rollout, look_of(self._rollout, self._state, started))
        return self._report(self._decide(desired, observation, self._rollout.clock.now()), TickOutcome.HELD, started)

    def _decide(self, desired: Desired, observation: Observation, now: Instant) -> Step:
        policy = self._rollout.policy
        decision = self._journal.without_repeats(decide(policy, desired, self._state, observation, now))
        step = Step(
            policy=policy, desired=desired, before=self._state, observation=observation, decision=decision, now=now
        )
        problems = violations(step)
        if problems and problems != self._problems:
            log.critical("invariant.violated", rollout=policy.rollout, problems=problems, input=repr(step))
        self._problems = problems
        if problems:
            raise InvariantViolated("; ".join(problems))
        return step

    # ---------------------------------------------------------------- persist and act

    async def _carry_out(self, step: Step) -> TickOutcome:
        self._journal.note(step)
        outcome = TickOutcome.NOT_STORED
        with anyio.CancelScope(shield=True):
            stored = await self._persist(step)
            if stored or not step.raises:
                self._remember(step, stored=stored)
                outcome = await self._act(step) if step.decision.change else outcome
        return TickOutcome.HELD if stored and not step.decision.change else outcome

    def _remember(self, step: Step, *, stored: bool) -> None:
        self._state = step.after
        if stored:
            self._journal.mark_stored()
        else:
            self._journal.mark_unstored(step.decision)

    async def _persist(self, step: Step) -> bool:
        try:
            with anyio.fail_after(self._rollout.deadlines.store_s):
                await self._rollout.store.commit(self._record(step))
        except (WorldError, TimeoutError) as error:
            log.error("state.not_stored", rollout=step.policy.rollout, problem=str(error))  # noqa: TRY400
            return False
        except Exception:  # a bug of the store must not stop a lowering
            log.exception("state.not_stored", rollout=step.policy.rollout)
            return False
        return True

    def _record(self, step: Step) -> TickRecord:
        return TickRecord(
            state=codec.encode(step.after),
            at=step.now,
            decision=self._journal.to_store(step.decision),
            observation=step.observation,
            summary=self._sentence(step),
            document=document(self._report(step, TickOutcome.HELD, step.now), step.policy),
        )

    async def _act(self, step: Step) -> TickOutcome:
        change = step.decision.change
        assert change is not None
        context = log.bind(rollout=step.policy.rollout, weight=change.weight, epoch=change.mark.epoch)
        try:
            with anyio.fail_after(self._rollout.deadlines.act_s):
                await self._rollout.router.write(change)
        except ChangeRefused as error:
            context.warning("change.refused", problem=str(error))
            return TickOutcome.REFUSED
        except (ChangeUnknown, TimeoutError) as error:
            context.warning("change.unknown", problem=str(error))
            return TickOutcome.UNKNOWN
        except Exception:  # noqa: BLE001 - a router's bug: whether it was applied is unknown, the next tick reads
            context.exception("change.failed")
            return TickOutcome.UNKNOWN
        context.info("change.applied", stage=change.mark.stage)
        return TickOutcome.ACTED

    # ---------------------------------------------------------------- tell

    async def _tell(self, step: Step, outcome: TickOutcome, started: Instant) -> TickReport:
        report = self._report(step, outcome, started)
        self._rollout.recorder.record(report)
        self._log(report)
        if report.decision.events:
            for notifier in self._rollout.notifiers:
                await self._notify(notifier, report)
        return report

    async def _notify(self, notifier: Notifier, report: TickReport) -> None:
        """Tell people, within a deadline; whatever goes wrong there changes nothing here."""
        try:
            with anyio.fail_after(self._rollout.deadlines.notify_s):
                await notifier.notify(report)
        except Exception as error:  # noqa: BLE001 - a notifier's bug must not end the watch
            log.error("notice.failed", rollout=report.rollout, problem=f"{type(error).__name__}: {error}")  # noqa: TRY400

    def _report(self, step: Step, outcome: TickOutcome, started: Instant) -> TickReport:
        return TickReport(
            rollout=step.policy.rollout,
            at=step.now,
            decision=step.decision,
            observation=step.observation,
            summary=self._sentence(step),
            outcome=outcome,
            duration_s=self._rollout.clock.now().seconds_since(started),
            desired=step.desired,
            desired_error=self._desire.error,
            policy_file=self._rollout.policy_file,
            journal=self._journal.lines,
        )

    def _sentence(self, step: Step) -> str:
        stage_before = step.before.stage if step.before is not None else 0
        return sentence(step.policy, step.desired, step.decision, min(stage_before, step.policy.last_stage))

    def _log(self, report: TickReport) -> None:
        """Write one line for each move, and for a hold whenever its reasons become others."""
        decision = report.decision
        codes = list(dict.fromkeys(reason.code.value for reason in decision.reasons))
        is_news = decision.action is not Action.HOLD or codes != self._logged_codes
        self._logged_codes = codes
        level = log.info if is_news else log.debug
        level(
            f"decision.{decision.action}",
            rollout=report.rollout,
            release=decision.state.release,
            stage=decision.state.stage,
            outcome=report.outcome,
            reasons=codes,
            summary=report.summary,
        )


def _not_done(step: Step) -> Step:
    """Return a raise that could not be written down as what came of it: a hold, looked at again when it is due."""
    weight = format_weight(step.decision.change.weight if step.decision.change else None)
    reason = Reason(code=ReasonCode.NOT_APPLIED, text=f"the raise to {weight} waits until the state can be written")
    state = step.before or step.after
    since = state.opened or state.entered or step.now
    interval_s = step.policy.interval_s(step.now.seconds_since(since))
    decision = replace(
        step.decision, action=Action.HOLD, state=state, reasons=(reason,), change=None, next_look_s=interval_s
    )
    return replace(step, decision=decision)
