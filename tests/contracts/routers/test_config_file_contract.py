from canaryd.testing.router_contract import TrafficRouterContract


class TestConfigFileRouter(TrafficRouterContract):
    """On real files; the fixtures are in this folder's conftest."""
