"""Traffic by configuration: a small JSON file that an application's own canary router reads."""

from canaryd.routers.config_file.router import ConfigFileRouter

__all__ = ["ConfigFileRouter"]
