"""Templates become queries that mean what was written, whatever the labels hold."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canaryd.metrics.promql import render, selectors, uses_window

LITERAL = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)


def meaning(literal: str) -> str:
    """What a double-quoted PromQL literal stands for; its escapes are a subset of Python's."""
    return ast.literal_eval('"' + literal.replace("\r", "\\r").replace("\0", "\\0") + '"')


@given(st.text(max_size=30))
def test_a_label_comes_out_of_its_literal_as_it_went_in(label):
    expression = render('up{service="$service"}', {"service": label})
    (literal,) = LITERAL.findall(expression)
    assert meaning(literal) == label
    assert LITERAL.sub("", expression) == "up{service=}"


@given(st.text(max_size=30))
def test_a_label_in_a_regular_expression_matches_only_itself(label):
    expression = render('up{service=~"a|$service"}', {"service": label})
    (literal,) = LITERAL.findall(expression)
    pattern = re.compile(meaning(literal))
    assert pattern.fullmatch(label)
    if label not in ("", "a"):
        assert not pattern.fullmatch("x" + label)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ('up{service="$servic"}', "unknown placeholder $servic: did you mean $service?"),
        ("up[$windw]", "did you mean $window?"),
        ("up{service=$service}", "must stand inside quotes"),
        ("$service", "must stand inside quotes"),
        ("up{service=`$service`}", "use double quotes"),
        ('up{code=~"5..$"}', "write $$"),
        ("up[$]", "write $$"),
        ('up{a="$zzz"}', "known are $service, $window"),
    ],
)
def test_a_placeholder_out_of_place_is_explained(template, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        render(template, {"service": "ion"}, 60)


@pytest.mark.parametrize(("window_s", "written"), [(60, "60s"), (90.0, "90s"), (1.5, "1500ms"), (86400, "86400s")])
def test_the_window_is_written_as_prometheus_reads_it(window_s, written):
    assert render("up[$window] offset ${window}", {}, window_s) == f"up[{written}] offset {written}"


def test_a_doubled_dollar_sign_is_a_plain_one():
    assert render('up{code=~"5..$$"}', {}) == 'up{code=~"5..$"}'


def test_comments_are_left_out_with_whatever_they_hold():
    assert render("up # it's $nothing \"\n+ 1", {}).split() == ["up", "+", "1"]


@pytest.mark.parametrize(
    ("template", "looks_back"),
    [("increase(a[$window])", True), ("a[${window}]", True), ('a{b="$window"}', False), ("a # [$window]", False)],
)
def test_only_a_window_outside_of_strings_looks_back(template, looks_back):
    assert uses_window(template) is looks_back


names = st.from_regex(r"[a-z][a-z0-9_:]{2,8}", fullmatch=True).map(lambda name: f"m_{name}")
values = st.text(st.characters(codec="ascii", exclude_characters='"\\'), max_size=8)
matchers = st.lists(
    st.tuples(st.sampled_from(["a", "by", "sum"]), st.sampled_from(["=", "!=", "=~"]), values), max_size=2
).map(lambda found: "{" + ",".join(f'{label}{op}"{value}"' for label, op, value in found) + "}")
plain = st.builds(str.__add__, names, st.one_of(st.just(""), matchers))
wrappers = st.sampled_from(
    [
        "{}",
        "sum({})",
        "sum by (m_a, le) ({})",
        "SUM ({}) WITHOUT (m_b)",
        "rate({}[5m])",
        "max_over_time(rate({}[1m])[5m:1m] offset 1h)",
        "-({} @ end()) > bool 1.5e3",
        "histogram_quantile(0.9, {}) or vector(0)",
        "topk(3, {}) # {{m_comment}}\n",
        'label_replace({}, "m_x", "$1", "m_y", "(.*)")',
        "1 + {} * on (m_c) group_left (m_d) vector(1)",
        "2 ^ {} unless ignoring(m_f) inf",
    ]
)


@given(st.lists(st.tuples(wrappers, plain), min_size=1, max_size=4))
def test_every_selector_of_an_expression_is_found_and_nothing_else(parts):
    expression = " / ".join(wrapper.format(selector) for wrapper, selector in parts)
    assert set(selectors(expression)) == {selector for _, selector in parts}


@given(st.text(max_size=80))
def test_no_text_whatever_upsets_the_search_for_selectors(text):
    assert all(selectors(text))
