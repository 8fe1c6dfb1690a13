"""What people say to a rollout does not hang on what the daemon stored: going back above all."""

from __future__ import annotations

import pytest

from canaryd.cli.main import run_command_line
from canaryd.config.starter import write_starter


@pytest.fixture
def policy(tmp_path):
    """A rollout whose stored state is damaged beyond reading."""
    path, desired = write_starter(tmp_path, "my-api")
    desired.write_text(desired.read_text().replace("stage: 0 ", "stage: 3 "))
    state = tmp_path / ".canaryd"
    state.mkdir()
    (state / "my-api.db").write_bytes(b"no database " * 1000)
    return path


def desired_text(policy):
    return policy.with_name("my-api.desired.yaml").read_text()


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["rollback"], "stage: 0 "),
        (["rollback", "--to", "1"], "stage: 1 "),
        (["pause"], "paused: true\n"),
        (["retry"], "attempt: 2 "),
        (["promote"], "stage: 4 "),
        (["approve", "4"], "approved: [4] "),
    ],
    ids=" ".join,
)
def test_commands_that_need_no_state_work_with_a_damaged_one(command, line, policy):
    verb, *rest = command
    assert run_command_line([verb, str(policy), *rest]) == 0
    assert f"\n{line}" in desired_text(policy)


@pytest.mark.parametrize("command", [["approve"], ["waive"], ["rollback", "--to", "previous"]], ids=" ".join)
def test_commands_that_must_know_where_the_rollout_stands_refuse_to_guess(command, policy, capsys):
    before = desired_text(policy)
    verb, *rest = command
    assert run_command_line([verb, str(policy), *rest]) != 0
    said = capsys.readouterr().err
    assert "my-api.db" in said
    assert "internal error" not in said
    assert desired_text(policy) == before
