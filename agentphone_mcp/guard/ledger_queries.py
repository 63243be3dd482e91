"""What is asked of the ledger before every deed; built once, as building a query takes longer than answering it."""

from functools import cache
from typing import Any

import sqlalchemy as sa

from agentphone_mcp.guard.entries import MAY_HAVE_HAPPENED
from agentphone_mcp.guard.ledger_store import deeds
from agentphone_mcp.guard.limits import Cap

_repeats = deeds.alias("repeats")


def _may_have_happened(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether it counts; spelled out, as SQLAlchemy writes an `in_` anew each time."""
    return sa.or_(*(table.c.outcome == outcome for outcome in MAY_HAVE_HAPPENED))


def _alike(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """The deeds of a tool that may have happened."""
    mine = table.c.account == sa.bindparam("account"), table.c.tool == sa.bindparam("tool")
    return sa.and_(*mine, _may_have_happened(table))


SAME: sa.Select[Any] = (
    sa.select(deeds)
    .where(_alike(deeds), deeds.c.fingerprint == sa.bindparam("fingerprint"))
    .order_by(deeds.c.id.desc())
    .limit(1)
)
"""The latest deed with the same arguments; takes account, tool and fingerprint."""

_LAST_REPEAT = (
    sa.select(sa.func.coalesce(sa.func.max(_repeats.c.id), 0))
    .where(_alike(_repeats), _repeats.c.subject == sa.bindparam("subject"), _repeats.c.repeated)
    .scalar_subquery()
)

DOUBTED: sa.Select[Any] = (
    sa.select(deeds)
    .where(
        _alike(deeds),
        deeds.c.subject == sa.bindparam("subject"),
        # A pending one that turns out to be lost is in doubt as well.
        deeds.c.was_unknown | (deeds.c.outcome == "pending"),
        deeds.c.id >= _LAST_REPEAT,
    )
    .order_by(deeds.c.id.desc())
)
"""Those on the same subject that are or were in doubt, since one was repeated; takes account, tool and subject."""


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
        _may_have_happened(deeds),
    )
    if cap.tool:
        query = query.where(deeds.c.tool == cap.tool)
    if cap.for_one_number:
        query = query.where(deeds.c.to_number == sa.bindparam("to_number"))
    return query.order_by(deeds.c.at) if one_by_one else query
