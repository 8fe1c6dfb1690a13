"""A selector's regular expression must not be able to stop the daemon."""

import pytest

from canaryd.metrics.exposition import parse_selector


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|aa)*", "x(a*){2,}"])
def test_a_repeated_group_is_refused(pattern):
    with pytest.raises(ValueError, match="a repeated group can take for ever"):
        parse_selector(f'requests{{code=~"{pattern}"}}')


@pytest.mark.parametrize("pattern", ["5..", "4..|5..", "(4|5)[0-9]+", r"a\\)+"])
def test_other_expressions_are_taken(pattern):
    assert parse_selector(f'requests{{code=~"{pattern}"}}').name == "requests"
