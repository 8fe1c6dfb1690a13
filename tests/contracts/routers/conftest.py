import json

import pytest

from canaryd.engine.clock import SystemClock
from canaryd.ports import Surroundings
from canaryd.routers.config_file import ConfigFileRouter
from canaryd.routers.config_file.router import ConfigFileOptions


def no_secret(name):
    raise AssertionError(f"nobody needs the secret {name}")


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def file(folder):
    return folder / "canary.json"


@pytest.fixture
def new_router(folder):
    def build(path="canary.json"):
        surroundings = Surroundings(
            folder=folder, clock=SystemClock(), state_dir=folder, secret=no_secret, rollout="ion-api"
        )
        return ConfigFileRouter(ConfigFileOptions(path=str(path)), surroundings)

    return build


@pytest.fixture
def router(new_router):
    return new_router()


@pytest.fixture
def rival(new_router):
    return new_router()


@pytest.fixture
def edit(file):
    """A person with a text editor, who saves in place."""

    def save(weight):
        keys = json.loads(file.read_text())
        file.write_text(json.dumps(keys | {"traffic_percent": weight}))

    return save
