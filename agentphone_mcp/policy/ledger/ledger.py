"""Write each action before it is done and settle it afterwards: for the audit, the limits and the replays."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import sqlalchemy as sa

from agentphone_mcp.policy.errors import AnsweredBefore
from agentphone_mcp.policy.ledger.calls import CallRows
from agentphone_mcp.policy.ledger.checks import (
    FOUND,
    FOUND_AND_REPORTED,
    INSERT,
    OWNER,
    UPDATE,
    count_usage,
    find_earlier,
    find_under_way,
    is_unreported,
    may_belong_to_another,
    read_row,
    resolve_row,
    revoke_match,
    this_process,
)
from agentphone_mcp.policy.ledger.records import LONGEST_SUMMARY, Entry, LookupResult, NewEntry, Question, Settled
from agentphone_mcp.policy.ledger.sqlite_file import REPLACED, ReplacedError
from agentphone_mcp.policy.ledger.store import Store, actions, lock
from agentphone_mcp.policy.limits import LONGEST_WINDOW, LimitExceeded, Limits
from agentphone_mcp.policy.pricing import cost_of_seconds

UNANSWERED = "a person was asked and has not answered"
_COPIED = ("account", "tool", "fingerprint", "preview_hash", "target", "to_number", "cost", "minute_cost")


class Ledger:
    """Keep the actions that were done, refused and left unresolved.

    Every method is one transaction and raises `LedgerUnavailable` if it fails. The location is a folder, a SQLAlchemy
    URL, or `IN_MEMORY`; the clock gives seconds since the epoch.
    """

    def __init__(
        self, location: str, clock: Callable[[], float] = time.time, redact: Callable[[str], str] = str
    ) -> None:
        self._store = Store(location)
        self._clock = clock
        self._redact = redact
        self._latest_row: int | None = None
        self.calls = CallRows(self._store, clock)

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def check_writable(self) -> None:
        """Write an action and roll it back, as a database that opens may still be read-only."""
        empty = NewEntry(account="", tool="", fingerprint="", target="", summary="")
        with self._store.transaction("settle") as connection:
            savepoint = connection.begin_nested()
            self._write(connection, empty, {"outcome": "refused", "reason": None})
            savepoint.rollback()

    def reserve(
        self, new_entry: NewEntry, limits: Limits, *, repeat: bool, within: float
    ) -> int | Entry | LimitExceeded:
        """Write down what is about to be done, or find what keeps it from being done.

        It counts as unknown if it is not settled `within` so many seconds.

        Returns:
            the row to settle, the earlier action that this one repeats or waits for, or the limit that it would exceed.

        Raises:
            AnsweredBefore: if the question that was asked about it is not open any more.
        """
        now, new_entry = self._clock(), self._without_secrets(new_entry)
        with self._store.transaction(new_entry.account) as connection:
            self._check_kept(connection)
            # A yes counts once: the second action with the same yes gets the outcome of the first.
            is_fresh = new_entry.question is None or _is_open(connection, new_entry.question)
            earlier = find_earlier(new_entry, connection, now, repeat=repeat and is_fresh)
            if earlier is not None:
                return earlier
            if not is_fresh:
                raise AnsweredBefore
            other = find_under_way(new_entry, connection, now)
            if other is not None:
                return other
            exceeded = _exceeded_limit(new_entry, connection, now, limits)
            if exceeded is not None:
                return exceeded
            state = {
                "at": now,
                "repeated": repeat,
                "outcome": "pending",
                "owner_process": this_process(),
                "unknown_after": now + within,
                "reason": None,
                "approved_by": new_entry.approved_by,
                "approved_how": new_entry.approved_how,
            }
            row = self._write(connection, new_entry, state)
        self._latest_row = row
        return row

    def _check_kept(self, connection: sa.Connection) -> None:
        """Check that the latest action is still there: an older copy of the database forgets what was spent.

        Raises:
            ReplacedError: if it is gone.
        """
        if self._latest_row is not None and connection.execute(OWNER, {"row": self._latest_row}).first() is None:
            raise ReplacedError(REPLACED)

    def find_conflict(self, new_entry: NewEntry, limits: Limits, *, repeat: bool) -> Entry | LimitExceeded | None:
        """Find what would keep an action from being reserved, without writing anything."""
        now, new_entry = self._clock(), self._without_secrets(new_entry)
        with self._store.transaction(new_entry.account) as connection:
            earlier = find_earlier(new_entry, connection, now, repeat=repeat)
            return earlier or _exceeded_limit(new_entry, connection, now, limits)

    def settle(
        self,
        row: int,
        outcome: Settled,
        *,
        reason: str | None = None,
        ids: Mapping[str, str] | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down the outcome of an action, and revoke a look-up that matched its ids to another action."""
        settled: dict[str, Any] = {
            "outcome": outcome,
            "settled_at": self._clock(),
            "reason": reason and self._redact(reason),
            "ids": self._redacted(ids),
            "result": self._redacted(result),
        }
        if outcome == "unknown":
            settled["was_unknown"] = True
        with self._store.transaction("settle") as connection:
            account, tool = connection.execute(OWNER, {"row": row}).one()
            lock(connection, account)
            connection.execute(UPDATE, settled | {"row": row})
            if outcome == "done" and ids:
                revoke_match(ids, connection, {"account": account, "tool": tool, "row": row})

    def settle_unresolved(self, entry: Entry, found: LookupResult) -> bool:
        """Write down what a look-up found, unless the action was settled; False if it may belong to another action."""
        settled = {"outcome": found.outcome, "settled_at": self._clock(), "was_unknown": True}
        settled |= {"ids": self._redacted(found.ids), "result": self._redacted(found.result), "reason": FOUND}
        is_unresolved = (actions.c.id == entry.id) & actions.c.outcome.in_(("pending", "unknown"))
        with self._store.transaction(entry.account) as connection:
            if may_belong_to_another(found, entry, connection, self._clock()):
                return False
            connection.execute(sa.update(actions).where(is_unresolved).values(settled))
        return True

    def mark_reported(self, entry: Entry) -> None:
        """Write down that the finding of a look-up was reported; its replays count from now on."""
        with self._store.transaction(entry.account) as connection:
            reason = connection.execute(sa.select(actions.c.reason).where(actions.c.id == entry.id)).scalar_one()
            if is_unreported(reason):
                reported = {"settled_at": self._clock(), "reason": reason.replace(FOUND, FOUND_AND_REPORTED, 1)}
                connection.execute(UPDATE, reported | {"row": entry.id})

    def settle_call_cost(self, entry: Entry, seconds: float | None, *, is_over: bool = True) -> None:
        """Write down what a call cost, or costs at least so far; without seconds its estimate stays."""
        cost = entry.cost if seconds is None else cost_of_seconds(entry.minute_cost or 0, seconds)
        settled = {"cost": cost, "minute_cost": None} if is_over else {"cost": max(cost, entry.cost)}
        with self._store.transaction(entry.account) as connection:
            connection.execute(UPDATE, settled | {"row": entry.id})

    def refuse(self, new_entry: NewEntry, reason: str) -> None:
        """Write down that an action was refused, and why."""
        new_entry = self._without_secrets(new_entry)
        state = {"outcome": "refused", "reason": self._redact(reason), "approved_by": new_entry.approved_by}
        with self._store.transaction(new_entry.account) as connection:
            self._write(connection, new_entry, state)

    def close_question(self, question: int, reason: str) -> None:
        """Write down why the answer to a question led to no action."""
        with self._store.transaction("settle") as connection:
            if _is_open(connection, question):
                connection.execute(UPDATE, {"row": question, "reason": reason})

    def record_question(self, new_entry: NewEntry, *, repeat: bool = False) -> Question:
        """Write down that a person is asked; the action counts as refused until they agree."""
        new_entry = self._without_secrets(new_entry)
        state = {"outcome": "refused", "reason": UNANSWERED, "repeated": repeat, "approved_by": new_entry.approved_by}
        with self._store.transaction(new_entry.account) as connection:
            row = self._write(connection, new_entry, state)
        return Question(row, _truncated(new_entry.summary), new_entry.preview_hash, self._clock(), is_repeat=repeat)

    def open_question(self, new_entry: NewEntry) -> Question | None:
        """Find the latest question about an action that is not answered yet."""
        query = sa.select(actions).where(
            actions.c.account == new_entry.account,
            actions.c.tool == new_entry.tool,
            actions.c.fingerprint == new_entry.fingerprint,
            actions.c.outcome == "refused",
            actions.c.reason == UNANSWERED,
        )
        with self._store.transaction(new_entry.account) as connection:
            row = connection.execute(query.order_by(actions.c.id.desc()).limit(1)).mappings().first()
        return Question(row["id"], row["summary"], row["preview_hash"], row["at"], row["repeated"]) if row else None

    def unresolved(self, account: str) -> list[Entry]:
        """List the actions whose outcome is unknown, oldest first; pending ones of ended processes become so here."""
        unsettled = sa.select(actions).where(
            actions.c.account == account, actions.c.outcome.in_(("pending", "unknown"))
        )
        with self._store.transaction(account) as connection:
            rows = connection.execute(unsettled.order_by(actions.c.id)).mappings().all()
            entries = [resolve_row(row, connection, self._clock()) for row in rows]
        return [entry for entry in entries if entry.outcome == "unknown"]

    def has_pending(self, account: str) -> bool:
        """Tell whether an action of an account is pending, here or elsewhere."""
        pending = sa.select(actions.c.id).where(actions.c.account == account, actions.c.outcome == "pending")
        with self._store.transaction(account) as connection:
            return connection.execute(pending.limit(1)).first() is not None

    def estimates(self, account: str) -> list[Entry]:
        """List the actions whose cost is still an estimate, as far back as the longest window of a limit."""
        query = sa.select(actions).where(
            actions.c.account == account,
            actions.c.outcome == "done",
            actions.c.minute_cost.is_not(None),
            actions.c.at > self._clock() - LONGEST_WINDOW,
        )
        return self._read(account, query)

    def claimed_ids(self, account: str, tool: str) -> frozenset[str]:
        """Collect the ids that belong to settled actions of a tool."""
        query = sa.select(actions).where(
            actions.c.account == account, actions.c.tool == tool, actions.c.outcome == "done"
        )
        return frozenset(value for entry in self._read(account, query) for value in (entry.ids or {}).values())

    def entries(self, since: float = 0) -> list[Entry]:
        """List the actions of all accounts since a time, oldest first."""
        return self._read("settle", sa.select(actions).where(actions.c.at >= since).order_by(actions.c.id))

    def _read(self, account: str, query: sa.Select[Any]) -> list[Entry]:
        with self._store.transaction(account) as connection:
            return [read_row(row, self._clock()) for row in connection.execute(query).mappings().all()]

    def _write(self, connection: sa.Connection, new_entry: NewEntry, state: Mapping[str, Any]) -> int:
        """Write an action: into the row of its question if that is still open, else into a new row."""
        if new_entry.question is not None and _is_open(connection, new_entry.question):
            connection.execute(UPDATE, dict(state) | {"row": new_entry.question})
            return new_entry.question
        row = {name: getattr(new_entry, name) for name in _COPIED} | {
            "at": self._clock(),
            "summary": _truncated(new_entry.summary),
            "was_unknown": False,
            "repeated": False,
            "match_on": self._redacted(new_entry.match_on),
        }
        inserted = connection.execute(INSERT, row | dict(state)).inserted_primary_key
        return int(inserted[0]) if inserted else 0

    def _without_secrets(self, new_entry: NewEntry) -> NewEntry:
        texts = {"summary": self._redact(new_entry.summary), "target": self._redact(new_entry.target)}
        return replace(new_entry, **texts, approved_by=new_entry.approved_by and self._redact(new_entry.approved_by))

    def _redacted(self, value: Any) -> Any:
        """Copy a JSON value without secrets; an empty object becomes None."""
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, Mapping):
            return {name: self._redacted(item) for name, item in cast("Mapping[str, Any]", value).items()} or None
        return [self._redacted(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _exceeded_limit(new_entry: NewEntry, connection: sa.Connection, now: float, limits: Limits) -> LimitExceeded | None:
    return limits.exceeded_by(new_entry.tool, new_entry.cost, partial(count_usage, new_entry, connection, now))


def _is_open(connection: sa.Connection, question: int) -> bool:
    """Tell whether a question is not answered yet."""
    unanswered = (actions.c.id == question) & (actions.c.outcome == "refused") & (actions.c.reason == UNANSWERED)
    return connection.execute(sa.select(actions.c.id).where(unanswered)).first() is not None


def _truncated(text: str) -> str:
    return text if len(text) <= LONGEST_SUMMARY else f"{text[:LONGEST_SUMMARY]}… (cut here)"
