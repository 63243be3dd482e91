"""Keep the ledger's SQLite file and its journals private, and notice when they are deleted or replaced."""

from pathlib import Path

from agentphone_mcp.system.state_files import (
    UnsafeState,
    close_to_others,
    identity,
    make_private_file,
    make_private_folder,
)

_JOURNALS = ("-wal", "-shm", "-journal")
REPLACED = "it was deleted or replaced while this server ran: put the file back, or restart the server"


class ReplacedError(OSError):
    """Raised when the ledger is not the file any more that was opened; the message is one sentence."""


class SqliteFile:
    """Prepares the file of a ledger, and tells whether it is still the same.

    Raises:
        OSError: if it cannot be made, a link is in its place, or others may write in its folder.
    """

    def __init__(self, file: Path) -> None:
        make_private_folder(file.parent)
        # Created before SQLite does it, so that no other user can ever read it; journals get the same mode.
        make_private_file(file)
        journals = [Path(f"{file}{ending}") for ending in _JOURNALS]
        for journal in journals:
            close_to_others(journal)
        # The rollback journal comes and goes; the others stay for as long as a connection is open.
        self._watched = (file, *journals[:2])
        self._opened: tuple[tuple[int, int] | None, ...] = ()

    def remember(self) -> None:
        """Remember which files are open now."""
        self._opened = tuple(identity(file) for file in self._watched)

    def check(self) -> None:
        """Check that the open files still have their names, so that other processes and later runs read them.

        Raises:
            ReplacedError: if one was deleted or replaced.
        """
        try:
            is_same = not self._opened or tuple(identity(file) for file in self._watched) == self._opened
        except UnsafeState:
            is_same = False
        if not is_same:
            raise ReplacedError(REPLACED)
