"""What must never happen, as functions: the same ones check production, the tests and the simulator.

Each function looks at one tick from outside, by other means than ``decide`` itself, and returns the violation in
words or None. A violated invariant stops the tick: nothing is carried out, people are told, the input is kept.

I10 (secrets stay inside) is no property of a decision; it is held by the settings and shown by tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from canaryd.core.judge import blinds
from canaryd.core.looking import MAX_CREDIT_INTERVALS
from canaryd.core.model import (
    MAX_TAKEN_BACK,
    WEIGHT_TOLERANCE,
    Action,
    CheckRole,
    Decision,
    Desired,
    Instant,
    Observation,
    Outcome,
    Policy,
    RolloutState,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.readings import MAX_BUCKETS, Histogram

MAX_REASONS = 2000
SLACK_S = 1e-6
"""Rounding of sums of floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tick as seen from outside: what went in and what came out."""

    policy: Policy
    desired: Desired
    before: RolloutState | None
    observation: Observation
    decision: Decision
    now: Instant

    @property
    def after(self) -> RolloutState:
        """The state that the decision leaves."""
        return self.decision.state

    @property
    def same_evidence(self) -> bool:
        """Whether release and policy are those of the tick before, so that what was granted and seen still counts."""
        before, after = self.before, self.after
        return before is not None and (before.release, before.policy) == (after.release, after.policy)

    @property
    def same_attempt(self) -> bool:
        """Whether, besides, no person has raised the attempt."""
        return self.same_evidence and self.before is not None and self.before.attempt == self.after.attempt

    @property
    def seen_weight(self) -> float | None:
        """The weight that was read, if any."""
        traffic = self.observation.traffic
        return traffic.weight if isinstance(traffic, Traffic) else None

    @property
    def raises(self) -> bool:
        """Whether the change sends more traffic to the canary than was seen.

        An unknown weight is taken for what was granted last to the same release under the same policy.
        """
        change, seen = self.decision.change, self.seen_weight
        if seen is None:
            seen = self.before.weight if self.before is not None and self.same_evidence else 0.0
        return change is not None and change.weight > seen + WEIGHT_TOLERANCE


def i1_never_above_the_approved_stage(step: Step) -> str | None:
    """Never above the highest stage that people and evidence durably granted to this release."""
    change = step.decision.change
    if change is None or not step.raises:
        return None
    if step.after.stage > step.desired.stage:
        return f"raises to stage {step.after.stage}, people want at most {step.desired.stage}"
    if step.decision.action is Action.PROMOTE:
        return _promoted_too_far(step)
    granted = _granted_weight(step)
    if change.weight > granted + WEIGHT_TOLERANCE:
        return f"raises to {change.weight:g} %, {granted:g} % was granted"
    return None


def _granted_weight(step: Step) -> float:
    """Return what was granted to this release: under another policy the weight still counts, its stage does not."""
    before = step.before
    if before is None or before.release != step.after.release:
        return 0.0
    return step.policy.weight(min(before.stage, step.policy.last_stage)) if step.same_evidence else before.weight


def _promoted_too_far(step: Step) -> str | None:
    target = step.after.stage
    if step.before is not None and step.same_evidence and target > step.before.stage + 1:
        return f"climbs from stage {step.before.stage} to {target} at once"
    if step.policy.stages[target - 1].approval and target not in step.desired.approved - step.after.spent_approvals:
        return f"enters stage {target} without a person's approval"
    return None


def i2_a_raise_has_a_watched_window(step: Step) -> str | None:
    """A raise has a full window of fresh, sufficient evidence at exactly that stage, release and policy."""
    before = step.before
    if step.decision.action is not Action.PROMOTE or step.after.stage == 1:
        return None  # from stable there is nothing to watch yet
    if before is None or not step.same_evidence or not step.decision.watched or before.stage != step.after.stage - 1:
        return "promotes on a look that does not count"
    stage = step.policy.stages[before.stage - 1]
    waived = before.stage in step.desired.waived - step.after.spent_waivers
    watched_s = before.watched_s + before.unproven_s + _most_credit_s(step)
    if stage.window_s is not None and not waived and watched_s < stage.window_s - SLACK_S:
        return f"promotes after {watched_s:g} s of {stage.window_s:g} s watched"
    gates = [check for check in step.decision.checks if check.role is not CheckRole.RULE]
    if len(gates) < 2 * len(stage.require) or any(check.check.outcome is not Outcome.PASS for check in gates):
        return "promotes although not every gate holds"
    return None


def _most_credit_s(step: Step) -> float:
    """Return the most that one look may add to the window."""
    before = step.before
    if before is None or before.last_look is None or before.last_look.run != step.now.run:
        return 0.0
    longest = max(interval.every_s for interval in step.policy.intervals)
    return min(step.now.seconds_since(before.last_look), MAX_CREDIT_INTERVALS * longest)


def i3_a_rollback_sticks(step: Step) -> str | None:
    """A latched release goes no higher, and keeps its latch until a person raises the attempt."""
    before = step.before
    if before is None or before.latch is None or not step.same_attempt:
        return None
    if step.after.latch is None:
        return "loses the latch of a rolled-back release"
    if step.after.stage > before.stage:
        return f"moves a rolled-back release from stage {before.stage} to {step.after.stage}"
    if step.decision.action is Action.PROMOTE:
        return "promotes a rolled-back release"
    return None


def i4_nothing_decided_is_lost(step: Step) -> str | None:
    """Each change has an epoch of its own that the state remembers, and epochs never go back."""
    before, change = step.before, step.decision.change
    if before is not None and step.after.epoch < before.epoch:
        return f"epoch goes back from {before.epoch} to {step.after.epoch}"
    if change is None:
        return None
    if change.mark.epoch != step.after.epoch or (before is not None and change.mark.epoch <= before.epoch):
        return f"a change without an epoch of its own ({change.mark.epoch})"
    remembered = (step.after.release, step.after.attempt, step.after.stage, step.after.latch is not None)
    if remembered != (change.mark.release, change.mark.attempt, change.mark.stage, change.mark.latched):
        return "a change that differs from what is remembered"
    return None


def i5_restarts_are_neutral(step: Step) -> str | None:
    """No look adds more than one and a half intervals to the window; the first of a process adds nothing."""
    before = step.before
    before_s = before.watched_s + before.unproven_s if before is not None else 0.0
    gained_s = step.after.watched_s + step.after.unproven_s - before_s
    if gained_s > _most_credit_s(step) + SLACK_S:
        return f"credits {gained_s:g} s to the window, at most {_most_credit_s(step):g} s were watched"
    return None


def i6_no_change_is_overwritten_unread(step: Step) -> str | None:
    """A change is conditional on the traffic that was read in the same look."""
    change, traffic = step.decision.change, step.observation.traffic
    if change is None:
        return None
    if isinstance(traffic, TrafficUnreadable):
        return "changes traffic that could not be read"
    if change.version != traffic.version:
        return "changes traffic on another version than the one read"
    newer = traffic.mark is not None and traffic.mark.rollout == step.policy.rollout
    if newer and traffic.mark is not None and traffic.mark.epoch >= change.mark.epoch:
        return "overwrites a newer daemon's change"
    return None


def i7_fail_static(step: Step) -> str | None:
    """What is unknown never raises."""
    if not step.raises or step.after.stage <= 1:
        return None
    if isinstance(step.observation.traffic, Traffic) and step.observation.traffic.weight is None:
        return None  # writing again what was served: I1 bounds it
    if any(blinds(check) for check in step.decision.checks if check.role is not CheckRole.GATE_SO_FAR):
        return "raises without knowing how the canary does"
    return None


def i8_bounded(step: Step) -> str | None:
    """The state does not grow with time: its parts are bounded by the policy."""
    state, policy = step.after, step.policy
    if state.policy == policy.digest and len(state.tallies) > 2 * len(policy.metrics):
        return f"{len(state.tallies)} tallies for {len(policy.metrics)} metrics"
    rules = max(len(policy.rules_at(stage)) for stage in range(policy.last_stage + 1))
    if len(state.tracks) > rules:
        return f"{len(state.tracks)} tracks for {rules} rules"
    if len(state.taken_back) > MAX_TAKEN_BACK:
        return f"{len(state.taken_back)} releases remembered"
    buckets = (len(tally.buckets) for tally in state.tallies.values() if isinstance(tally, Histogram))
    if max(buckets, default=0) > MAX_BUCKETS or len(step.decision.reasons) > MAX_REASONS:
        return "more buckets or reasons than allowed"
    return None


def i9_every_decision_has_a_reason(step: Step) -> str | None:
    """Every decision, a hold above all, has a reason that a person can read."""
    if not step.decision.reasons or not all(reason.text.strip() for reason in step.decision.reasons):
        return f"{step.decision.action} without a reason"
    return None


INVARIANTS: dict[str, Callable[[Step], str | None]] = {
    "I1": i1_never_above_the_approved_stage,
    "I2": i2_a_raise_has_a_watched_window,
    "I3": i3_a_rollback_sticks,
    "I4": i4_nothing_decided_is_lost,
    "I5": i5_restarts_are_neutral,
    "I6": i6_no_change_is_overwritten_unread,
    "I7": i7_fail_static,
    "I8": i8_bounded,
    "I9": i9_every_decision_has_a_reason,
}


def violations(step: Step) -> tuple[str, ...]:
    """Return every broken invariant as ``I2: promotes …``; an empty tuple is what must always come back."""
    found = ((name, invariant(step)) for name, invariant in INVARIANTS.items())
    return tuple(f"{name}: {problem}" for name, problem in found if problem is not None)
