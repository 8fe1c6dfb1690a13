from canaryd.testing.store_contract import StateStoreContract


class TestSqliteStore(StateStoreContract):
    """On real files; the fixtures are in this folder's conftest."""
