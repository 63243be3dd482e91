"""What is asked of the ledger before every deed; built once, as building a query takes longer than answering it."""

from functools import cache
from typing import Any

import sqlalchemy as sa

from agentphone_mcp.guard.entries import MAY_HAVE_HAPPENED
from agentphone_mcp.guard.ledger_store import deeds
from agentphone_mcp.guard.limits import Cap

FOUND = "found by a look-up"
FOUND_AND_TOLD = "found by a look-up, and told"

# Spelled out, as SQLAlchemy writes an `in_` anew each time.
_may_have_happened = sa.or_(*(deeds.c.outcome == outcome for outcome in MAY_HAVE_HAPPENED))
_alike = sa.and_(deeds.c.account == sa.bindparam("account"), deeds.c.tool == sa.bindparam("tool"), _may_have_happened)
_is_same = deeds.c.fingerprint == sa.bindparam("fingerprint")
_has_subject = deeds.c.subject == sa.bindparam("subject")
# The row of a question is older than the deed that it becomes, so that ids tell nothing of the order.
_happened_at = sa.func.coalesce(deeds.c.settled_at, deeds.c.at)

MAY_BLOCK: sa.Select[Any] = (
    sa.select(deeds)
    .where(
        _alike,
        _is_same | _has_subject,
        # A pending one that turns out to be lost is in doubt as well.
        deeds.c.was_unknown | (deeds.c.outcome == "pending") | (_is_same & (_happened_at > sa.bindparam("since"))),
    )
    .order_by(_is_same.desc(), _happened_at.desc(), deeds.c.id.desc())
)
"""Those with the same arguments that are of late, and those with these or on the same subject that are under way, or
are or were in doubt; the same first, the latest first. Takes account, tool, fingerprint, subject and since."""

REPEATS: "sa.Select[Any, Any, Any]" = sa.select(deeds.c.id, deeds.c.at, deeds.c.fingerprint).where(
    _alike, _is_same | _has_subject, deeds.c.repeated
)
"""Those that were wanted although the like was done or in doubt; takes account, tool, fingerprint and subject."""

OF_TOOL: sa.Select[Any] = sa.select(deeds).where(_alike)
"""Those that may have happened; takes account and tool."""

TAKEN: sa.Select[Any] = sa.select(deeds).where(
    _alike, sa.or_(deeds.c.reason == FOUND, deeds.c.reason == FOUND_AND_TOLD), deeds.c.id != sa.bindparam("row")
)
"""The others of which a look-up said what came of them; takes account, tool and row."""

WHOSE: "sa.Select[Any, Any]" = sa.select(deeds.c.account, deeds.c.tool).where(deeds.c.id == sa.bindparam("row"))
"""Takes row."""

WRITE = sa.insert(deeds)
"""Takes the columns of a row."""

SETTLE = sa.update(deeds).where(deeds.c.id == sa.bindparam("row"))
"""Takes row, and the columns that change."""


@cache
def counted(cap: Cap, *, one_by_one: bool) -> "sa.Select[Any, Any]":
    """What counts against a cap: how many and how much, or each with its time; takes account, since and to_number."""
    what = (deeds.c.at, deeds.c.cost)
    summed = (sa.func.count().label("deeds"), sa.func.coalesce(sa.func.sum(deeds.c.cost), 0).label("cost"))
    query = sa.select(*(what if one_by_one else summed)).where(
        deeds.c.account == sa.bindparam("account"),
        deeds.c.at > sa.bindparam("since"),
        _may_have_happened,
    )
    if cap.tool:
        query = query.where(deeds.c.tool == cap.tool)
    if cap.for_one_number:
        query = query.where(deeds.c.to_number == sa.bindparam("to_number"))
    return query.order_by(deeds.c.at) if one_by_one else query
