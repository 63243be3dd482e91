"""Check that the ledger can be written; without it no call is placed and no text is sent."""

import os
import shutil
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, warning
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.location import IN_MEMORY, LedgerUnavailable, is_url
from agentphone_mcp.system.state_files import UnsafeState, check_private_folder

_PATIENCE = 30.0
_LEAST_FREE = 10 * 2**20
"""The least free space on the ledger's disk, in bytes."""
_ELSEWHERE = "Let AGENTPHONE_STATE name a folder in which you may write"


async def check_ledger(state: str, least_free: int = _LEAST_FREE) -> list[Finding]:
    """Open the ledger as the server would, and count what is in doubt; where there is none yet, none is made.

    It is in a folder, at a SQLAlchemy URL, or `IN_MEMORY`; `least_free` is in bytes.
    """
    if state == IN_MEMORY:
        return [ok("ledger", "in memory only, as with every sandbox")]
    try:
        with anyio.fail_after(_PATIENCE):
            return await run_sync(partial(_look, state, least_free), abandon_on_cancel=True)
    except TimeoutError:
        remedy = "Check that the database is reached from here, and that no other process holds it"
        return [failure("ledger", f"it does not answer within {_PATIENCE:.0f} seconds", remedy)]
    except LedgerUnavailable as exc:
        return [failure("ledger", f"{exc.location}: {exc.reason}", _remedy(exc, state))]


def _look(state: str, least_free: int) -> list[Finding]:
    handle = LedgerHandle(state)
    try:
        folder = None if is_url(state) else _nearest(Path(state).expanduser())
        disk = [] if folder is None else _free(folder, least_free)
        if not handle.may_exist:
            return _with_disk(disk, _not_there_yet(state, folder))
        ledger = handle.open()
        ledger.check_writable()
        entries = ledger.entries()
    finally:
        handle.close()
    doubtful = sum(entry.outcome == "unknown" for entry in entries)
    if doubtful:
        message = f"opens and can be written, but of {doubtful} of {len(entries)} actions nobody knows the outcome"
        remedy = "Look at them with `agentphone-mcp ledger`; the assistant settles them when it looks again"
        return _with_disk(disk, warning("ledger", message, remedy, actions=len(entries), unknown=doubtful))
    message = f"opens and can be written, {len(entries)} rows"
    return _with_disk(disk, ok("ledger", message, actions=len(entries), unknown=0))


def _with_disk(disk: list[Finding], finding: Finding) -> list[Finding]:
    """Add the finding about a full disk, in place of one that says all is well."""
    return disk if disk and finding.status == "ok" else [finding, *disk]


def _not_there_yet(state: str, folder: Path | None) -> Finding:
    if folder is None:
        return ok("ledger", "none yet; the first action makes it")
    if not folder.is_dir():
        return failure("ledger", f"{state} cannot be made: {folder} is a file and no folder", _ELSEWHERE)
    try:
        if folder == Path(state).expanduser():
            check_private_folder(folder)
    except UnsafeState as exc:
        return failure("ledger", f"{state}: {exc}", _ELSEWHERE)
    if not os.access(folder, os.W_OK | os.X_OK):
        return failure("ledger", f"{state} cannot be made: you may not write in {folder}", _ELSEWHERE)
    return ok("ledger", f"none yet; the first action makes it in {state}")


def _free(folder: Path, least_free: int) -> list[Finding]:
    free = shutil.disk_usage(folder).free
    if free >= least_free:
        return []
    remedy = "Make room on that disk, or let AGENTPHONE_STATE name a folder on another"
    return [failure("ledger", f"the disk of {folder} is full: {free // 2**20} MB are free", remedy, free_bytes=free)]


def _nearest(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return folder if folder.exists() or folder.parent == folder else _nearest(folder.parent)


def _remedy(error: LedgerUnavailable, state: str) -> str:
    if "not a database" in error.reason or "malformed" in error.reason:
        return "Move that file away, which loses what it knows, and the next action makes a new one"
    if "not installed" in error.reason:
        return "Install it, or let AGENTPHONE_STATE name a folder"
    if is_url(state):
        return "Check AGENTPHONE_STATE and whether the database runs and is reached from here"
    return _ELSEWHERE
