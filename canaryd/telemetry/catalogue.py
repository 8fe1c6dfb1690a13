"""Every metric of canaryd in one table.

Rules of this file: a metric that is not here does not exist; names and units are as Prometheus asks; every label
set is bounded by the policy or by a closed set of words. The documentation is made from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The Prometheus types in use."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric: what it is called, what it means and how it is told apart. ``buckets`` are upper bounds."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ("rollout",)
    buckets: tuple[float, ...] = ()


BUILD_INFO = MetricSpec(
    "canaryd_build_info",
    Kind.GAUGE,
    "Always 1; the labels say which canaryd runs on which Python.",
    ("version", "python"),
)

# ---------------------------------------------------------------- where a rollout stands

ROLLOUT_INFO = MetricSpec(
    "canaryd_rollout_info",
    Kind.GAUGE,
    "Always 1; the labels say which release is rolled out and in which phase.",
    ("rollout", "release", "phase"),
)
PHASE = MetricSpec("canaryd_phase", Kind.GAUGE, "1 for the phase the rollout is in, else 0.", ("rollout", "phase"))
STAGE = MetricSpec("canaryd_stage", Kind.GAUGE, "Stage in force or being moved to; 0 is all stable.")
DESIRED_STAGE = MetricSpec("canaryd_desired_stage", Kind.GAUGE, "Highest stage that people allow.")
LAST_STAGE = MetricSpec("canaryd_last_stage", Kind.GAUGE, "Number of the policy's last stage.")
ATTEMPT = MetricSpec("canaryd_attempt", Kind.GAUGE, "Attempt in progress; people raise it to retry.")
EPOCH = MetricSpec("canaryd_epoch", Kind.GAUGE, "Fence against an older daemon; grows with each change of traffic.")
LATCHED = MetricSpec("canaryd_latched", Kind.GAUGE, "1 after a rollback, until a person retries.")
FINISHED = MetricSpec("canaryd_finished", Kind.GAUGE, "1 when the last stage is proven.")

DESIRED_WEIGHT = MetricSpec(
    "canaryd_desired_weight_ratio", Kind.GAUGE, "Share of traffic the canary should get, 0 to 1."
)
OBSERVED_WEIGHT = MetricSpec(
    "canaryd_observed_weight_ratio",
    Kind.GAUGE,
    "Share of traffic the router gives the canary, 0 to 1; absent when unknown.",
)

# ---------------------------------------------------------------- why it stays there

WINDOW_WATCHED = MetricSpec("canaryd_window_watched_seconds", Kind.GAUGE, "Time really watched at the present stage.")
WINDOW_REQUIRED = MetricSpec(
    "canaryd_window_required_seconds",
    Kind.GAUGE,
    "Time to be watched at the present stage; absent where there is no end.",
)
BLIND = MetricSpec("canaryd_blind_seconds", Kind.GAUGE, "Time since the last usable look; 0 while looks are usable.")
HOLD = MetricSpec("canaryd_hold", Kind.GAUGE, "1 for each reason of the present hold, else 0.", ("rollout", "reason"))

SIGNAL_INFO = MetricSpec(
    "canaryd_signal_info",
    Kind.GAUGE,
    "Always 1; the label says in which unit a signal is given.",
    ("rollout", "signal", "unit"),
)
SIGNAL_VALUE = MetricSpec(
    "canaryd_signal_value",
    Kind.GAUGE,
    "Signal at the last look, in its base unit; up is 1 and down 0; absent without data.",
    ("rollout", "signal", "side"),
)
CHECK_VALUE = MetricSpec(
    "canaryd_check_value",
    Kind.GAUGE,
    "What a check judged: the stage so far, the last look, or what was gathered; absent without data.",
    ("rollout", "signal", "check", "role", "side"),
)
CHECK_LIMIT = MetricSpec(
    "canaryd_check_limit",
    Kind.GAUGE,
    "Limit that a check compares with, in the signal's base unit; absent when it cannot be computed.",
    ("rollout", "signal", "check", "role"),
)
CHECK_OUTCOME = MetricSpec(
    "canaryd_check_outcome",
    Kind.GAUGE,
    "1 for the outcome of a check, else 0.",
    ("rollout", "check", "role", "outcome"),
)
RULE_STREAK = MetricSpec("canaryd_rule_streak", Kind.GAUGE, "Breaches of a rule in a row.", ("rollout", "rule"))
RULE_STREAK_LIMIT = MetricSpec(
    "canaryd_rule_streak_limit", Kind.GAUGE, "Breaches in a row at which a rule rolls back.", ("rollout", "rule")
)

# ---------------------------------------------------------------- what was done

PROMOTIONS = MetricSpec("canaryd_promotions_total", Kind.COUNTER, "Promotions to a higher stage.")
ROLLBACKS = MetricSpec(
    "canaryd_rollbacks_total", Kind.COUNTER, "Rollbacks by the rule that fired, or blind.", ("rollout", "reason")
)
HOLDS = MetricSpec(
    "canaryd_holds_total", Kind.COUNTER, "Ticks that held, by each of their reasons.", ("rollout", "reason")
)

# ---------------------------------------------------------------- whether the daemon itself is well

TICKS = MetricSpec("canaryd_ticks_total", Kind.COUNTER, "Ticks by how they ended.", ("rollout", "outcome"))
TICK_DURATION = MetricSpec(
    "canaryd_tick_duration_seconds",
    Kind.HISTOGRAM,
    "How long a tick took.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40),
)
SKIPPED_LOOKS = MetricSpec(
    "canaryd_skipped_looks_total", Kind.COUNTER, "Looks that were due while a tick overran its interval."
)
LAST_TICK = MetricSpec("canaryd_last_tick_timestamp_seconds", Kind.GAUGE, "When the last tick ended, as Unix time.")
INTERVAL = MetricSpec("canaryd_interval_seconds", Kind.GAUGE, "Time from the last tick to the next.")
SOURCE_ERRORS = MetricSpec(
    "canaryd_source_errors_total",
    Kind.COUNTER,
    "Reads of a metric that failed, by kind of error.",
    ("rollout", "metric", "side", "kind"),
)
ABSENCES = MetricSpec(
    "canaryd_absences_total",
    Kind.COUNTER,
    "Reads that were answered without usable data, by cause.",
    ("rollout", "metric", "side", "cause"),
)
DESIRED_FILE_ERROR = MetricSpec(
    "canaryd_desired_file_error", Kind.GAUGE, "1 while the desired-state file is missing or invalid."
)
DESIRED_FILE_VALID = MetricSpec(
    "canaryd_desired_file_last_valid_timestamp_seconds",
    Kind.GAUGE,
    "When the desired-state file was last read and valid, as Unix time; absent until then.",
)
SERIES_DROPPED = MetricSpec(
    "canaryd_series_dropped_total",
    Kind.COUNTER,
    "Updates left out because a metric had too many label sets for one rollout.",
    ("rollout", "metric"),
)

CATALOGUE: tuple[MetricSpec, ...] = tuple(spec for spec in globals().copy().values() if isinstance(spec, MetricSpec))


def as_markdown() -> str:
    """Return the catalogue as a Markdown table for the documentation."""
    rows = [f"| `{spec.name}` | {spec.kind} | {_label_cell(spec)} | {spec.help} |" for spec in CATALOGUE]
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows, ""])


def _label_cell(spec: MetricSpec) -> str:
    return ", ".join(f"`{label}`" for label in spec.labels)
