"""Read what runs: calls count while they run, by the second; write down that the server hangs one up.

A call runs for as long as its row has the price of a minute: until the API has said how long it lasted.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from agentphone_mcp.policy.ledger.checks import (
    RUNNING,
    UPDATE,
    is_another_here,
    is_gone,
    may_have_happened,
    resolve_row,
    this_process,
)
from agentphone_mcp.policy.ledger.records import HUNG_UP, REASON_SEPARATOR, Entry, hang_up_in
from agentphone_mcp.policy.ledger.store import Store, actions

_RETRY_SECONDS = 30
"""How long a call may take to end once it was hung up, before that is tried again."""

_SETTLED_COST: "sa.Select[Any]" = sa.select(sa.func.coalesce(sa.func.sum(actions.c.cost), 0)).where(
    actions.c.account == sa.bindparam("account"),
    actions.c.at > sa.bindparam("since"),
    may_have_happened,
    actions.c.minute_cost.is_(None),
)
_WITH_HANG_UP: "sa.Select[Any, Any]" = sa.select(actions.c.reason, actions.c.ids).where(
    actions.c.account == sa.bindparam("account"), actions.c.outcome == "done", actions.c.reason.contains(HUNG_UP)
)


class CallRows:
    """Reads and changes the rows of calls; every method is one transaction."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def running(self, account: str) -> list[Entry]:
        """List the calls that may run, oldest first: also pending ones, and those whose answer was lost."""
        query, now = RUNNING.order_by(actions.c.id), self._clock()
        with self._store.transaction(account) as connection:
            rows = connection.execute(query, {"account": account, "since": 0}).mappings().all()
            return [resolve_row(row, connection, now) for row in rows]

    def settled_cost(self, account: str, since: float) -> int:
        """Sum what was spent since a time, in millionths of a dollar, without the calls that may run."""
        with self._store.transaction(account) as connection:
            return int(connection.execute(_SETTLED_COST, {"account": account, "since": since}).scalar_one())

    def claim_hang_up(self, entry: Entry, limit: str, within: float) -> bool:
        """Write down that a call is to be hung up; False if another process does that, or the call is over.

        A call of another process that still runs on this machine is left to it: that one may have another limit.
        """
        now = self._clock()
        with self._store.transaction(entry.account) as connection:
            row = connection.execute(sa.select(actions).where(actions.c.id == entry.id)).mappings().one()
            if row["outcome"] != "done" or row["minute_cost"] is None or is_another_here(row["owner_process"]):
                return False
            until = row["unknown_after"] if hang_up_in(row["reason"]) else None
            # A time too far ahead was written before the clock was set back.
            if until is not None and now < until <= now + within and not is_gone(row["owner_process"]):
                return False
            reason = _with(row["reason"], f"to be {HUNG_UP}, as the limit {limit} is used up")
            claimed = {"reason": reason, "owner_process": this_process(), "unknown_after": now + within}
            connection.execute(UPDATE, claimed | {"row": entry.id})
        return True

    def note_hung_up(self, entry: Entry, limit: str) -> None:
        """Write down that a call was hung up; if it still runs some time later, it may be claimed again."""
        with self._store.transaction(entry.account) as connection:
            reason = connection.execute(sa.select(actions.c.reason).where(actions.c.id == entry.id)).scalar_one()
            noted = {"reason": _with(reason, f"{HUNG_UP}, as the limit {limit} was used up")}
            connection.execute(UPDATE, noted | {"row": entry.id, "unknown_after": self._clock() + _RETRY_SECONDS})

    def release_hang_up(self, entry: Entry) -> None:
        """Let any process try again to hang up a call."""
        with self._store.transaction(entry.account) as connection:
            connection.execute(UPDATE, {"row": entry.id, "unknown_after": 0})

    def hang_up_of(self, account: str, call_id: str) -> str | None:
        """Find why the server hung up a call, or meant to; None if it did not."""
        with self._store.transaction(account) as connection:
            for row in connection.execute(_WITH_HANG_UP, {"account": account}):
                if call_id in (row.ids or {}).values():
                    return hang_up_in(row.reason)
        return None


def _with(reason: str | None, hang_up: str) -> str:
    """Add to a row's reason why its call is hung up, in place of what said so before."""
    kept = [part for part in (reason or "").split(REASON_SEPARATOR) if part and HUNG_UP not in part]
    return REASON_SEPARATOR.join([*kept, hang_up])
