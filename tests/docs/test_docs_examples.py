"""Every example file in the documentation is valid, and every message in it is the one that people get."""

from __future__ import annotations

import json
import re

import pytest

from canaryd.app import Process, build_rollout
from canaryd.config.conditions import parse_condition
from canaryd.config.desired import parse_desired
from canaryd.config.misfit import Misfit
from canaryd.config.policy import parse_policy
from canaryd.core.conditions import Unit
from canaryd.core.model import Metric
from canaryd.core.readings import MetricKind
from canaryd.errors import InvalidFile, Location
from canaryd.routers.config_file.document import traffic_of
from canaryd.settings import Settings

BLOCKS = {
    "test_a_policy_loads_and_its_adapters_take_their_options_and_queries": "yaml policy",
    "test_a_desired_state_fits_the_readmes_policy": "yaml desired",
}
METRICS = {
    "errors": Metric(name="errors", kind=MetricKind.COUNTS, unit=Unit.NUMBER),
    "latency": Metric(name="latency", kind=MetricKind.HISTOGRAM, unit=Unit.SECONDS),
    "confidence": Metric(name="confidence", kind=MetricKind.GAUGE, unit=Unit.NUMBER),
    "health": Metric(name="health", kind=MetricKind.HEALTH, unit=Unit.STATE),
}
POLICY = """\
rollout: my-api
desired: d.yaml
stable: {url: "http://127.0.0.1:1"}
canary: {url: "http://127.0.0.1:2"}
router: {type: config_file, path: c.json}
sources: {pages: {type: scrape}}
metrics: {errors: {source: pages, bad: bad_total, total: all_total}}
interval: 30s
stages: [{weight: 5, window: 1h}, {weight: 10, window: 1h}, {weight: 50, window: 1h}, {weight: 100}]
blind: {page_after: 2m, roll_back_after: never}
"""


def test_a_policy_loads_and_its_adapters_take_their_options_and_queries(block, tmp_path):
    file = parse_policy(block.body, tmp_path / "my-api.yaml")
    rollout = build_rollout(file, Process(Settings(state_dir=tmp_path)))
    assert rollout.queries


def test_a_desired_state_fits_the_readmes_policy(block, tmp_path):
    policy = parse_policy(POLICY, tmp_path / "my-api.yaml").policy
    assert parse_desired(block.body.encode(), block.page.name, policy).release.startswith("my-api")


def test_every_yaml_block_says_which_file_it_is(page, text_of):
    for info in re.findall(r"^```(ya?ml[^\n]*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert info in BLOCKS.values(), f"{page.name}: fence whole files as 'yaml policy' or 'yaml desired'"


def test_the_messages_about_conditions_are_the_real_ones(text_of, table_in):
    rows = table_in(text_of("docs/policy.md"), "| condition | message |")
    assert len(rows) >= 5
    for condition, message in rows:
        with pytest.raises(Misfit) as caught:
            parse_condition(condition.strip("`"), METRICS)
        wrong = caught.value
        said = InvalidFile(
            Location("x"), wrong.problem, found=wrong.found, expected=wrong.expected, nearest=wrong.nearest
        )
        assert f"x: {message.strip('`')}" == str(said)


def test_the_signals_in_the_grammar_table_can_be_used(text_of, table_in):
    for _, signals, _ in table_in(text_of("docs/policy.md"), "| metric has | signals |"):
        for signal in re.findall(r"`([a-z]+(?:\.[a-z0-9.]+)?)`", signals):
            if signal.partition(".")[0] in METRICS:
                limit = "is up" if signal == "health" else "> 0.5s" if signal.startswith("latency.p") else None
                assert parse_condition(
                    f"{signal} {limit or ('> 1s' if signal == 'latency.mean' else '> 0.5')}", METRICS
                )


@pytest.mark.parametrize(
    ("key", "shortest", "longest", "too_short", "too_long"),
    [
        ("interval: {}", "100ms", "1d", "99ms", "25h"),
        ("window: {}", "100ms", "366d", "99ms", "367d"),
        ("page_after: {}", "100ms", "366d", "99ms", "367d"),
        ("roll_back_after: {}", "1s", "30d", "999ms", "31d"),
    ],
)
def test_the_bounds_of_durations_are_those_on_the_page(key, shortest, longest, too_short, too_long, tmp_path, text_of):
    def policy_with(duration: str) -> str:
        name = key.partition(":")[0]
        return re.sub(rf"{name}: \w+", key.format(duration), POLICY, count=1)

    for duration in (shortest, longest):
        assert parse_policy(policy_with(duration), tmp_path / "p.yaml")
    for duration in (too_short, too_long):
        with pytest.raises(InvalidFile, match="out of bounds"):
            parse_policy(policy_with(duration), tmp_path / "p.yaml")


def test_the_routers_file_on_the_page_is_one_that_the_router_reads_whole(text_of):
    body = re.search(r"```json\n(.*?)```", text_of("docs/policy.md"), re.DOTALL)[1]
    traffic = traffic_of(body.encode(), "my-api.json")
    assert traffic.weight == json.loads(body)["traffic_percent"]
    assert traffic.mark is not None
    assert traffic.mark.epoch == json.loads(body)["epoch"]
