"""A router or a store must never be pointed at the files that people own."""

import pytest

from canaryd.cli.exit_codes import Exit
from canaryd.cli.main import run_command_line


@pytest.fixture
def policy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["init", "shop"]) == Exit.OK
    return tmp_path / "shop.yaml"


@pytest.mark.parametrize("path", ["shop.yaml", "./shop.yaml", "shop.desired.yaml"])
def test_a_router_that_would_overwrite_the_files_is_refused(policy, capsys, path):
    policy.write_text(policy.read_text().replace("shop.canary.json", path))
    assert run_command_line(["check", "--offline", "shop.yaml"]) == Exit.USAGE
    assert "expected a file of its own" in capsys.readouterr().err


def test_a_store_that_would_overwrite_the_routers_file_is_refused(policy, capsys):
    policy.write_text(f"{policy.read_text()}\nstate: {{type: sqlite, path: shop.canary.json}}\n")
    assert run_command_line(["check", "--offline", "shop.yaml"]) == Exit.USAGE
    assert "this is the router's file" in capsys.readouterr().err
