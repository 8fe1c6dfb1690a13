"""A rollout walked through in pure values: ``decide``, and a router that does what it is told. No loop, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from canaryd.core.decide import decide
from canaryd.core.explain import sentence
from canaryd.core.invariants import Step, violations
from canaryd.core.model import (
    Change,
    Decision,
    Desired,
    Instant,
    Observation,
    Policy,
    RolloutState,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.phases import Phase
from canaryd.core.readings import NoData, Reading, Readings, Unread
from canaryd.testing import build

Look = Callable[[float], Readings]


def _seen_at(reading: Reading, at_s: float) -> Reading:
    return reading if isinstance(reading, (NoData, Unread)) else replace(reading, newest_at=at_s)


@dataclass(slots=True)
class Walk:
    """One rollout under test. Every decision is checked against the invariants as production does."""

    policy: Policy = field(default_factory=build.plan)
    desired: Desired = field(default_factory=build.desired)
    look: Look = build.look_readings
    traffic: Traffic | TrafficUnreadable = field(default_factory=lambda: build.served(0.0))
    state: RolloutState | None = None
    at_s: float = 0.0
    run: str = build.RUN
    router_obeys: bool = True
    decisions: list[Decision] = field(default_factory=list)

    @property
    def weight(self) -> float | None:
        """The router's weight."""
        return self.traffic.weight if isinstance(self.traffic, Traffic) else None

    @property
    def stage(self) -> int:
        """The stage after the last tick."""
        return self.state.stage if self.state else 0

    @property
    def phase(self) -> Phase:
        """The phase after the last tick."""
        return self.state.phase if self.state else Phase.NEW

    @property
    def last(self) -> Decision:
        """The last decision."""
        return self.decisions[-1]

    @property
    def codes(self) -> set[str]:
        """The reasons of the last decision."""
        return {reason.code.value for reason in self.last.reasons}

    @property
    def summary(self) -> str:
        """The last decision in one sentence."""
        before = self.decisions[-2].state.stage if len(self.decisions) > 1 else 0
        return sentence(self.policy, self.desired, self.last, before)

    def wants(self, **changes: object) -> Walk:
        """Edit the desired state."""
        self.desired = replace(self.desired, **changes)  # type: ignore[arg-type]
        return self

    def sees(self, *, canary: Mapping[str, Reading] | None = None, stable: Mapping[str, Reading] | None = None) -> Walk:
        """Replace some readings by fixed ones (their time is that of the look) from now on."""

        def at_the_look(readings: Mapping[str, Reading] | None, at_s: float) -> Mapping[str, Reading]:
            return {metric: _seen_at(reading, at_s) for metric, reading in (readings or {}).items()}

        self.look = lambda at_s: build.look_readings(
            at_s, canary=at_the_look(canary, at_s), stable=at_the_look(stable, at_s)
        )
        return self

    def restarts(self, name: str = "run-2") -> Walk:
        """Let another process go on from the state."""
        self.run = name
        return self

    def tick(self, after_s: float | None = None) -> Decision:
        """Let time pass (default: until the next look is due) and decide once."""
        if self.decisions:
            self.at_s += self.last.next_look_s if after_s is None else after_s
        now = Instant(wall=self.at_s, elapsed=self.at_s, run=self.run)
        observation = Observation(traffic=self.traffic, readings=self.look(self.at_s))
        decision = decide(self.policy, self.desired, self.state, observation, now)
        step = Step(
            policy=self.policy,
            desired=self.desired,
            before=self.state,
            observation=observation,
            decision=decision,
            now=now,
        )
        assert not violations(step), violations(step)
        self.state = decision.state
        self.decisions.append(decision)
        if decision.change and self.router_obeys:
            self.obey(decision.change)
        return decision

    def obey(self, change: Change) -> None:
        """Apply a change as a router would."""
        self.traffic = Traffic(weight=change.weight, version=f"v{change.mark.epoch}", mark=change.mark)

    def set_by_others(self, weight: float | None) -> Walk:
        """Let somebody else edit the weight and leave canaryd's mark as it was."""
        assert isinstance(self.traffic, Traffic)
        self.traffic = replace(self.traffic, weight=weight, version=f"{self.traffic.version}-edited")
        return self

    def ticks(self, count: int) -> Walk:
        """Tick several times."""
        for _ in range(count):
            self.tick()
        return self

    def until(self, done: Callable[[Walk], bool], most: int = 20_000) -> Walk:
        """Tick until something is so."""
        for _ in range(most):
            self.tick()
            if done(self):
                return self
        raise AssertionError(f"not so after {most} ticks: {self.summary}")

    def at_stage(self, stage: int) -> Walk:
        """Tick until a stage's window is open."""
        return self.until(lambda walk: walk.stage == stage and walk.phase is Phase.WATCHING)
