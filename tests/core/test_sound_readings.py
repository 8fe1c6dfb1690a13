"""What a source says is judged only if it can be true; sums over a stage stay true."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.core.conditions import Signal
from canaryd.core.judge import follow, value_of
from canaryd.core.model import Track
from canaryd.core.readings import (
    Absence,
    Counts,
    Fault,
    Gauge,
    Health,
    Histogram,
    NoData,
    Unread,
    add,
    quantile,
    sound,
)
from canaryd.testing import build
from canaryd.testing.build import counts, latencies

GOOD = [counts(5), latencies(5, 2.0), Gauge(value=0.5, newest_at=5), Health(up=True, detail="", newest_at=5)]


@pytest.mark.parametrize("reading", GOOD)
def test_what_can_be_true_is_kept_as_it_is(reading):
    assert sound(reading) == reading


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("reading", "part"),
    [
        (counts(5), "bad"),
        (counts(5), "total"),
        (counts(5), "span_s"),
        (counts(5), "newest_at"),
        (latencies(5, 2.0), "total_value"),
        (latencies(5, 2.0), "newest_at"),
        (Gauge(value=1, newest_at=5), "value"),
        (Gauge(value=1, newest_at=5), "newest_at"),
        (Health(up=True, detail="", newest_at=5), "newest_at"),
    ],
)
def test_no_number_is_no_data_wherever_it_stands(reading, part, number):
    judged = sound(replace(reading, **{part: number}))
    assert isinstance(judged, NoData)
    assert judged.why is Absence.NOT_A_NUMBER


@pytest.mark.parametrize(
    "reading",
    [
        counts(5, total=10, bad=-1),
        counts(5, total=10, bad=11),
        counts(5, total=-1, bad=-1),
        counts(5, total=1e300),
        Gauge(value=-1e300, newest_at=5),
        Gauge(value=1, newest_at=1e300),
        Histogram(buckets=(), total_value=None, span_s=60, newest_at=5),
        Histogram(buckets=((math.inf, 3.0),), total_value=None, span_s=60, newest_at=5),
        Histogram(buckets=((1.0, 1.0), (5.0, 3.0)), total_value=None, span_s=60, newest_at=5),
        Histogram(buckets=((1.0, 4.0), (math.inf, 3.0)), total_value=None, span_s=60, newest_at=5),
        Histogram(buckets=((5.0, 1.0), (1.0, 2.0), (math.inf, 3.0)), total_value=None, span_s=60, newest_at=5),
        Histogram(buckets=((math.nan, 1.0), (math.inf, 3.0)), total_value=None, span_s=60, newest_at=5),
        Histogram(buckets=((1.0, -1.0), (math.inf, 3.0)), total_value=None, span_s=60, newest_at=5),
        Histogram(
            buckets=(*((float(n), 0.0) for n in range(600)), (math.inf, 3.0)), total_value=None, span_s=60, newest_at=5
        ),
    ],
)
def test_numbers_that_cannot_be_true_are_an_error(reading):
    judged = sound(reading)
    assert isinstance(judged, Unread)
    assert judged.why is Fault.BAD_ANSWER


@pytest.mark.parametrize("half_a_character", ["\ud800", "fine \udfff"])
def test_words_that_cannot_be_stored_are_made_fit(half_a_character):
    judged = sound(Health(up=False, detail=half_a_character, version=half_a_character, newest_at=5))
    assert judged.detail.encode()
    assert judged.version.encode()


def test_words_without_end_are_cut():
    assert len(sound(Unread(why=Fault.REFUSED, detail="no " * 10_000)).detail) == 500


# ---------------------------------------------------------------- sums over a stage

PARTS = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)).map(lambda pair: (min(pair), max(pair))),
    min_size=1,
    max_size=30,
)


@given(PARTS)
def test_disjoint_looks_add_up_to_the_whole(parts):
    total = None
    for number, (bad, requests) in enumerate(parts, start=1):
        total = add(total, counts(60.0 * number, total=requests, bad=bad, span_s=60.0))
    assert (total.bad, total.total) == (sum(bad for bad, _ in parts), sum(requests for _, requests in parts))
    assert total.span_s == 60.0 * len(parts)


@given(st.integers(2, 20), st.floats(1.0, 1000.0), st.floats(0, 1))
def test_overlapping_windows_of_steady_traffic_add_up_to_what_was_served(overlap, per_second, bad_share):
    """Each look covers ``overlap`` intervals; steady traffic must not be counted several times."""
    span_s, looks = 60.0 * overlap, 50
    total = None
    for number in range(looks):
        events = per_second * span_s
        total = add(total, counts(60.0 * number, total=events, bad=events * bad_share, span_s=span_s))
    served = per_second * (span_s + 60.0 * (looks - 1))
    assert total.total == pytest.approx(served)
    assert total.bad == pytest.approx(served * bad_share)


@given(PARTS)
def test_a_point_seen_twice_counts_once(parts):
    once = twice = None
    for number, (bad, requests) in enumerate(parts):
        reading = counts(60.0 * number, total=requests, bad=bad, span_s=60.0)
        once = add(once, reading)
        twice = add(add(twice, reading), reading)
    assert once == twice


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(1, 1000)), min_size=1, max_size=20))
def test_histograms_add_up_bucket_by_bucket(parts):
    total = None
    for number, (seconds, requests) in enumerate(parts, start=1):
        total = add(total, latencies(600.0 * number, seconds, total=requests))
    assert total.count == sum(requests for _, requests in parts)
    assert total.total_value == pytest.approx(sum(seconds * requests for seconds, requests in parts))
    assert sound(total) == total


def test_a_histogram_with_altogether_other_bounds_takes_the_place_of_the_old():
    """Adding them up would leave no finite bound, and a quantile of nothing."""
    old = latencies(600, 4.0)
    new = Histogram(buckets=((7.0, 0.0), (77.0, 50.0), (math.inf, 50.0)), total_value=None, span_s=600, newest_at=1200)
    assert add(old, new) == new


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40))
def test_a_gauge_over_the_stage_is_the_mean_of_its_looks(values):
    total = None
    for number, value in enumerate(values):
        total = add(total, Gauge(value=value, newest_at=float(number)))
    assert total.value == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert total.looks == len(values)


# ---------------------------------------------------------------- quantiles


@st.composite
def histograms(draw):
    bounds = sorted(draw(st.sets(st.integers(1, 10**9).map(lambda n: n / 1000), min_size=1, max_size=12)))
    steps = draw(st.lists(st.integers(0, 10**6), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    sums = [float(sum(steps[: n + 1])) for n in range(len(steps))]
    return Histogram(
        buckets=tuple(zip([*bounds, math.inf], sums, strict=True)), total_value=None, span_s=60, newest_at=5
    )


@given(histograms().filter(lambda h: h.count > 0), st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_quantiles_lie_between_the_bounds_and_rise_with_q(histogram, one, other):
    low, high = (quantile(histogram, q) for q in sorted((one, other)))
    assert 0 <= low <= high * (1 + 1e-12)
    assert high <= math.nextafter(histogram.buckets[-2][0], math.inf)


@given(histograms().filter(lambda h: h.count > 0), st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(histogram, q):
    value, rank = quantile(histogram, q), q * histogram.count
    below = max((count for bound, count in histogram.buckets if bound < value), default=0.0)
    at_or_below = next(count for bound, count in histogram.buckets if bound >= value or math.isinf(bound))
    assert below <= rank * (1 + 1e-9)
    assert at_or_below >= rank * (1 - 1e-9) or value == histogram.buckets[-2][0]


def test_a_histogram_without_requests_has_no_quantile():
    empty = latencies(5, 1.0, total=0.0)
    assert isinstance(value_of(Signal("latency", "p95"), empty), NoData)


# ---------------------------------------------------------------- streaks

RULE = build.rule("errors.rate > 0.01", 3)
LOOKS = st.lists(st.sampled_from(["bad", "good", "unknown", "same again"]), max_size=40)


@given(LOOKS)
def test_a_streak_is_the_bad_looks_since_the_last_good_one(looks):
    track, expected, newest = Track(), 0, 0.0
    for number, kind in enumerate(looks, start=1):
        newest = 60.0 * number if kind in ("bad", "good") else newest
        track, check = follow(RULE, track, build.look_readings(newest, canary=_errors(kind, newest)))
        expected = {"bad": expected + 1, "good": 0}.get(kind, expected)
        assert check.streak == expected


def _errors(kind, at_s):
    if kind == "unknown":
        return {"errors": Unread(why=Fault.TIMEOUT, detail="late")}
    return {"errors": counts(at_s, total=100, bad=50 if kind == "bad" else 0)}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_gathering_judges_each_request_exactly_once(requests):
    """With all requests bad, as many batches are judged as fill up, and nothing is judged twice."""
    rule = build.rule("errors.rate > 0.01", 1, at_least=50)
    track, gathered, judged = Track(), 0, 0
    for number, total in enumerate(requests, start=1):
        gathered += total
        reading = Counts(bad=total, total=total, span_s=60.0, newest_at=60.0 * number)
        track, check = follow(rule, track, build.look_readings(0, canary={"errors": reading}))
        if gathered >= 50:
            gathered, judged = 0, judged + 1
        assert check.streak == judged
