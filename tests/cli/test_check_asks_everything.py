"""``canaryd check`` asks every query, also those whose look-back is longer than the check."""

import socket

from canaryd.cli.exit_codes import Exit
from canaryd.cli.main import run_command_line

POLICY = """\
rollout: shop
desired: shop.desired.yaml
stable: {{service: shop}}
canary: {{service: shop-canary}}
router: {{type: config_file, path: shop.canary.json}}
sources: {{prom: {{type: prometheus, url: "http://127.0.0.1:{port}"}}}}
metrics:
  errors: {{source: prom, bad: 'sum(increase(bad[$window]))', total: 'sum(increase(all[$window]))'}}
stages: [{{weight: 5, window: 1h, require: [errors.rate < 1%]}}, {{weight: 100}}]
"""


def test_counts_of_a_server_that_does_not_answer_are_red(tmp_path, capsys):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        (tmp_path / "shop.yaml").write_text(POLICY.format(port=port))
        (tmp_path / "shop.desired.yaml").write_text("release: shop-2\nstage: 0\n")
        assert run_command_line(["check", str(tmp_path / "shop.yaml")]) == Exit.USAGE
    shown = capsys.readouterr().out
    assert "FAIL  errors on stable: connection refused" in shown
    assert "FAIL  errors on canary: connection refused" in shown
