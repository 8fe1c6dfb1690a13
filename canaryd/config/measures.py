"""From the policy's metrics, sources and labels to what is asked of the sources."""

from __future__ import annotations

from canaryd.config.border import Problems
from canaryd.config.misfit import Misfit, listed, nearest, printable
from canaryd.config.models import CountsMetric, GaugeMetric, HealthMetric, HistogramMetric, PolicyModel
from canaryd.core.conditions import Unit
from canaryd.core.model import Metric
from canaryd.core.readings import MetricKind, Side
from canaryd.ports import Query

AnyMetric = CountsMetric | HistogramMetric | GaugeMetric | HealthMetric

RESERVED_LABEL = "window"
"""``$window`` is what sources fill in themselves."""

_UNITS = {"s": Unit.SECONDS, "bytes": Unit.BYTES, "ratio": Unit.RATIO, "number": Unit.NUMBER}
_EXPRESSIONS = ("bad", "total", "histogram", "sum", "value", "path")


def build_metric(name: str, model: AnyMetric) -> Metric:
    """Return the metric as far as judging needs it."""
    match model:
        case CountsMetric():
            return Metric(name=name, kind=MetricKind.COUNTS, unit=Unit.NUMBER)
        case HistogramMetric():
            return Metric(name=name, kind=MetricKind.HISTOGRAM, unit=_UNITS[model.unit])
        case GaugeMetric():
            return Metric(name=name, kind=MetricKind.GAUGE, unit=_UNITS[model.unit])
        case HealthMetric():
            return Metric(name=name, kind=MetricKind.HEALTH, unit=Unit.STATE)


def build_queries(model: PolicyModel) -> tuple[Query, ...]:
    """Return one query per metric and side, in the policy's order."""
    targets = {Side.STABLE: model.stable, Side.CANARY: model.canary}
    return tuple(
        _query(build_metric(name, metric), metric, side, target)
        for name, metric in model.metrics.items()
        for side, target in targets.items()
    )


def _query(metric: Metric, model: AnyMetric, side: Side, target: dict[str, str]) -> Query:
    written = {key: getattr(model, key, None) for key in _EXPRESSIONS}
    return Query(
        metric=metric.name,
        kind=metric.kind,
        unit=metric.unit,
        side=side,
        source=model.source,
        target=target,
        expressions={key: text for key, text in written.items() if text is not None},
        up=model.up if isinstance(model, HealthMetric) else {},
    )


def refuse_unknown_sources(model: PolicyModel, problems: Problems) -> None:
    """Keep a problem for each metric whose source is not among the policy's."""
    for name, metric in model.metrics.items():
        problems.attempt(("metrics", name, "source"), _known_source, metric.source, list(model.sources))


def _known_source(name: str, known: list[str]) -> None:
    if name not in known:
        raise Misfit(
            "unknown source", found=printable(name), expected=listed(known) or "a source", nearest=nearest(name, known)
        )


def refuse_reserved_labels(model: PolicyModel, problems: Problems) -> None:
    """Keep a problem for each label whose placeholder means something else."""
    for side, labels in (("stable", model.stable), ("canary", model.canary)):
        if RESERVED_LABEL in labels:
            problems.attempt((side, RESERVED_LABEL), _refuse_reserved)


def _refuse_reserved() -> None:
    raise Misfit(f"the label {RESERVED_LABEL} is reserved", expected="another name: $window is the look-back")
