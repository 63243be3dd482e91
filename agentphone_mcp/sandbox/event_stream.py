"""Publish what happens in the sandbox to its subscribers: the terminal and the web page.

| kind | what happened |
|---|---|
| request | a request of a client was answered, or its connection dropped |
| call | a call began, was answered, or ended |
| turn | one party spoke in a call |
| message | a text was sent or received |
| delivery | a webhook was tried |
| mail | a sign-up would be mailed its code |
| balance | money was spent |
| reset | the account was reset to the seeded one |
| dropped | this subscriber was too slow and missed `count` events |

A slow subscriber cannot slow the sandbox: each has its own queue, which drops the oldest event when full.
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast

from agentphone_mcp.sandbox import rows
from agentphone_mcp.sandbox.data.models import Call
from agentphone_mcp.sandbox.redaction import without_keys
from agentphone_mcp.sandbox.responses import Json

Kind = Literal["request", "call", "turn", "message", "delivery", "mail", "balance", "reset", "dropped"]

CAPACITY = 1_000
_SECRET = re.compile(r"whsec_[\w+/=-]+")
# Redacting a shorter key would redact ordinary words.
_SHORTEST_KEY = 8


@dataclass(frozen=True)
class SandboxEvent:
    """Describe one event; `number` counts up within a sandbox, and `row` is JSON without secrets."""

    number: int
    kind: Kind
    row: Json


class Subscriber:
    """Queue the events that one subscriber has not read yet. Filled in the sandbox's thread, read in any."""

    def __init__(self, wake: Callable[[], object], capacity: int) -> None:
        self.wake = wake
        self._capacity = capacity
        self._unread: deque[SandboxEvent] = deque()
        self._dropped = 0
        self._lock = threading.Lock()

    def put(self, event: SandboxEvent) -> None:
        """Queue an event; drop the oldest if the queue is full."""
        with self._lock:
            was_empty = not self._unread
            if len(self._unread) == self._capacity:
                self._unread.popleft()
                self._dropped += 1
            self._unread.append(event)
        if was_empty:
            self.wake()

    def take(self) -> list[SandboxEvent]:
        """Return the events since the last call, oldest first; `dropped` comes first if some are missing."""
        with self._lock:
            taken, dropped = list(self._unread), self._dropped
            self._unread.clear()
            self._dropped = 0
        if dropped:
            taken.insert(0, SandboxEvent(taken[0].number - 1, "dropped", {"count": dropped}))
        return taken


class EventStream:
    """Publish each event to all subscribers, without the key, and `balance`, read after each event, when it changed."""

    def __init__(self, *, key: str = "", balance: Callable[[], Decimal] | None = None) -> None:
        self.number = 0
        self.is_closed = False
        self._key = key
        self._balance = balance
        self._published_balance: Decimal | None = None
        self._published_calls: dict[str, tuple[str, int]] = {}
        self._subscribers: tuple[Subscriber, ...] = ()
        self._lock = threading.Lock()

    @contextmanager
    def subscribe(self, wake: Callable[[], object], capacity: int = CAPACITY) -> Generator[Subscriber, None, None]:
        """Subscribe to all events from now on; keep the last `capacity` of them until they are taken.

        `wake` is called in the sandbox's thread when there are events to take, and when the sandbox closes.
        """
        subscriber = Subscriber(wake, capacity)
        with self._lock:
            if self._balance and not self._subscribers:
                self._published_balance = self._balance()
            self._subscribers = (*self._subscribers, subscriber)
        try:
            yield subscriber
        finally:
            with self._lock:
                self._subscribers = tuple(other for other in self._subscribers if other is not subscriber)

    @property
    def subscribers(self) -> int:
        """Count the current subscribers."""
        return len(self._subscribers)

    def publish(self, kind: Kind, row: Json) -> None:
        """Publish an event, and the balance if it changed."""
        if kind == "reset":
            self._published_calls.clear()
        self._publish(kind, row)
        if not self._balance or not self._subscribers:
            return
        balance = self._balance()
        if balance != self._published_balance:
            self._published_balance = balance
            self._publish("balance", {"at": row.get("at"), "balance": rows.dollars(balance)})

    def publish_call(self, call: Call) -> None:
        """Publish what is new in a call: its status, and each turn once."""
        status, turns = self._published_calls.get(call.id, (None, 0))
        self._published_calls[call.id] = (call.status, len(call.turns))
        if call.is_live and call.status != status:
            self.publish("call", rows.call(call))
        for turn in call.turns[turns:]:
            self.publish("turn", rows.turn(turn) | {"callId": call.id})
        if not call.is_live and call.status != status:
            self.publish("call", rows.call(call))

    def close(self) -> None:
        """Wake all subscribers, so that they see that the stream is closed."""
        self.is_closed = True
        for subscriber in self._subscribers:
            subscriber.wake()

    def redact(self, value: Any) -> Any:
        """Return the JSON with its key and webhooks' secrets cut to their last four characters, and no other key."""
        match value:
            case str():
                if len(self._key) >= _SHORTEST_KEY:
                    value = value.replace(self._key, f"…{self._key[-4:]}")
                return without_keys(_SECRET.sub(lambda secret: f"whsec_…{secret[0][-4:]}", value))
            case dict():
                return {self.redact(name): self.redact(item) for name, item in cast(Json, value).items()}
            case list():
                return [self.redact(item) for item in cast(list[Any], value)]
            case _:
                return value

    def _publish(self, kind: Kind, row: Json) -> None:
        self.number += 1
        if self._subscribers:
            event = SandboxEvent(self.number, kind, self.redact(row))
            for subscriber in self._subscribers:
                subscriber.put(event)
