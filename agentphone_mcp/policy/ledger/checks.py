"""Read the ledger before an action is reserved: find the earlier action that it repeats, and count a limit's usage.

The queries are built once, as building one takes longer than answering it.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from agentphone_mcp.policy.ledger.records import MAY_HAVE_HAPPENED, Entry, LookupResult, NewEntry
from agentphone_mcp.policy.ledger.store import actions
from agentphone_mcp.policy.limits import LONGEST_WINDOW, Limit, WindowUsage
from agentphone_mcp.policy.pricing import cost_of_call, cost_of_seconds

FOUND = "found by a look-up"
FOUND_AND_REPORTED = "found by a look-up, and reported"
REPLAY_SECONDS = 600
"""How long the same action is answered with the outcome of the first one."""
_LOST_PROCESS = "the process that did it ended before the answer came"

# Spelled out, as SQLAlchemy writes an `in_` anew each time.
may_have_happened = sa.or_(*(actions.c.outcome == outcome for outcome in MAY_HAVE_HAPPENED))
_of_tool = sa.and_(
    actions.c.account == sa.bindparam("account"), actions.c.tool == sa.bindparam("tool"), may_have_happened
)
_is_same = actions.c.fingerprint == sa.bindparam("fingerprint")
_has_target = actions.c.target == sa.bindparam("target")
# An action takes over the row of the question that approved it, so its id says nothing about when it happened.
_happened_at = sa.func.coalesce(actions.c.settled_at, actions.c.at)

CANDIDATES: sa.Select[Any] = (
    sa.select(actions)
    .where(
        _of_tool,
        _is_same | _has_target,
        # A pending entry counts as unresolved too, as its process may have ended.
        actions.c.was_unknown | (actions.c.outcome == "pending") | (_is_same & (_happened_at > sa.bindparam("since"))),
    )
    .order_by(_is_same.desc(), _happened_at.desc(), actions.c.id.desc())
)
"""Candidates for a replay or a block: recent entries with the same fingerprint, and pending or (once) unresolved ones
with the same fingerprint or target. Same fingerprint first, then newest first. Takes account, tool, fingerprint, target
and since."""

REPEATS: "sa.Select[Any, Any, Any]" = sa.select(actions.c.id, actions.c.at, actions.c.fingerprint).where(
    _of_tool, _is_same | _has_target, actions.c.repeated
)
"""Entries that were requested with `repeat=true`; takes account, tool, fingerprint and target."""

OF_TOOL: sa.Select[Any] = sa.select(actions).where(_of_tool)
"""Entries that may have happened; takes account and tool."""

MATCHED: sa.Select[Any] = sa.select(actions).where(
    _of_tool,
    actions.c.reason.startswith(FOUND),
    actions.c.id != sa.bindparam("row"),
)
"""Other entries that a look-up settled; takes account, tool and row."""

UNDER_WAY: sa.Select[Any] = sa.select(actions).where(
    actions.c.account == sa.bindparam("account"),
    actions.c.outcome == "pending",
    actions.c.tool.in_(sa.bindparam("tools", expanding=True)),
)
"""Pending entries of some tools; takes account and tools."""

OWNER: "sa.Select[Any, Any]" = sa.select(actions.c.account, actions.c.tool).where(actions.c.id == sa.bindparam("row"))
"""The account and tool of an entry; takes row."""

RUNNING: sa.Select[Any] = sa.select(actions).where(
    actions.c.account == sa.bindparam("account"),
    may_have_happened,
    actions.c.minute_cost.is_not(None),
    actions.c.at > sa.bindparam("since"),
)
"""Calls that may run, as the API has not said yet how long they lasted; takes account and since."""

INSERT = sa.insert(actions)
"""Takes the columns of a row."""

UPDATE = sa.update(actions).where(actions.c.id == sa.bindparam("row"))
"""Takes row, and the columns that change."""


@cache
def _counted(limit: Limit, *, one_by_one: bool) -> "sa.Select[Any, Any]":
    """Build the query for what counts against a limit; it takes account, since and to_number."""
    rows = (actions.c.at, actions.c.cost)
    sums = (sa.func.count().label("actions"), sa.func.coalesce(sa.func.sum(actions.c.cost), 0).label("cost"))
    query = sa.select(*(rows if one_by_one else sums)).where(
        actions.c.account == sa.bindparam("account"),
        actions.c.at > sa.bindparam("since"),
        may_have_happened,
    )
    if limit.tool:
        query = query.where(actions.c.tool == limit.tool)
    if limit.is_money:
        # What runs costs more with each second, and counts apart.
        query = query.where(actions.c.minute_cost.is_(None))
    if limit.for_one_number:
        query = query.where(actions.c.to_number == sa.bindparam("to_number"))
    return query.order_by(actions.c.at) if one_by_one else query


def count_usage(new_entry: NewEntry, connection: sa.Connection, now: float, limit: Limit) -> WindowUsage:
    """Count the actions within a limit's window that count beside a new one."""
    values: dict[str, Any] = {"account": new_entry.account, "since": now - limit.seconds}
    values |= {"to_number": new_entry.to_number} if limit.for_one_number else {}
    used = connection.execute(_counted(limit, one_by_one=False), values).one()
    running = _count_running(new_entry, connection, now, limit) if limit.is_money else []
    return WindowUsage(
        int(used.actions) + len(running),
        int(used.cost) + sum(cost for _, cost in running),
        lambda: sorted([*_read_counted(connection, limit, values), *running]),
    )


def _read_counted(connection: sa.Connection, limit: Limit, values: Mapping[str, Any]) -> list[tuple[float, int]]:
    return [(row.at, row.cost) for row in connection.execute(_counted(limit, one_by_one=True), values)]


def _count_running(new_entry: NewEntry, connection: sa.Connection, now: float, limit: Limit) -> list[tuple[float, int]]:
    """Count the calls that may run: as their estimate, or what they cost so far within the window if that is more."""
    counted: list[tuple[float, int]] = []
    values = {"account": new_entry.account, "since": now - LONGEST_WINDOW}
    for row in connection.execute(RUNNING, values):
        is_within = row.at > now - limit.seconds
        seconds = min(now - row.at, limit.seconds, new_entry.longest_call)
        so_far = cost_of_seconds(row.minute_cost, seconds)
        cost = max(so_far, cost_of_call(row.cost, row.minute_cost, new_entry.longest_call)) if is_within else so_far
        counted.append((row.at if is_within else now, cost))
    return counted


def find_earlier(new_entry: NewEntry, connection: sa.Connection, now: float, *, repeat: bool) -> Entry | None:
    """Find the earlier action that a new one would repeat: the same one recently, or an unresolved one like it."""
    if repeat and new_entry.is_repeatable:
        return None
    values: dict[str, Any] = {"account": new_entry.account, "tool": new_entry.tool}
    values |= {"fingerprint": new_entry.fingerprint, "target": new_entry.target}
    repeats = connection.execute(REPEATS, values).all()
    for row in connection.execute(CANDIDATES, values | {"since": now - REPLAY_SECONDS}).mappings().all():
        entry = resolve_row(row, connection, now)
        is_same = entry.fingerprint == new_entry.fingerprint
        if entry.outcome == "unknown" or row["was_unknown"]:
            is_relevant = not _is_superseded(entry, repeats, only_by_same=is_same)
        else:
            # Of two destructive actions with one target, the second must see what the first has left.
            is_relevant = is_same or not new_entry.is_repeatable
        if is_relevant and (entry.outcome != "done" or (new_entry.is_repeatable and _is_recent(entry, now))):
            return entry
    return None


def find_under_way(new_entry: NewEntry, connection: sa.Connection, now: float) -> Entry | None:
    """Find the action that has to end before a new one of the same tools begins."""
    if not new_entry.one_of:
        return None
    values = {"account": new_entry.account, "tools": sorted(new_entry.one_of)}
    entries = [resolve_row(row, connection, now) for row in connection.execute(UNDER_WAY, values).mappings().all()]
    return next((entry for entry in entries if entry.outcome == "pending"), None)


def _is_superseded(unresolved: Entry, repeats: "Sequence[sa.Row[Any, Any, Any]]", *, only_by_same: bool) -> bool:
    """Tell whether a later call with `repeat=true` superseded an unresolved entry: requested and executed after it.

    An action has the row and id of its question, so a question that was asked before has the smaller id.
    """
    return any(
        repeat.id > unresolved.id
        and repeat.at >= unresolved.at
        and (repeat.fingerprint == unresolved.fingerprint or not only_by_same)
        for repeat in repeats
    )


def _is_recent(entry: Entry, now: float) -> bool:
    """Tell whether an entry is replayed: done recently, or found by a look-up and not reported yet."""
    return is_unreported(entry.reason) or now - (entry.settled_at or entry.at) < REPLAY_SECONDS


def is_unreported(reason: str | None) -> bool:
    """Tell whether a look-up found what was not reported yet; more may stand behind that in the reason."""
    return (reason or "").partition(";")[0] == FOUND


def may_belong_to_another(found: LookupResult, unresolved: Entry, connection: sa.Connection, now: float) -> bool:
    """Tell whether what a look-up found for an unresolved action may have come from another action.

    Every action has an entry before it is done, so all that could have caused the result are in the ledger. A settled
    action owns its ids. A pending or unresolved one may own any result that fits it, unless it has the same
    fingerprint: then it does not matter which of the two gets the result.
    """
    values = {"account": unresolved.account, "tool": unresolved.tool}
    for row in connection.execute(OF_TOOL, values).mappings().all():
        other = read_row(row, now)
        if other.id == unresolved.id:
            continue
        if other.outcome == "done":
            is_theirs = _share_an_id(found.ids, other.ids)
        else:
            is_interchangeable = other.outcome == "unknown" and other.fingerprint == unresolved.fingerprint
            is_theirs = not is_interchangeable and found.may_belong_to(other)
        if is_theirs:
            return True
    return False


def revoke_match(ids: Mapping[str, str], connection: sa.Connection, owner: Mapping[str, Any]) -> None:
    """Make entries unresolved again whose look-up matched ids that turn out to belong to another action."""
    for other in connection.execute(MATCHED, owner).mappings().all():
        if _share_an_id(ids, other["ids"]):
            reason = f"what a look-up found came of row {owner['row']}"
            unresolved = {"outcome": "unknown", "reason": reason, "ids": None, "result": None}
            connection.execute(UPDATE, unresolved | {"row": other["id"]})


def _share_an_id(ids: Mapping[str, str] | None, others: Mapping[str, str] | None) -> bool:
    return not {*(ids or {}).values()}.isdisjoint((others or {}).values())


def resolve_row(row: sa.RowMapping, connection: sa.Connection, now: float) -> Entry:
    """Read a row, and write it down if its pending action has become unknown."""
    entry = read_row(row, now)
    if entry.outcome != row["outcome"]:
        lost = sa.update(actions).where(actions.c.id == entry.id, actions.c.outcome == "pending")
        connection.execute(lost.values(outcome=entry.outcome, reason=entry.reason, was_unknown=True))
    return entry


def read_row(row: sa.RowMapping, now: float) -> Entry:
    """Read a row; a pending action whose process ended, or that took too long, is shown as unknown."""
    values = {name: row[name] for name in Entry.__dataclass_fields__}
    if row["outcome"] == "pending" and (is_gone(row["owner_process"]) or now > row["unknown_after"]):
        values |= {"outcome": "unknown", "reason": _LOST_PROCESS}
    return Entry(**values)


def this_process() -> str:
    """Name this process by host and process id, so that another process can check whether it still runs."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_gone(owner_process: str | None) -> bool:
    """Tell whether a process has certainly ended: it ran on this machine, and no process has its id now.

    This only saves waiting: on another machine, on Windows, or where the id is in use again, `unknown_after` decides.
    """
    return _runs_here(owner_process) is False


def is_another_here(owner_process: str | None) -> bool:
    """Tell whether another process of this machine, which still runs, is the owner."""
    return owner_process != this_process() and _runs_here(owner_process) is True


def _runs_here(owner_process: str | None) -> bool | None:
    """Tell whether a process runs on this machine; None if that cannot be known."""
    host, _, pid = (owner_process or "").rpartition(":")
    if os.name != "posix" or host != socket.gethostname() or not pid.isdecimal():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OSError:
        return None
    return True
