"""What ``canaryd init`` writes can be loaded as it is, and never replaces anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from canaryd.config.desired import parse_desired
from canaryd.config.policy import load_policy
from canaryd.config.starter import write_starter
from canaryd.errors import OperatorError


def test_the_starter_pair_is_valid_and_asks_for_nothing_yet(tmp_path: Path) -> None:
    policy_path, desired_path = write_starter(tmp_path, "my-api")
    loaded = load_policy(policy_path)
    assert tmp_path / loaded.desired == desired_path
    assert loaded.policy.rollout == "my-api"
    assert {section.type for section in loaded.sources.values()} == {"scrape", "http_json"}
    assert loaded.router.type == "config_file"
    assert parse_desired(desired_path.read_bytes(), desired_path.name, loaded.policy).stage == 0


@pytest.mark.parametrize("name", ["my-api.yaml", "my-api.desired.yaml"])
def test_a_file_that_is_there_is_named_and_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OperatorError, match=f"{name} is there already"):
        write_starter(tmp_path, "my-api")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_missing_folder_is_an_operators_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be written"):
        write_starter(tmp_path / "no", "my-api")


@pytest.mark.parametrize("name", ["", "My", "../x", "a b", "1a"])
def test_a_name_that_is_no_rollout_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OperatorError, match="cannot name a rollout"):
        write_starter(tmp_path, name)
