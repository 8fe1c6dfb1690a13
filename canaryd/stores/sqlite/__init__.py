"""State and history in one SQLite database for each rollout."""

from canaryd.stores.sqlite.snapshot import StoredCheck, StoredLook, StoredSnapshot, read_snapshot
from canaryd.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "StoredCheck", "StoredLook", "StoredSnapshot", "read_snapshot"]
