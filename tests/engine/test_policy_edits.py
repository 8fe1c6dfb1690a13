"""A policy file edited under a running daemon: only a policy that can run takes the place of the one in force."""

from pathlib import Path

import pytest

from canaryd.app import PolicySource, Process
from canaryd.settings import Settings

POLICY = """\
rollout: my-api
desired: my-api.desired.yaml
stable: {service: my-api, url: "http://127.0.0.1:9"}
canary: {service: my-api-canary, url: "http://127.0.0.1:9"}
router: {type: config_file, path: canary.json}
sources: {prom: {type: prometheus, url: "http://127.0.0.1:9"}}
metrics: {memory: {source: prom, value: 'memory{service="$service"}'}}
stages: [{weight: 5, window: 1h}, {weight: 100}]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "my-api.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def source(path: Path) -> PolicySource:
    source = PolicySource(path, Process(Settings()))
    source.build()
    return source


def edit(path: Path, old: str, new: str) -> None:
    """Replace the file, as editors do, by one with a word changed."""
    assert old in POLICY
    edited = path.with_suffix(".new")
    edited.write_text(POLICY.replace(old, new))
    edited.replace(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("path: canary.json", "path: canary.json, weigth: 3"),
        ("$service", "$servise"),
        ("type: prometheus", "type: promethus"),
        ("sources: {prom: {", "sources: {prom: {ca_file: missing.pem, "),
        ("window: 1h", "window: soon"),
    ],
    ids=["option of the router", "placeholder", "type of a source", "authorities", "window"],
)
def test_an_edit_that_could_not_run_leaves_the_policy_in_force(path: Path, source: PolicySource, old: str, new: str):
    edit(path, old, new)
    assert not source.changed()


def test_an_edit_that_can_run_is_taken_over_even_after_a_bad_one(path: Path, source: PolicySource):
    edit(path, "$service", "$servise")
    source.changed()
    edit(path, "window: 1h", "window: 2h")
    assert source.changed()
    assert source.build().policy.stages[0].window_s == 7200
    assert not source.changed()


def test_a_comment_is_no_other_policy(path: Path, source: PolicySource):
    edit(path, "rollout: my-api", "rollout: my-api  # the ion rollout")
    assert not source.changed()


def test_an_edit_that_takes_another_policys_rollout_leaves_the_policy_in_force(path: Path):
    process = Process(Settings())
    other = path.with_name("other.yaml")
    other.write_text(POLICY.replace("rollout: my-api", "rollout: other-api"))
    mine, others = PolicySource(path, process), PolicySource(other, process)
    mine.build()
    others.build()
    edit(path, "rollout: my-api", "rollout: other-api")
    assert not mine.changed()
    edit(path, "rollout: my-api", "rollout: third-api")
    assert mine.changed()
