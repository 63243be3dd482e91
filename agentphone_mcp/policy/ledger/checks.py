"""What is asked of the ledger before every action; built once, as building a query takes longer than answering it."""

import os
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from agentphone_mcp.policy.ledger.records import MAY_HAVE_HAPPENED, Entry, LookupResult, NewEntry
from agentphone_mcp.policy.ledger.store import actions
from agentphone_mcp.policy.limits import Limit, LimitExceeded

FOUND = "found by a look-up"
FOUND_AND_TOLD = "found by a look-up, and told"

# Spelled out, as SQLAlchemy writes an `in_` anew each time.
_may_have_happened = sa.or_(*(actions.c.outcome == outcome for outcome in MAY_HAVE_HAPPENED))
_alike = sa.and_(
    actions.c.account == sa.bindparam("account"), actions.c.tool == sa.bindparam("tool"), _may_have_happened
)
_is_same = actions.c.fingerprint == sa.bindparam("fingerprint")
_has_target = actions.c.target == sa.bindparam("target")
# The row of a question is older than the action that it becomes, so that ids tell nothing of the order.
_happened_at = sa.func.coalesce(actions.c.settled_at, actions.c.at)

MAY_BLOCK: sa.Select[Any] = (
    sa.select(actions)
    .where(
        _alike,
        _is_same | _has_target,
        # A pending one that turns out to be lost is unresolved as well.
        actions.c.was_unknown | (actions.c.outcome == "pending") | (_is_same & (_happened_at > sa.bindparam("since"))),
    )
    .order_by(_is_same.desc(), _happened_at.desc(), actions.c.id.desc())
)
"""Those with the same arguments that are of late, and those with these or with the same target that are under way, or
are or were unresolved; the same first, the latest first. Takes account, tool, fingerprint, target and since."""

REPEATS: "sa.Select[Any, Any, Any]" = sa.select(actions.c.id, actions.c.at, actions.c.fingerprint).where(
    _alike, _is_same | _has_target, actions.c.repeated
)
"""Those that were wanted although the like was done or unresolved; takes account, tool, fingerprint and target."""

OF_TOOL: sa.Select[Any] = sa.select(actions).where(_alike)
"""Those that may have happened; takes account and tool."""

TAKEN: sa.Select[Any] = sa.select(actions).where(
    _alike, sa.or_(actions.c.reason == FOUND, actions.c.reason == FOUND_AND_TOLD), actions.c.id != sa.bindparam("row")
)
"""The others of which a look-up said what came of them; takes account, tool and row."""

WHOSE: "sa.Select[Any, Any]" = sa.select(actions.c.account, actions.c.tool).where(actions.c.id == sa.bindparam("row"))
"""Takes row."""

WRITE = sa.insert(actions)
"""Takes the columns of a row."""

SETTLE = sa.update(actions).where(actions.c.id == sa.bindparam("row"))
"""Takes row, and the columns that change."""


@cache
def counted(limit: Limit, *, one_by_one: bool) -> "sa.Select[Any, Any]":
    """What counts against a limit: how many and how much, or each with its time; takes account, since and to_number."""
    what = (actions.c.at, actions.c.cost)
    summed = (sa.func.count().label("actions"), sa.func.coalesce(sa.func.sum(actions.c.cost), 0).label("cost"))
    query = sa.select(*(what if one_by_one else summed)).where(
        actions.c.account == sa.bindparam("account"),
        actions.c.at > sa.bindparam("since"),
        _may_have_happened,
    )
    if limit.tool:
        query = query.where(actions.c.tool == limit.tool)
    if limit.for_one_number:
        query = query.where(actions.c.to_number == sa.bindparam("to_number"))
    return query.order_by(actions.c.at) if one_by_one else query


def this_process() -> str:
    """This process, in a way that another can look it up."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_gone(owner_process: str | None) -> bool:
    """Whether a process has certainly ended: it was one of this machine, and no process has its number now.

    Only a hint that saves waiting: where it cannot be told (another machine, Windows, a number in use again), the
    action's own time decides.
    """
    host, _, pid = (owner_process or "").rpartition(":")
    if os.name != "posix" or host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


REPLAY_SECONDS = 600
"""How long the same action answers with the first one's outcome."""
_LOST_HOLDER = "the process that did it ended before the answer came"


def earlier_than(new_entry: NewEntry, connection: sa.Connection, now: float, *, repeat: bool) -> Entry | None:
    """The action that this one would do again: the same one of late, or one with the same target that is unresolved."""
    if repeat and new_entry.is_repeatable:
        return None
    like: dict[str, Any] = {"account": new_entry.account, "tool": new_entry.tool}
    like |= {"fingerprint": new_entry.fingerprint, "target": new_entry.target}
    repeats = connection.execute(REPEATS, like).all()
    for row in connection.execute(MAY_BLOCK, like | {"since": now - REPLAY_SECONDS}).mappings().all():
        entry = entry_of(row, connection, now)
        is_same = entry.fingerprint == new_entry.fingerprint
        is_doubtful = entry.outcome == "unknown" or row["was_unknown"]
        is_in_the_way = entry.outcome != "done" or (new_entry.is_repeatable and _is_recent(entry, now))
        # Of two that destroy the same, the second must see what the first has left.
        is_like = is_same or not new_entry.is_repeatable
        counts = not _is_released(entry, repeats, by_the_same=is_same) if is_doubtful else is_like
        if is_in_the_way and counts:
            return entry
    return None


def exceeded_limit(
    new_entry: NewEntry, connection: sa.Connection, now: float, limits: Sequence[Limit]
) -> LimitExceeded | None:
    """The first limit that one more action would pass."""
    for limit in limits:
        given: dict[str, Any] = {"account": new_entry.account, "since": now - limit.seconds}
        given |= {"to_number": new_entry.to_number} if limit.for_one_number else {}
        used = connection.execute(counted(limit, one_by_one=False), given).one()
        if not limit.is_over(int(used.actions), int(used.cost), new_entry.cost):
            continue
        rows = [(row.at, row.cost) for row in connection.execute(counted(limit, one_by_one=True), given)]
        return LimitExceeded(limit, limit.frees_at(rows, new_entry.cost), int(used.cost))
    return None


def may_be_of_another(found: LookupResult, unresolved_entry: Entry, connection: sa.Connection, now: float) -> bool:
    """Whether what a look-up found for an action has come, or may have come, of another one.

    As every action is written down before it is done, whatever was found is of one that stands here by now: it is claimed
    by its id once that action is settled, and until then it is anybody's who could have done it. Of two unresolved that are
    the same either may have it.
    """
    for row in (
        connection.execute(OF_TOOL, {"account": unresolved_entry.account, "tool": unresolved_entry.tool})
        .mappings()
        .all()
    ):
        other = seen(row, now)
        if other.id == unresolved_entry.id:
            continue
        if other.outcome == "done":
            is_theirs = _share_an_id(found.ids, other.ids)
        else:
            is_same_doubt = other.outcome == "unknown" and other.fingerprint == unresolved_entry.fingerprint
            is_theirs = not is_same_doubt and found.may_belong_to(other)
        if is_theirs:
            return True
    return False


def revoke_match(ids: Mapping[str, str], connection: sa.Connection, action: Mapping[str, Any]) -> None:
    """Put unresolved again what a look-up took these ids for, as it is known now of which action they came."""
    for other in connection.execute(TAKEN, action).mappings().all():
        if _share_an_id(ids, other["ids"]):
            reason = f"what a look-up found came of row {action['row']}"
            in_doubt = {"outcome": "unknown", "reason": reason, "ids": None, "result": None}
            connection.execute(SETTLE, in_doubt | {"row": other["id"]})


def entry_of(row: sa.RowMapping, connection: sa.Connection, now: float) -> Entry:
    """Read a row; a pending one that is lost becomes unknown here and for good."""
    entry = seen(row, now)
    if entry.outcome != row["outcome"]:
        doubted = sa.update(actions).where(actions.c.id == entry.id, actions.c.outcome == "pending")
        connection.execute(doubted.values(outcome=entry.outcome, reason=entry.reason, was_unknown=True))
    return entry


def seen(row: sa.RowMapping, now: float) -> Entry:
    """Read a row; one whose process ended, or took too long, is seen as unknown."""
    said = {name: row[name] for name in Entry.__dataclass_fields__}
    if row["outcome"] == "pending" and (is_gone(row["owner_process"]) or now > row["unknown_after"]):
        said |= {"outcome": "unknown", "reason": _LOST_HOLDER}
    return Entry(**said)


def _share_an_id(ids: Mapping[str, str] | None, others: Mapping[str, str] | None) -> bool:
    return not {*(ids or {}).values()}.isdisjoint((others or {}).values())


def _is_released(unresolved_entry: Entry, repeats: "Sequence[sa.Row[Any, Any, Any]]", *, by_the_same: bool) -> bool:
    """Whether somebody who could know of an unresolved action repeated it: both asked for it and did it later.

    What was asked before an unresolved action arose, and was agreed to after that, has the older row.
    """
    return any(
        one.id > unresolved_entry.id
        and one.at >= unresolved_entry.at
        and (one.fingerprint == unresolved_entry.fingerprint or not by_the_same)
        for one in repeats
    )


def _is_recent(entry: Entry, now: float) -> bool:
    """Whether whoever asks again may not know; of what was found beside the server nobody heard yet."""
    return entry.reason == FOUND or now - (entry.settled_at or entry.at) < REPLAY_SECONDS
