"""What stands in the ledger already, within a transaction: the same deed, one in doubt, caps that are reached."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from agentphone_mcp.guard.entries import Entry, Found, Intent
from agentphone_mcp.guard.holders import is_gone
from agentphone_mcp.guard.ledger_queries import FOUND, MAY_BLOCK, OF_TOOL, REPEATS, SETTLE, TAKEN, counted
from agentphone_mcp.guard.ledger_store import deeds
from agentphone_mcp.guard.limits import Cap, CapReached

REPLAY_SECONDS = 600
"""How long the same deed answers with the first one's outcome."""
_LOST_HOLDER = "the process that did it ended before the answer came"


def earlier_than(intent: Intent, connection: sa.Connection, now: float, *, repeat: bool) -> Entry | None:
    """The deed that this one would do again: the same one of late, or one of the same subject that is in doubt."""
    if repeat and intent.is_repeatable:
        return None
    like: dict[str, Any] = {"account": intent.account, "tool": intent.tool}
    like |= {"fingerprint": intent.fingerprint, "subject": intent.subject}
    repeats = connection.execute(REPEATS, like).all()
    for row in connection.execute(MAY_BLOCK, like | {"since": now - REPLAY_SECONDS}).mappings().all():
        entry = entry_of(row, connection, now)
        is_same = entry.fingerprint == intent.fingerprint
        is_doubtful = entry.outcome == "unknown" or row["was_unknown"]
        is_in_the_way = entry.outcome != "done" or (intent.is_repeatable and _is_recent(entry, now))
        # Of two that destroy the same, the second must see what the first has left.
        is_like = is_same or not intent.is_repeatable
        counts = not _is_released(entry, repeats, by_the_same=is_same) if is_doubtful else is_like
        if is_in_the_way and counts:
            return entry
    return None


def cap_reached_by(intent: Intent, connection: sa.Connection, now: float, caps: Sequence[Cap]) -> CapReached | None:
    """The first cap that one more deed would pass."""
    for cap in caps:
        given: dict[str, Any] = {"account": intent.account, "since": now - cap.seconds}
        given |= {"to_number": intent.to_number} if cap.for_one_number else {}
        used = connection.execute(counted(cap, one_by_one=False), given).one()
        if not cap.is_over(int(used.deeds), int(used.cost), intent.cost):
            continue
        rows = [(row.at, row.cost) for row in connection.execute(counted(cap, one_by_one=True), given)]
        return CapReached(cap, cap.frees_at(rows, intent.cost), int(used.cost))
    return None


def may_be_of_another(found: Found, doubt: Entry, connection: sa.Connection, now: float) -> bool:
    """Whether what a look-up found for a deed has come, or may have come, of another one.

    As every deed is written down before it is done, whatever was found is of one that stands here by now: it is claimed
    by its id once that deed is settled, and until then it is anybody's who could have done it. Of two in doubt that are
    the same either may have it.
    """
    for row in connection.execute(OF_TOOL, {"account": doubt.account, "tool": doubt.tool}).mappings().all():
        other = seen(row, now)
        if other.id == doubt.id:
            continue
        if other.outcome == "done":
            is_theirs = _share_an_id(found.ids, other.ids)
        else:
            is_same_doubt = other.outcome == "unknown" and other.fingerprint == doubt.fingerprint
            is_theirs = not is_same_doubt and found.may_be_of(other)
        if is_theirs:
            return True
    return False


def take_back(ids: Mapping[str, str], connection: sa.Connection, deed: Mapping[str, Any]) -> None:
    """Put in doubt again what a look-up took these ids for, as it is known now of which deed they came."""
    for other in connection.execute(TAKEN, deed).mappings().all():
        if _share_an_id(ids, other["ids"]):
            reason = f"what a look-up found came of row {deed['row']}"
            in_doubt = {"outcome": "unknown", "reason": reason, "ids": None, "result": None}
            connection.execute(SETTLE, in_doubt | {"row": other["id"]})


def entry_of(row: sa.RowMapping, connection: sa.Connection, now: float) -> Entry:
    """Read a row; a pending one that is lost becomes unknown here and for good."""
    entry = seen(row, now)
    if entry.outcome != row["outcome"]:
        doubted = sa.update(deeds).where(deeds.c.id == entry.id, deeds.c.outcome == "pending")
        connection.execute(doubted.values(outcome=entry.outcome, reason=entry.reason, was_unknown=True))
    return entry


def seen(row: sa.RowMapping, now: float) -> Entry:
    """Read a row; one whose process ended, or took too long, is seen as unknown."""
    said = {name: row[name] for name in Entry.__dataclass_fields__}
    if row["outcome"] == "pending" and (is_gone(row["holder"]) or now > row["doubtful_after"]):
        said |= {"outcome": "unknown", "reason": _LOST_HOLDER}
    return Entry(**said)


def _share_an_id(ids: Mapping[str, str] | None, others: Mapping[str, str] | None) -> bool:
    return not {*(ids or {}).values()}.isdisjoint((others or {}).values())


def _is_released(doubt: Entry, repeats: "Sequence[sa.Row[Any, Any, Any]]", *, by_the_same: bool) -> bool:
    """Whether somebody who could know of a doubt repeated it: both asked for it and did it later.

    What was asked before a doubt arose, and was agreed to after that, has the older row.
    """
    return any(
        one.id > doubt.id and one.at >= doubt.at and (one.fingerprint == doubt.fingerprint or not by_the_same)
        for one in repeats
    )


def _is_recent(entry: Entry, now: float) -> bool:
    """Whether whoever asks again may not know; of what was found beside the server nobody heard yet."""
    return entry.reason == FOUND or now - (entry.settled_at or entry.at) < REPLAY_SECONDS
