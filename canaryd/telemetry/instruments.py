"""The catalogue brought to life on a registry of its own; nothing here is global to the process.

Gauges of one rollout are replaced all at once, so a scrape never sees half a tick, and a label set that is not
published again is gone: a former release, an unknown weight, a check of the stage before. The number of label sets
of one metric and rollout is limited; what is beyond the limit is left out and counted.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from itertools import islice
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from canaryd.telemetry.catalogue import BUILD_INFO, CATALOGUE, SERIES_DROPPED, Kind, MetricSpec

MAX_SERIES = 400
"""Label sets of one metric and rollout: one hundred checks with four outcomes each."""
MAX_LABEL_CHARS = 200
"""Longer label values are cut."""

LabelValues = tuple[str, ...]
GaugeValues = Mapping[MetricSpec, Mapping[LabelValues, float]]
"""All gauges of one rollout: for each metric, the value for each set of label values."""

_PROCESS = ""  # no rollout has an empty name


class Instruments:
    """All metrics of one process."""

    def __init__(self, version: str) -> None:
        self.registry: CollectorRegistry = _Registry()
        self._gauges = _GaugeSnapshots()
        self._counters = {spec: self._counter(spec) for spec in CATALOGUE if spec.kind is Kind.COUNTER}
        self._histograms = {spec: self._histogram(spec) for spec in CATALOGUE if spec.kind is Kind.HISTOGRAM}
        self._seen: dict[tuple[MetricSpec, str], set[LabelValues]] = {}
        self._register_collectors()
        self._gauges.replace(_PROCESS, {BUILD_INFO: {(version, platform.python_version()): 1.0}})

    def publish(self, rollout: str, gauges: GaugeValues) -> None:
        """Replace every gauge of a rollout at once."""
        for spec, values in gauges.items():
            if (dropped := len(values) - MAX_SERIES) > 0:
                self._count_dropped(rollout, spec, dropped)
        self._gauges.replace(rollout, {spec: _bounded(values) for spec, values in gauges.items()})

    def withdraw(self, rollout: str) -> None:
        """Remove every gauge of a rollout that is no longer run; its counters stay as they are."""
        self._gauges.replace(rollout, {})

    def count(self, spec: MetricSpec, rollout: str, *labels: str, amount: float = 1.0) -> None:
        """Add to a counter; an amount of 0 makes it appear."""
        values = _cut((rollout, *labels))
        if self._admits(spec, rollout, values):
            self._counters[spec].labels(*values).inc(amount)
        else:
            self._count_dropped(rollout, spec, 1)

    def observe(self, spec: MetricSpec, value: float, rollout: str) -> None:
        """Add one value to a histogram."""
        self._histograms[spec].labels(rollout).observe(value)

    def _admits(self, spec: MetricSpec, rollout: str, values: LabelValues) -> bool:
        seen = self._seen.setdefault((spec, rollout), set())
        if values not in seen and len(seen) >= MAX_SERIES:
            return False
        seen.add(values)
        return True

    def _count_dropped(self, rollout: str, spec: MetricSpec, amount: int) -> None:
        self._counters[SERIES_DROPPED].labels(rollout, spec.name).inc(amount)

    def _counter(self, spec: MetricSpec) -> Counter:
        return Counter(spec.name, spec.help, spec.labels, registry=self.registry)

    def _histogram(self, spec: MetricSpec) -> Histogram:
        return Histogram(spec.name, spec.help, spec.labels, buckets=spec.buckets, registry=self.registry)

    def _register_collectors(self) -> None:
        self.registry.register(self._gauges)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)


class _Registry(CollectorRegistry):
    """A registry that leaves out ``_created`` series, which double the page and tell nothing more."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class _GaugeSnapshots(Collector):
    """The latest gauges of every rollout, turned into metric families when asked."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._latest: dict[str, GaugeValues] = {}

    def replace(self, rollout: str, gauges: GaugeValues) -> None:
        with self._lock:
            self._latest[rollout] = gauges

    def describe(self) -> list[Metric]:
        return [_family(spec) for spec in CATALOGUE if spec.kind is Kind.GAUGE]

    def collect(self) -> list[Metric]:
        with self._lock:
            snapshots = list(self._latest.values())
        return [_filled(spec, snapshots) for spec in CATALOGUE if spec.kind is Kind.GAUGE]


def _family(spec: MetricSpec) -> GaugeMetricFamily:
    return GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)


def _filled(spec: MetricSpec, snapshots: list[GaugeValues]) -> GaugeMetricFamily:
    family = _family(spec)
    for snapshot in snapshots:
        for labels, value in snapshot.get(spec, {}).items():
            family.add_metric(labels, value)
    return family


def _bounded(values: Mapping[LabelValues, float]) -> dict[LabelValues, float]:
    return {_cut(labels): value for labels, value in islice(values.items(), MAX_SERIES)}


def _cut(labels: LabelValues) -> LabelValues:
    return tuple(label[:MAX_LABEL_CHARS] for label in labels)
