"""From the policy's stages, rules and intervals to the core's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from canaryd.config.border import Problems
from canaryd.config.conditions import parse_condition
from canaryd.config.document import Path
from canaryd.config.misfit import Misfit, printable
from canaryd.config.models import MAX_RULES, IntervalModel, RuleModel, StageModel
from canaryd.core.conditions import Condition
from canaryd.core.model import IntervalStep, Metric, Rule, Stage
from canaryd.core.readings import MetricKind
from canaryd.core.wording import format_duration

COUNTING_KINDS = (MetricKind.COUNTS, MetricKind.HISTOGRAM)

Metrics = Mapping[str, Metric]


def build_intervals(interval: float | Sequence[IntervalModel], problems: Problems) -> tuple[IntervalStep, ...]:
    """Return how often to look, for a stage's age."""
    if isinstance(interval, float):
        return (IntervalStep(every_s=interval),)
    for index, (step, later) in enumerate(pairwise(interval)):
        problems.attempt(("interval", index), _has_end, step)
        problems.attempt(("interval", index + 1, "until"), _ends_later, step, later)
    return tuple(IntervalStep(every_s=step.every, until_s=step.until) for step in interval)


def _has_end(step: IntervalModel) -> None:
    if step.until is None:
        raise Misfit("the key until is missing; only the last interval goes on without end")


def _ends_later(step: IntervalModel, later: IntervalModel) -> None:
    if step.until is not None and later.until is not None and later.until <= step.until:
        found, expected = format_duration(later.until), f"over {format_duration(step.until)}"
        raise Misfit("intervals must follow one another", found=found, expected=expected)


def build_stages(models: Sequence[StageModel], metrics: Metrics, problems: Problems) -> tuple[Stage, ...]:
    """Return the ladder; weights must rise, and every stage but the last needs a window."""
    for index, (model, higher) in enumerate(pairwise(models)):
        problems.attempt(("stages", index), _has_window, model)
        problems.attempt(("stages", index + 1, "weight"), _is_higher, higher.weight, model.weight)
    return tuple(_stage(model, number, metrics, problems) for number, model in enumerate(models, start=1))


def _has_window(stage: StageModel) -> None:
    if stage.window is None:
        raise Misfit("the key window is missing; only the last stage is watched without end")


def _is_higher(weight: float, below: float) -> None:
    if weight <= below:
        raise Misfit("weights must rise from stage to stage", found=f"{weight:g}", expected=f"over {below:g}")


def _stage(model: StageModel, number: int, metrics: Metrics, problems: Problems) -> Stage:
    path: Path = ("stages", number - 1)
    problems.attempt((*path, "at_least"), _is_counted, model, metrics)
    require = _conditions(model.require, (*path, "require"), metrics, problems)
    for index, condition in enumerate(require):
        problems.attempt((*path, "require", index), _has_stable_beside_it, condition, model.weight)
    return Stage(
        weight=model.weight,
        window_s=model.window,
        require=require,
        at_least=model.at_least or 0,
        approval=model.approval is not None,
        rollback=build_rules(model.rollback, (*path, "rollback"), metrics, number - 1, problems, at_stage=number),
    )


def _has_stable_beside_it(condition: Condition, weight: float) -> None:
    if condition.needs_stable and weight >= 100:
        raise Misfit("at 100 % stable has no traffic to compare with", found=condition.text, expected="a fixed limit")


def _is_counted(stage: StageModel, metrics: Metrics) -> None:
    """A stage that waits for requests which nobody counts would never be left."""
    if stage.at_least is not None and not any(metric.kind in COUNTING_KINDS for metric in metrics.values()):
        raise Misfit("no metric counts requests", expected="a metric with bad and total, or with histogram")


def _conditions(texts: Sequence[str], path: Path, metrics: Metrics, problems: Problems) -> tuple[Condition, ...]:
    parsed = [problems.attempt((*path, index), parse_condition, text, metrics) for index, text in enumerate(texts)]
    return tuple(condition for condition in parsed if condition is not None)


def build_rules(
    models: Sequence[RuleModel], path: Path, metrics: Metrics, highest: int, problems: Problems, *, at_stage: int = 0
) -> tuple[Rule, ...]:
    """Return the rules of the policy, or of one stage.

    Args:
        models: The rules as they were read.
        path: Where they stand.
        metrics: The metrics that conditions may name.
        highest: The highest stage that a rule may go back to.
        problems: Where misfits are kept.
        at_stage: The stage that the rules belong to; 0 for those of the policy.
    """
    rules = []
    for index, model in enumerate(models):
        problems.attempt((*path, index, "to"), _is_reachable, model.to, highest)
        when = problems.attempt((*path, index, "when"), parse_condition, model.when, metrics)
        if when is not None:
            problems.attempt((*path, index, "at_least"), _can_gather, model, metrics[when.signal.metric])
            rules.append(_rule(model, when, at_stage))
    return tuple(rules)


def _rule(model: RuleModel, when: Condition, at_stage: int) -> Rule:
    name = _rule_name(model, at_stage)
    return Rule(name=name, when=when, streak=model.streak, to=model.to, at_least=model.at_least or 0)


def _rule_name(model: RuleModel, at_stage: int) -> str:
    where = f" at stage {at_stage}" if at_stage else ""
    return model.name or " ".join(model.when.split()) + where


def _can_gather(model: RuleModel, metric: Metric) -> None:
    """A rule that waits for requests which its metric never counts would never be judged."""
    if model.at_least is not None and metric.kind not in COUNTING_KINDS:
        raise Misfit(f"{metric.name} counts no requests to gather", expected="no at_least, or a metric that counts")


def _is_reachable(to: object, highest: int) -> None:
    if isinstance(to, int) and to > highest:
        expected = f"at most stage {highest}" if highest else "previous or stable"
        raise Misfit("no such stage to go back to", found=f"stage {to}", expected=expected)


def refuse_ambiguous_rules(stages: Sequence[StageModel], rollback: Sequence[RuleModel], problems: Problems) -> None:
    """Keep a problem for each rule whose name another one has, and for too many; memory is kept by rule name."""
    named = [
        ((*path, index), _rule_name(model, at_stage))
        for path, models, at_stage in _groups(stages, rollback)
        for index, model in enumerate(models)
    ]
    seen: set[str] = set()
    for number, (path, name) in enumerate(named, start=1):
        problems.attempt(path, _is_alone, name, seen, number)
        seen.add(name)


def _groups(stages: Sequence[StageModel], rollback: Sequence[RuleModel]) -> Iterator[tuple[Path, list[RuleModel], int]]:
    for number, stage in enumerate(stages, start=1):
        yield ("stages", number - 1, "rollback"), stage.rollback, number
    yield ("rollback",), list(rollback), 0


def _is_alone(name: str, seen: set[str], number: int) -> None:
    if number > MAX_RULES:
        raise Misfit("too many rules", found=str(number), expected=f"at most {MAX_RULES}")
    if name in seen:
        raise Misfit("two rules of one name", found=printable(name), expected="another name, with the key name")
