import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from prometheus_client import generate_latest

from canaryd.core.readings import Absence, Fault, NoData, Readings, Side, Unread
from canaryd.telemetry.catalogue import CATALOGUE, Kind, as_markdown


@pytest.fixture
def full_page(recorder, hold, instruments, scrape):
    """A page on which every metric of the catalogue has at least one series."""
    recorder.record(hold)
    missing = Readings(
        {
            ("errors", Side.CANARY): Unread(why=Fault.TIMEOUT, detail="slow"),
            ("errors", Side.STABLE): NoData(why=Absence.NO_TRAFFIC, detail="quiet"),
        }
    )
    for _ in range(2):
        recorder.record(replace(hold, observation=replace(hold.observation, readings=missing)))
    recorder.record(hold)
    for number in range(401):
        instruments.count(
            next(spec for spec in CATALOGUE if spec.name == "canaryd_rollbacks_total"), "shop", str(number)
        )
    return scrape()


def test_every_metric_of_the_catalogue_appears_on_the_page(full_page):
    suffix = {Kind.HISTOGRAM: "_count"}
    missing = [spec.name for spec in CATALOGUE if not full_page.samples(spec.name + suffix.get(spec.kind, ""))]
    assert missing == []


def test_the_page_shows_exactly_the_labels_of_the_catalogue(full_page):
    for spec in CATALOGUE:
        if spec.kind is not Kind.HISTOGRAM:
            for sample in full_page.samples(spec.name):
                assert set(sample.labels) == set(spec.labels), spec.name


def test_every_canaryd_series_on_the_page_is_in_the_catalogue(full_page):
    known = {spec.name for spec in CATALOGUE}
    families = {line.split()[2] for line in full_page.text.splitlines() if line.startswith("# TYPE canaryd_")}
    assert families == known


def test_the_documentation_has_one_row_for_each_metric():
    rows = as_markdown().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [spec.name for spec in CATALOGUE]
    assert all(row.count("|") == 5 for row in rows)


def test_promtool_finds_nothing_to_complain_about(full_page):
    promtool = shutil.which("promtool")
    if promtool is None:
        assert os.environ.get("CI") != "true", "promtool must be installed in CI"
        pytest.skip("promtool is not installed (Debian package prometheus)")
    lint = subprocess.run(
        [promtool, "check", "metrics"], input=full_page.text, capture_output=True, text=True, timeout=30, check=False
    )
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")


def test_two_sets_of_instruments_do_not_share_anything(instruments):
    other = type(instruments)(version="other")
    assert 'version="1.2.3"' in generate_latest(instruments.registry).decode()
    assert 'version="1.2.3"' not in generate_latest(other.registry).decode()
