"""Tell where a ledger is kept: in a folder, in a database, or in memory."""

from pathlib import Path
from urllib.parse import unquote

LEDGER_FILE = "ledger.sqlite3"
IN_MEMORY = ""
"""The location of a ledger that ends with its process; actions on a sandbox need no audit."""


class LedgerUnavailable(Exception):
    """Raised when the ledger cannot be opened, read or written; `location` holds no password."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(f"{location}: {reason}")
        self.location = location
        self.reason = reason


def is_url(location: str) -> bool:
    """Tell whether a location is the URL of a database, not a folder."""
    return "://" in location


def ledger_file(location: str) -> Path | None:
    """Find the file of a ledger; None for a database server."""
    if not is_url(location):
        return Path(location).expanduser() / LEDGER_FILE
    engine, _, path = location.partition(":///")
    return Path(unquote(path)).expanduser() if engine.partition("+")[0] == "sqlite" else None
