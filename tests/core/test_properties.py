"""What holds whatever happens: random policies, people, routers, sources, clocks and restarts, through ``decide``."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from canaryd.core.decide import decide
from canaryd.core.explain import sentence
from canaryd.core.invariants import Step, violations
from canaryd.core.model import (
    Action,
    Blind,
    Desired,
    Instant,
    IntervalStep,
    Mark,
    Observation,
    Policy,
    RollbackTarget,
    RolloutState,
    Traffic,
    TrafficUnreadable,
)
from canaryd.core.readings import Absence, Fault, Gauge, Health, NoData, Reading, Side, Unread
from canaryd.engine import codec
from canaryd.testing import build
from canaryd.testing.build import counts, latencies

INTERVAL_S = 60.0
thorough = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# ---------------------------------------------------------------- policies

GATES = ["errors.rate < 0.01", "latency.p95 < 15", "errors.success > 0.9", "confidence > 0.75", "latency.mean < 0.9x"]
RULES = ["errors.rate > 0.01", "latency.p95 > 25", "memory > 0.85", "errors.rate > 2x", "health is down"]


@st.composite
def rules(draw, stages):
    targets = st.sampled_from([*RollbackTarget, *range(stages + 1)])
    texts = draw(st.lists(st.sampled_from(RULES), unique=True, max_size=4))
    return tuple(
        build.rule(text, draw(st.integers(1, 3)), draw(targets), at_least=draw(st.sampled_from([0, 0, 150])))
        for text in texts
    )


@st.composite
def policies(draw, digest="first"):
    weights = sorted(draw(st.sets(st.sampled_from([0.1, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0]), min_size=1, max_size=4)))
    windows = [draw(st.integers(1, 4)) * INTERVAL_S for _ in weights[1:]] + [None]
    stages = tuple(
        build.stage(
            weight,
            window,
            *draw(st.lists(st.sampled_from(GATES), unique=True, max_size=3)),
            at_least=draw(st.sampled_from([0, 0, 150])),
            approval=draw(st.sampled_from([False, False, True])),
        )
        for weight, window in zip(weights, windows, strict=True)
    )
    return Policy(
        rollout="ion-api",
        digest=digest,
        intervals=draw(
            st.sampled_from([(IntervalStep(INTERVAL_S),), (IntervalStep(10.0, 100.0), IntervalStep(INTERVAL_S))])
        ),
        metrics=build.METRICS,
        stages=stages,
        rollback=draw(rules(len(stages))),
        blind=Blind(page_after_s=120.0, roll_back_after_s=draw(st.sampled_from([None, 0.0, 200.0]))),
    )


# ---------------------------------------------------------------- what happens between two looks

NUMBERS = st.one_of(st.sampled_from([0.0, 5e-324, 1e-9, 1.0, 1e15]), st.floats(0, 1e15))
UNKNOWN = st.one_of(
    st.builds(NoData, why=st.sampled_from(Absence), detail=st.just("nothing")),
    st.builds(Unread, why=st.sampled_from(Fault), detail=st.just("no answer")),
)
SEEN: Mapping[str, st.SearchStrategy[Reading]] = {
    "errors": st.tuples(NUMBERS, st.floats(0, 1)).map(lambda n: counts(0, total=n[0], bad=n[0] * n[1])),
    "latency": st.builds(latencies, st.just(0.0), st.floats(0, 100), NUMBERS),
    "confidence": st.builds(Gauge, value=st.floats(-1e15, 1e15), newest_at=st.just(0.0)),
    "memory": st.builds(Gauge, value=st.floats(0, 2), newest_at=st.just(0.0)),
    "health": st.builds(Health, up=st.booleans(), detail=st.just("said so"), newest_at=st.just(0.0)),
}


def looks_at_one_side():
    pairs = [
        st.tuples(st.just(name), st.one_of(reading, UNKNOWN), st.sampled_from([0, 0, -30, -1e6, 1e3]))
        for name, reading in SEEN.items()
    ]
    return st.lists(st.one_of(pairs), max_size=2)


@dataclass(frozen=True)
class Happening:
    """What the world does before and during one look."""

    after_s: float | None = None
    wall_jump_s: float = 0.0
    restart: bool = False
    lose_state: bool = False
    router: tuple = ("as it is",)
    obeys: bool = True
    canary: tuple = ()
    stable: tuple = ()
    wants: Mapping[str, object] = field(default_factory=dict)
    edit_policy: bool = False


ROUTER_EVENTS = st.one_of(
    st.tuples(st.sampled_from(["unreadable", "unknown", "unsettled", "foreign mark", "newer daemon"])),
    st.tuples(st.just("edited"), st.sampled_from([None, 0.0, 3.0, 5.0, 30.0, 100.0])),
)
EDITS = st.fixed_dictionaries(
    {},
    optional={
        "stage": st.integers(0, 4),
        "attempt": st.integers(1, 4),
        "release": st.sampled_from(["rev-2", "rev-3"]),
        "paused": st.booleans(),
        "approved": st.frozensets(st.integers(1, 4)),
        "waived": st.frozensets(st.integers(1, 4)),
    },
)
KINDS: Mapping[str, st.SearchStrategy] = {
    "after_s": st.sampled_from([0.0, 1.0, 170.0, 181.0, 1e5]),
    "wall_jump_s": st.sampled_from([-7200.0, 86400.0]),
    "restart": st.just(True),
    "lose_state": st.just(True),
    "router": ROUTER_EVENTS,
    "obeys": st.just(False),
    "canary": looks_at_one_side(),
    "stable": looks_at_one_side(),
    "wants": EDITS,
    "edit_policy": st.just(True),
}
NOTHING = st.just(Happening())
ONE_THING = st.one_of([st.builds(Happening, **{name: strategy}) for name, strategy in KINDS.items()])
SEVERAL = st.fixed_dictionaries({}, optional=KINDS).map(lambda things: Happening(**things))
HAPPENINGS = st.one_of(NOTHING, NOTHING, NOTHING, NOTHING, ONE_THING, ONE_THING, SEVERAL)
"""Mostly nothing happens: rollouts that never climb show little."""
HISTORIES = st.lists(HAPPENINGS, min_size=10, max_size=40)

WORSE = {
    "errors": counts(0, total=1e6, bad=1e6),
    "latency": latencies(0, 1e4, total=1e6),
    "confidence": Gauge(value=-1e15, newest_at=0),
    "memory": Gauge(value=100.0, newest_at=0),
    "health": Health(up=False, detail="gone", newest_at=0),
}

# ---------------------------------------------------------------- driving


@dataclass
class Drive:
    """A rollout in a world that does as it is told, and checks nothing but what it is asked."""

    policies: tuple[Policy, Policy]
    desired: Desired
    state: RolloutState | None = None
    traffic: Traffic = field(default_factory=lambda: build.served(0.0))
    elapsed_s: float = 0.0
    wall_s: float = 1.7e9
    runs: int = 1
    edits: int = 0
    due_s: float = 0.0
    policy_now: int = 0
    sick: tuple[str, float] | None = None
    """A metric that is at its worst on the canary from some second on."""

    @property
    def policy(self) -> Policy:
        return self.policies[self.policy_now]

    def prepare(self, happening: Happening) -> Step:
        """Let it happen, decide, and return the tick as seen from outside, without carrying it out."""
        passed_s = self.due_s if happening.after_s is None else happening.after_s
        self.elapsed_s += passed_s
        self.wall_s += passed_s + happening.wall_jump_s
        self.runs += happening.restart
        self.state = None if happening.lose_state else self.state
        self.policy_now ^= happening.edit_policy
        last = self.policy.last_stage
        wanted = replace(self.desired, **happening.wants)
        self.desired = replace(wanted, stage=min(wanted.stage, last))
        now = Instant(wall=self.wall_s, elapsed=self.elapsed_s, run=f"run-{self.runs}")
        return self.decided(Observation(traffic=self._seen(happening.router), readings=self._read(happening)), now)

    def decided(self, observation: Observation, now: Instant, state: RolloutState | None = None) -> Step:
        before = state or self.state
        decision = decide(self.policy, self.desired, before, observation, now)
        return Step(
            policy=self.policy,
            desired=self.desired,
            before=before,
            observation=observation,
            decision=decision,
            now=now,
        )

    def carry_out(self, step: Step, *, obeys: bool = True) -> None:
        self.state = step.after
        self.due_s = step.decision.next_look_s
        change = step.decision.change
        if change and obeys and change.version == self.traffic.version:
            self._set(change.weight, change.mark)

    def go_on(self, history) -> list[Step]:
        steps = []
        for happening in history:
            step = self.prepare(happening)
            steps.append(step)
            self.carry_out(step, obeys=happening.obeys)
        return steps

    def _set(self, weight: float | None, mark: Mark | None) -> None:
        self.edits += 1
        self.traffic = Traffic(weight=weight, version=f"v{self.edits}", mark=mark)

    def _seen(self, router: tuple) -> Traffic | TrafficUnreadable:
        mark = self.traffic.mark
        match router:
            case ("unreadable",):
                return TrafficUnreadable("connection refused")
            case ("unknown",):
                return replace(self.traffic, weight=None)
            case ("unsettled",):
                return replace(self.traffic, settled=False)
            case ("edited", weight):
                self._set(weight, mark)
            case ("foreign mark",):
                self._set(30.0, Mark(rollout="other", release="theirs", attempt=9, stage=2, epoch=10**6))
            case ("newer daemon",) if mark is not None:
                self._set(self.traffic.weight, replace(mark, epoch=mark.epoch + 7))
        return self.traffic

    def _read(self, happening: Happening):
        canary = [*self._sickness(), *happening.canary]
        return build.look_readings(self.elapsed_s, canary=self._placed(canary), stable=self._placed(happening.stable))

    def _sickness(self):
        sick = self.sick is not None and self.elapsed_s >= self.sick[1]
        return [(self.sick[0], WORSE[self.sick[0]], 0)] if sick else []

    def _placed(self, readings):
        return {name: self._at(reading, shift_s) for name, reading, shift_s in readings}

    def _at(self, reading: Reading, shift_s: float) -> Reading:
        return reading if _is_unknown(reading) else replace(reading, newest_at=self.elapsed_s + shift_s)


@st.composite
def drives(draw):
    both = (draw(policies()), draw(policies(digest="second")))
    stage = draw(st.integers(0, both[0].last_stage))
    everything = frozenset(range(1, 5))
    desired = build.desired(draw(st.sampled_from([both[0].last_stage, stage])), approved=everything)
    sick = draw(st.one_of(st.none(), st.tuples(st.sampled_from(sorted(WORSE)), st.floats(0, 20 * INTERVAL_S))))
    return Drive(both, desired, sick=sick)


# ---------------------------------------------------------------- decide


@thorough
@given(drives(), HISTORIES)
def test_every_invariant_holds_at_every_look_and_every_decision_can_be_told(drive, history):
    for happening in history:
        step = drive.prepare(happening)
        assert violations(step) == ()
        told = sentence(step.policy, step.desired, step.decision, 0)
        assert told.endswith(".")
        event(f"action {step.decision.action}")
        drive.carry_out(step, obeys=happening.obeys)


@thorough
@given(drives(), HISTORIES)
def test_the_same_input_gives_the_same_decision_also_after_being_stored_and_read_back(drive, history):
    for step in drive.go_on(history):
        restored = None if step.before is None else codec.decode(codec.encode(step.before))
        assert restored == step.before
        again = decide(step.policy, step.desired, restored, step.observation, step.now)
        assert again == step.decision
        assert codec.encode(again.state) == codec.encode(step.after)


@thorough
@given(drives(), HISTORIES)
def test_no_promotion_without_a_full_window_of_credited_looks(drive, history):
    credited_s = 0.0
    for step in drive.go_on(history):
        left = step.after.stage - 1
        if step.decision.action is Action.PROMOTE and left:
            window_s = 0.0 if left in step.desired.waived else step.policy.stages[left - 1].window_s
            gap_s = step.now.seconds_since(step.before.last_look) if step.before.last_look else 0.0
            assert credited_s + gap_s >= window_s - 1e-6
        before_s = step.before.watched_s if step.before else 0.0
        gained_s = step.after.watched_s - before_s
        assert gained_s <= 0 or step.decision.watched
        same = step.before is not None and step.before.stage == step.after.stage
        credited_s = credited_s + max(0.0, gained_s) if same and step.after.watched_s else step.after.watched_s


@thorough
@given(drives(), HISTORIES)
def test_every_change_carries_an_epoch_that_was_never_used_before(drive, history):
    changes = [step.decision.change for step in drive.go_on([replace(h, lose_state=False) for h in history])]
    epochs = [change.mark.epoch for change in changes if change]
    assert all(earlier < later for earlier, later in itertools.pairwise(epochs))


@thorough
@given(drives(), HISTORIES, st.sampled_from(sorted(WORSE)))
def test_a_worse_sample_never_leads_to_more_traffic(drive, history, metric):
    for happening in history:
        before = replace(drive)
        step = drive.prepare(happening)
        worse = replace(happening, canary=(*happening.canary, (metric, WORSE[metric], 0)))
        with_worse = before.prepare(worse)
        if not _is_unknown(step.observation.readings.get(metric, Side.CANARY)):
            assert _weight_after(with_worse) <= _weight_after(step)
        drive.carry_out(step, obeys=happening.obeys)


def _is_unknown(reading: Reading) -> bool:
    return isinstance(reading, (NoData, Unread))


def _weight_after(step: Step) -> float:
    change = step.decision.change
    if change is not None:
        return change.weight
    return step.seen_weight if step.seen_weight is not None else 0.0


@thorough
@given(drives(), HISTORIES)
def test_an_unknown_sample_never_leads_to_more_traffic(drive, history):
    for happening in history:
        before = replace(drive)
        step = drive.prepare(happening)
        silent = tuple((name, Unread(why=Fault.TIMEOUT, detail="late"), 0) for name in build.METRICS)
        blind = before.prepare(replace(happening, canary=silent))
        if blind.decision.checks or not blind.after.stage:
            assert blind.decision.action is not Action.PROMOTE
            assert not blind.raises or blind.seen_weight is None or blind.after.stage <= 1
        drive.carry_out(step, obeys=happening.obeys)


@thorough
@given(drives(), st.integers(0, 5), st.sets(st.integers(0, 59)))
def test_a_restart_never_makes_a_promotion_earlier(drive, down_s, restarts):
    untouched, restarted = replace(drive), drive
    healthy = [Happening() for _ in range(60)]
    broken = [Happening(restart=n in restarts, after_s=None) for n in range(60)]
    assert _promotion_times(restarted.go_on(broken)) >= _promotion_times(untouched.go_on(healthy))


def _promotion_times(steps: list[Step]) -> list[float]:
    """Return when each stage was entered, infinity for those that never were."""
    times = [step.now.elapsed for step in steps if step.decision.action is Action.PROMOTE]
    return [*times, *[float("inf")] * (8 - len(times))]


@thorough
@given(drives(), HISTORIES, st.randoms(use_true_random=False))
def test_the_order_of_metrics_gates_and_rules_does_not_matter_for_the_traffic(drive, history, chance):
    shuffled = replace(drive, policies=tuple(_shuffled(policy, chance) for policy in drive.policies))
    assert [_weight_after(step) for step in shuffled.go_on(history)] == [
        _weight_after(step) for step in drive.go_on(history)
    ]


def _shuffled(policy: Policy, chance: random.Random) -> Policy:
    def mixed(items):
        return chance.sample(list(items), len(items))

    stages = tuple(replace(stage, require=tuple(mixed(stage.require))) for stage in policy.stages)
    metrics = dict(mixed(policy.metrics.items()))
    return replace(policy, stages=stages, rollback=tuple(mixed(policy.rollback)), metrics=metrics)


def test_the_random_worlds_reach_what_matters():
    """A generator that never climbs or goes back would make every property above hold for nothing."""
    seen: set[Action] = set()

    @settings(max_examples=100, database=None, derandomize=True, deadline=None)
    @given(drives(), HISTORIES)
    def explore(drive, history):
        seen.update(step.decision.action for step in drive.go_on(history))

    explore()
    assert seen == set(Action)
