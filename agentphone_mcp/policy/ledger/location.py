"""Tell where a ledger is kept: in a folder, in a database, or in memory."""

from pathlib import Path
from urllib.parse import unquote

LEDGER_FILE = "ledger.sqlite3"


IN_MEMORY = ""
"""The place of a ledger that ends with its process: what is practised on a sandbox is no part of the audit."""


class LedgerUnavailable(Exception):
    """The ledger cannot be opened, read or written; `place` has no password."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


def is_url(place: str) -> bool:
    """Whether a place is a database's URL and no folder."""
    return "://" in place


def ledger_file(place: str) -> Path | None:
    """The file that a place names; None for a database elsewhere."""
    if not is_url(place):
        return Path(place).expanduser() / LEDGER_FILE
    engine, _, path = place.partition(":///")
    return Path(unquote(path)).expanduser() if engine.partition("+")[0] == "sqlite" else None
