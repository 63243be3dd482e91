"""Written before an action and settled after it: the audit, the limits and the memory of what must not be done twice."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import sqlalchemy as sa

from agentphone_mcp.policy.errors import AnsweredBefore
from agentphone_mcp.policy.ledger.checks import (
    FOUND,
    FOUND_AND_TOLD,
    SETTLE,
    WHOSE,
    WRITE,
    earlier_than,
    entry_of,
    exceeded_limit,
    may_be_of_another,
    revoke_match,
    seen,
    this_process,
)
from agentphone_mcp.policy.ledger.records import LONGEST_SUMMARY, Entry, LookupResult, NewEntry, Question, Settled
from agentphone_mcp.policy.ledger.store import Store, actions, lock
from agentphone_mcp.policy.limits import LONGEST_WINDOW, Limit, LimitExceeded
from agentphone_mcp.policy.pricing import cost_of_seconds

NOBODY_ANSWERED = "a person was asked and has not answered"


class Ledger:
    """What was done, refused and left unresolved; every method is one transaction and raises `LedgerUnavailable`.

    Args:
        place: a folder, a SQLAlchemy URL, or `IN_MEMORY`.
        clock: seconds since the epoch.
        redact: removes what must not be written down.
    """

    def __init__(self, place: str, clock: Callable[[], float] = time.time, redact: Callable[[str], str] = str) -> None:
        self._store = Store(place)
        self._clock = clock
        self._redact = redact

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def check_writable(self) -> None:
        """Write an action and take it back, to see that it can be done; a database may open well and be read-only."""
        nothing = NewEntry(account="", tool="", fingerprint="", target="", summary="")
        with self._store.transaction("settle") as connection:
            taken_back = connection.begin_nested()
            self._write(connection, nothing, {"outcome": "refused", "reason": None})
            taken_back.rollback()

    def reserve(self, new_entry: NewEntry, limits: Sequence[Limit], *, repeat: bool, within: float) -> int | Entry:
        """Write down what is about to be done, or find what stands in its way.

        Args:
            new_entry: the action.
            limits: the limits it meets.
            repeat: whether it is wanted although the same was done.
            within: seconds after which, unsettled, it counts as unknown.

        Returns:
            the row to settle, or the earlier action that this one repeats.

        Raises:
            LimitExceeded: if it would be too much.
            AnsweredBefore: if the question that was asked about it is not open any more.
        """
        now, new_entry = self._clock(), self._without_secrets(new_entry)
        with self._store.transaction(new_entry.account) as connection:
            # A yes counts once: whoever comes second with it learns what came of the first.
            is_fresh = new_entry.question is None or _is_open(connection, new_entry.question)
            earlier = earlier_than(new_entry, connection, now, repeat=repeat and is_fresh)
            if earlier is not None:
                return earlier
            if not is_fresh:
                raise AnsweredBefore
            reached = exceeded_limit(new_entry, connection, now, limits)
            if reached is not None:
                raise reached
            reserved = {
                "at": now,
                "repeated": repeat,
                "outcome": "pending",
                "owner_process": this_process(),
                "unknown_after": now + within,
                "reason": None,
                "approved_by": new_entry.approved_by,
                "approved_how": new_entry.approved_how,
            }
            return self._write(connection, new_entry, reserved)

    def find_conflict(
        self, new_entry: NewEntry, limits: Sequence[Limit], *, repeat: bool
    ) -> Entry | LimitExceeded | None:
        """What `reserve` would find; nothing is written."""
        new_entry = self._without_secrets(new_entry)
        with self._store.transaction(new_entry.account) as connection:
            earlier = earlier_than(new_entry, connection, self._clock(), repeat=repeat)
            return earlier or exceeded_limit(new_entry, connection, self._clock(), limits)

    def settle(
        self,
        row: int,
        outcome: Settled,
        *,
        reason: str | None = None,
        ids: Mapping[str, str] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what came of an action; what a look-up took of it for another one is taken back."""
        settled: dict[str, Any] = {
            "outcome": outcome,
            "settled_at": self._clock(),
            "reason": reason and self._redact(reason),
        }
        settled |= {"ids": self._kept(ids), "result": self._kept(result)}
        if outcome == "unknown":
            settled["was_unknown"] = True
        with self._store.transaction("settle") as connection:
            account, tool = connection.execute(WHOSE, {"row": row}).one()
            lock(connection, account)
            connection.execute(SETTLE, settled | {"row": row})
            if outcome == "done" and ids:
                revoke_match(ids, connection, {"account": account, "tool": tool, "row": row})

    def settle_unresolved(self, entry: Entry, found: LookupResult) -> bool:
        """Write down what a look-up found, unless somebody else settled it in the meantime.

        Returns:
            whether it is settled; it is not where what was found may have come of another action.
        """
        settled = {"outcome": found.outcome, "settled_at": self._clock(), "was_unknown": True}
        settled |= {"ids": self._kept(found.ids), "result": self._kept(found.result), "reason": FOUND}
        open_still = (actions.c.id == entry.id) & actions.c.outcome.in_(("pending", "unknown"))
        with self._store.transaction(entry.account) as connection:
            if may_be_of_another(found, entry, connection, self._clock()):
                return False
            connection.execute(sa.update(actions).where(open_still).values(settled))
        return True

    def mark_reported(self, entry: Entry) -> None:
        """Write down that somebody was told of what a look-up found; from now on it is as if it had just been done."""
        told = {"settled_at": self._clock(), "reason": FOUND_AND_TOLD}
        untold = (actions.c.id == entry.id) & (actions.c.reason == FOUND)
        with self._store.transaction(entry.account) as connection:
            connection.execute(sa.update(actions).where(untold).values(told))

    def settle_call_cost(self, entry: Entry, seconds: float | None, *, is_over: bool = True) -> None:
        """Write down what a call cost in the end, or costs at least so far; without seconds its estimate stands."""
        cost = entry.cost if seconds is None else cost_of_seconds(entry.minute_cost or 0, seconds)
        known = {"cost": cost, "minute_cost": None} if is_over else {"cost": max(cost, entry.cost)}
        with self._store.transaction(entry.account) as connection:
            connection.execute(SETTLE, known | {"row": entry.id})

    def refuse(self, new_entry: NewEntry, reason: str) -> None:
        """Write down what was not done, and why."""
        new_entry = self._without_secrets(new_entry)
        state = {"outcome": "refused", "reason": self._redact(reason), "approved_by": new_entry.approved_by}
        with self._store.transaction(new_entry.account) as connection:
            self._write(connection, new_entry, state)

    def close_question(self, question: int, reason: str) -> None:
        """Write down what became of an answer that had no action of its own."""
        with self._store.transaction("settle") as connection:
            if _is_open(connection, question):
                connection.execute(SETTLE, {"row": question, "reason": reason})

    def record_question(self, new_entry: NewEntry, *, repeat: bool = False) -> Question:
        """Write down that a person is asked; until they agree it counts as refused."""
        new_entry = self._without_secrets(new_entry)
        state = {
            "outcome": "refused",
            "reason": NOBODY_ANSWERED,
            "repeated": repeat,
            "approved_by": new_entry.approved_by,
        }
        with self._store.transaction(new_entry.account) as connection:
            row = self._write(connection, new_entry, state)
        return Question(row, _bounded(new_entry.summary), new_entry.preview_hash, self._clock(), is_repeat=repeat)

    def open_question(self, new_entry: NewEntry) -> Question | None:
        """The latest question about this action that nobody has answered."""
        query = _of(new_entry).where(
            actions.c.fingerprint == new_entry.fingerprint,
            actions.c.outcome == "refused",
            actions.c.reason == NOBODY_ANSWERED,
        )
        with self._store.transaction(new_entry.account) as connection:
            row = connection.execute(query.limit(1)).mappings().first()
        return Question(row["id"], row["summary"], row["preview_hash"], row["at"], row["repeated"]) if row else None

    def unresolved(self, account: str) -> list[Entry]:
        """The actions of an account of which nobody knows whether they happened, oldest first.

        Those whose process ended meanwhile become unknown here.
        """
        unsettled = sa.select(actions).where(
            actions.c.account == account, actions.c.outcome.in_(("pending", "unknown"))
        )
        with self._store.transaction(account) as connection:
            rows = connection.execute(unsettled.order_by(actions.c.id)).mappings().all()
            found = [entry_of(row, connection, self._clock()) for row in rows]
        return [entry for entry in found if entry.outcome == "unknown"]

    def has_pending(self, account: str) -> bool:
        """Whether an action of an account is under way, here or elsewhere."""
        pending = sa.select(actions.c.id).where(actions.c.account == account, actions.c.outcome == "pending")
        with self._store.transaction(account) as connection:
            return connection.execute(pending.limit(1)).first() is not None

    def estimates(self, account: str) -> list[Entry]:
        """The actions of late whose cost is still an estimate; no limit looks further back."""
        query = sa.select(actions).where(
            actions.c.account == account,
            actions.c.outcome == "done",
            actions.c.minute_cost.is_not(None),
            actions.c.at > self._clock() - LONGEST_WINDOW,
        )
        return self._read(account, query)

    def claimed_ids(self, account: str, tool: str) -> frozenset[str]:
        """The ids of what is known to have come of other actions."""
        query = sa.select(actions).where(
            actions.c.account == account, actions.c.tool == tool, actions.c.outcome == "done"
        )
        return frozenset(one for entry in self._read(account, query) for one in (entry.ids or {}).values())

    def entries(self, since: float = 0) -> list[Entry]:
        """Every action of every account since a time, oldest first."""
        return self._read("settle", sa.select(actions).where(actions.c.at >= since).order_by(actions.c.id))

    def _read(self, account: str, query: sa.Select[Any]) -> list[Entry]:
        with self._store.transaction(account) as connection:
            return [seen(row, self._clock()) for row in connection.execute(query).mappings().all()]

    def _write(self, connection: sa.Connection, new_entry: NewEntry, state: Mapping[str, Any]) -> int:
        """Write an action: into the row of the question that was asked about it, where that is still open."""
        if new_entry.question is not None and _is_open(connection, new_entry.question):
            connection.execute(SETTLE, dict(state) | {"row": new_entry.question})
            return new_entry.question
        row = {
            "at": self._clock(),
            "account": new_entry.account,
            "tool": new_entry.tool,
            "fingerprint": new_entry.fingerprint,
            "preview_hash": new_entry.preview_hash,
            "target": new_entry.target,
            "to_number": new_entry.to_number,
            "summary": _bounded(new_entry.summary),
            "cost": new_entry.cost,
            "minute_cost": new_entry.minute_cost,
            "was_unknown": False,
            "repeated": False,
            "match_on": self._kept(new_entry.match_on),
        }
        inserted = connection.execute(WRITE, row | dict(state)).inserted_primary_key
        return int(inserted[0]) if inserted else 0

    def _without_secrets(self, new_entry: NewEntry) -> NewEntry:
        said = {"summary": self._redact(new_entry.summary), "target": self._redact(new_entry.target)}
        return replace(new_entry, **said, approved_by=new_entry.approved_by and self._redact(new_entry.approved_by))

    def _kept(self, value: Any) -> Any:
        """The same JSON without secrets."""
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, Mapping):
            return {name: self._kept(one) for name, one in cast("Mapping[str, Any]", value).items()} or None
        return [self._kept(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value


def _is_open(connection: sa.Connection, question: int) -> bool:
    """Whether nobody has answered a question yet."""
    unanswered = (actions.c.id == question) & (actions.c.outcome == "refused") & (actions.c.reason == NOBODY_ANSWERED)
    return connection.execute(sa.select(actions.c.id).where(unanswered)).first() is not None


def _of(new_entry: NewEntry) -> sa.Select[Any]:
    """The actions of the same account and tool, latest first."""
    mine = (actions.c.account == new_entry.account) & (actions.c.tool == new_entry.tool)
    return sa.select(actions).where(mine).order_by(actions.c.id.desc())


def _bounded(what: str) -> str:
    return what if len(what) <= LONGEST_SUMMARY else f"{what[:LONGEST_SUMMARY]}… (cut here)"
