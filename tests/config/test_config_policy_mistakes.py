"""What is wrong in a policy file is told in one line, at its place, with what was meant."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.config.policy import parse_policy
from canaryd.config.starter import write_starter
from canaryd.errors import InvalidFile


def refusal(text: str | bytes) -> str:
    with pytest.raises(InvalidFile) as caught:
        parse_policy(text, Path("ion-api.yaml"))
    return str(caught.value)


MISTAKES = [
    ('errors.rate < 1%', '▸errors.rat < 1%',
     ('unknown signal; found errors.rat; expected one of errors.rate, errors.success, errors.count. '
      'Did you mean errors.rate?')),
    ('latency.p95 < 15s', 'latency.p95 < ▸15',
     '15 what? s or ms; found 15; expected a time such as 15s or 500ms. Did you mean 15s?'),
    ('latency.p95 < 15s', "'latency.p95 < ▸15%'",
     'the unit does not fit the signal; found 15%; expected a time such as 15s or 500ms'),
    ('errors.rate < 1%', 'errors.rate ▸== 1%',
     'no such comparison; found ==; expected one of < <= > >='),
    ('health is down', 'health ▸< 3',
     'the comparison does not fit the signal; found <; expected such as health is up'),
    ('latency.mean < 0.9x stable', 'latency.mean < ▸0x stable',
     'the factor must be over 0; found 0x stable; expected such as 0.9x stable'),
    ('[errors.rate < 1.5%,', '[▸7,',
     'the key require has a wrong value; found the number 7; expected text, in quotes'),
    ('require: [latency.mean < 0.9x stable]', 'require: ▸latency.mean < 0.9x stable',
     'the key require has a wrong value; found the text "latency.mean < 0.9x stable"; expected a list'),
    ('weight: 10', 'weight: ▸5',
     'weights must rise from stage to stage; found 5; expected over 5'),
    ('weight: 10', 'weight: ▸"10"',
     'the key weight has a wrong value; found the text "10"; expected a number'),
    ('weight: 10', 'weight: ▸true',
     'the key weight has a wrong value; found true; expected a number'),
    ('weight: 10', 'weight: ▸.nan',
     'infinite and undefined numbers are not allowed; found .nan; expected a finite number'),
    ('weight: 10', 'weight: ▸0',
     'the key weight has a wrong value; found the number 0; expected over 0'),
    ('weight: 100', 'weight: ▸101',
     'the key weight has a wrong value; found the number 101; expected at most 100'),
    ('weight: 10', '▸wieght: 10',
     'unknown key wieght'),
    ('{weight: 50, window: 72h, ', '▸{weight: 50, ',
     'the key window is missing; only the last stage is watched without end'),
    ('window: 72h', 'window: ▸72',
     'a duration needs a unit; found the number 72'),
    ('window: 72h', "window: ▸'72'",
     'a duration needs a unit; found 72'),
    ('window: 72h', 'window: ▸-72h',
     'not a duration; found -72h; expected a duration such as 30s, 15m, 24h or 1h30m'),
    ('window: 72h', 'window: ▸400d',
     'the duration is out of bounds; found 400d; expected 100 ms to 366 d'),
    ('window: 72h', 'window: ▸0s',
     'the duration is out of bounds; found 0s; expected 100 ms to 366 d'),
    ('window: 72h', 'window: ▸1:30',
     'not a duration; found 1:30; expected a duration such as 30s, 15m, 24h or 1h30m'),
    ('approval: required', 'approval: ▸yes',
     'the key approval has a wrong value; found the text "yes"; expected required'),
    ('memory > 85%, for: 2', 'memory > 85%, at_least: ▸20 requests',
     'memory counts no requests to gather; expected no at_least, or a metric that counts'),
    ('500 requests', '▸500.5',
     'not a count; found the number 500.5; expected a whole number such as 500 or 500 requests'),
    ('500 requests', '▸0',
     'the count is out of bounds; found the number 0; expected 1 or more'),
    ('500 requests', '▸many requests',
     'not a count; found many requests; expected a whole number such as 500 or 500 requests'),
    ('to: stable', 'to: ▸stage 9',
     'no such stage to go back to; found stage 9; expected at most stage 4'),
    ('to: stable', 'to: ▸stage 0',
     'not a place to go back to; found the text "stage 0"'),
    ('to: stable', 'to: ▸2',
     'not a place to go back to; found the number 2; expected previous, stable or stage N. Did you mean stage 2?'),
    ('for: 3}', 'for: ▸yes}',
     'the key for has a wrong value; found the text "yes"; expected a whole number'),
    ('for: 3}', 'for: ▸0}',
     'the key for has a wrong value; found the number 0; expected at least 1'),
    ('for: 3}', 'for: ▸3.0}',
     'the key for has a wrong value; found the number 3.0; expected a whole number'),
    ('for: 3}', '▸fro: 3}',
     'unknown key fro; expected one of when, for, to, at_least, name. Did you mean for?'),
    ('{when: memory > 85%', '▸{when: errors.rate > 1%',
     'two rules of one name; found errors.rate > 1%; expected another name, with the key name'),
    ('{when: memory > 85%, for', '▸{for',
     'the key when is missing'),
    ('confidence: {source: prom', 'confidence: {source: ▸prim',
     'unknown source; found prim; expected one of prom, http. Did you mean prom?'),
    ('{source: prom, value: \'mem{service="$service"}\', unit: ratio',
     '▸{source: prom, value: \'mem{service="$service"}\', bad: x',
     'the keys of several kinds of metric are mixed; found bad, value; expected either bad and total; or value'),
    ('{source: http, path: /health, up: {status: healthy, pipeline_ready: true}',
     '▸{source: http, path: /health, pth: x',
     'a metric needs something to read; expected either bad and total; or histogram (and sum); or value; or up'),
    ('status: healthy', 'status: ▸[healthy]',
     'only single values can be compared; found a list; expected text, a number, true or false'),
    ('{source: prom, bad: \'sum(bad{service="$service"})\', total: \'sum(all{service="$service"})\'',
     '▸{source: prom, bad: \'sum(bad{service="$service"})\'',
     'the key total is missing'),
    ('unit: s}', 'unit: ▸ms}',
     'the key unit has a wrong value; found the text "ms"; expected s, bytes, ratio or number'),
    ('unit: ratio', '▸units: ratio',
     'unknown key units; expected one of source, value, unit, path. Did you mean unit?'),
    ('  errors: ', '  ▸Errors: ',
     'not a name; found Errors; expected lower-case letters, digits and _, a letter first'),
    ('{type: prometheus, ', '▸{',
     'the key type is missing'),
    ('{type: http_json}', '▸http_json',
     'the key http has a wrong value; found the text "http_json"; expected a mapping'),
    ('router: {type: config_file, path: canary.json}', '▸router:',
     'the key router has a wrong value; found nothing; expected a mapping'),
    ('router:', '▸roter:',
     'unknown key roter; expected one of rollout, desired, '),
    ('blind:', '▸warn: []\nblind:',
     'unknown key warn; expected one of rollout, desired, interval, stable'),
    ('blind:', '▸router: {}\nblind:',
     'duplicate key router; it stands in line 6 already'),
    ('page_after: 2m', 'page_after: ▸never',
     'not a duration; found never; expected a duration such as 30s, 15m, 24h or 1h30m'),
    ('rollout: ion-api', 'rollout: ▸Ion',
     'not a name; found Ion; expected lower-case letters, digits and -, a letter first'),
    ('rollout: ion-api', 'rollout: ▸../x',
     'not a name; found ../x; expected lower-case letters, digits and -, a letter first'),
    ('desired: ion-api.desired.yaml ', 'desired: ▸"a\\0b" ',
     'control characters are not allowed; found a\\x00b; expected one line of text'),
    ('until: 15m', '▸untl: 15m',
     'unknown key untl; expected one of every, until. Did you mean until?'),
    ('{every: 30s, until: 15m', '▸{every: 30s',
     'the key until is missing; only the last interval goes on without end'),
    ('{every: 5m}', '{every: 5m, until: ▸10m}',
     'intervals must follow one another; found 10 min; expected over 15 min'),
    ('{every: 5m}', '{every: ▸1ms}',
     'the duration is out of bounds; found 1ms; expected 100 ms to 24 h'),
    ('interval: [', 'interval: ▸[] # [',
     'the key interval has a wrong value; found 0; expected at least 1'),
    ('service: ion-api,', 'window: ▸ion-api,',
     'the label window is reserved; expected another name: $window is the look-back'),
    ('port: 9001', 'port: ▸9001.5',
     'not a label; found the number 9001.5; expected text'),
    ('port: 9001', 'port: yes, ▸port: no',
     'duplicate key port; it stands in line 4 already'),
]  # fmt: skip
"""What stands in a good policy, what it is replaced with (▸ is the place to be told), and what must be said."""


@pytest.mark.parametrize(("old", "marked", "message"), MISTAKES, ids=[marked for _, marked, _ in MISTAKES])
def test_a_mistake_is_told_at_its_place(policy_text: str, old: str, marked: str, message: str) -> None:
    assert old in policy_text
    before, _, after = policy_text.replace(old, marked, 1).partition("▸")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    started = time.perf_counter()
    told = refusal(before + after)
    assert told.startswith(f"ion-api.yaml:{line}:{column}: {message}")
    assert "\n" not in told
    assert time.perf_counter() - started < 1


def test_a_section_that_is_left_out_is_missed_at_the_top(policy_text: str) -> None:
    without = policy_text.replace("router: {type: config_file, path: canary.json}\n", "")
    assert refusal(without) == "ion-api.yaml:1:1: the key router is missing"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "nothing"),
        ("- 1\n", "a list"),
        ("text", 'the text "text"'),
        ("3\n", "the number 3"),
        ("# only\n", "nothing"),
    ],
)
def test_a_file_of_another_shape_is_refused(content: str, found: str) -> None:
    problem = "this is not what the file should hold"
    assert refusal(content) == f"ion-api.yaml:1:1: {problem}; found {found}; expected a mapping"


def test_a_stage_cannot_wait_for_requests_that_nobody_counts() -> None:
    text = "rollout: r\ndesired: d\nstable: {}\ncanary: {}\nrouter: {type: x}\nsources: {s: {type: y}}\n"
    text += "metrics: {m: {source: s, value: v}}\nstages: [{weight: 5, at_least: 10}]\n"
    assert refusal(text).startswith("ion-api.yaml:8:32: no metric counts requests")


def test_of_several_mistakes_the_first_by_line_is_told(policy_text: str) -> None:
    text = policy_text.replace("health is down", "health is fine").replace("errors.rate < 1.5%", "errors.rat < 1%")
    assert refusal(text).startswith("ion-api.yaml:18:41:")


@pytest.mark.parametrize(
    ("key", "entry", "count", "message"),
    [
        ("stages:\n", "  - {{weight: 0.0{n:02}, window: 1h}}\n", 50, "the key stages has a wrong value; found 54"),
        ("rollback:\n", "  - {{when: health is up, name: n{n}}}\n", 97, "found 101; expected at most 100"),
        ("metrics:\n", "  m{n}: {{source: prom, value: x}}\n", 46, "found 51; expected at most 50"),
        ("sources:\n", "  s{n}: {{type: scrape}}\n", 19, "found 21; expected at most 20"),
    ],
)
def test_there_is_an_end_to_everything(policy_text: str, key: str, entry: str, count: int, message: str) -> None:
    entries = "".join(entry.format(n=n + 1) for n in range(count))
    assert message in refusal(policy_text.replace(f"\n{key}", f"\n{key}{entries}", 1))


def test_rules_of_stages_count_towards_the_limit(policy_text: str) -> None:
    rules = ", ".join(f"{{when: health is up, name: n{n}}}" for n in range(99))
    text = policy_text.replace("- {weight: 50,", f"- {{weight: 50, rollback: [{rules}],")
    assert "too many rules; found 101; expected at most 100" in refusal(text)


# ---------------------------------------------------------------- anything at all


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_starter(tmp_path_factory.mktemp("starter"), "r")[0].read_text()


@given(st.data())
def test_any_damage_to_a_policy_is_a_policy_or_one_clear_line(starter: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(starter)))
    end = data.draw(st.integers(start, min(len(starter), start + 30)))
    piece = data.draw(st.text(max_size=8) | st.sampled_from(["{", "[]", "- ", ": ", "1", "null", "true", '"\\ud800"']))
    assert_is_policy_or_one_line(starter[:start] + piece + starter[end:])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_one_clear_line(content: bytes) -> None:
    assert_is_policy_or_one_line(content)


def assert_is_policy_or_one_line(content: str | bytes) -> None:
    try:
        told = parse_policy(content, Path("ion-api.yaml")).policy.rollout
    except InvalidFile as error:
        told = str(error)
    assert told
    assert told.isprintable()
