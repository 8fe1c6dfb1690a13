"""Raise the canary's weight once, as the daemon would, and say when the router has confirmed it."""

from pathlib import Path

from fork_server import serve

from canaryd.core.model import Change, Mark
from canaryd.engine.clock import SystemClock
from canaryd.errors import ChangeRefused, ChangeUnknown
from canaryd.ports import Surroundings
from canaryd.routers.config_file import ConfigFileRouter
from canaryd.routers.config_file.router import ConfigFileOptions


async def main(name: str) -> None:
    folder = Path(name)
    surroundings = Surroundings(folder=folder, clock=SystemClock(), state_dir=folder, secret=str, rollout="ion-api")
    router = ConfigFileRouter(ConfigFileOptions(path="canary.json"), surroundings)
    mark = Mark(rollout="ion-api", release="rev-2", attempt=1, stage=2, epoch=2)
    traffic = await router.read()
    try:
        await router.write(Change(weight=50.0, mark=mark, version=traffic.version))
    except (ChangeRefused, ChangeUnknown) as error:
        print(type(error).__name__, error, flush=True)
    else:
        print("confirmed", flush=True)


serve(main)
