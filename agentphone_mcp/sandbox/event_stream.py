"""What happens in the sandbox, told to those who watch: the terminal and the web page.

| kind | the row says |
|---|---|
| request | a request of a client was answered, or its connection dropped |
| call | a call began, was answered, or ended |
| turn | somebody spoke in a call |
| message | a text was sent or received |
| delivery | a webhook was tried |
| mail | somebody signed up, and would be mailed a code |
| balance | money was spent |
| reset | the account is the fresh one again |
| dropped | this subscriber was too slow and missed `count` events |

Nobody who watches can slow the sandbox: each has a queue of its own, which forgets the oldest when it is full.
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast

from agentphone_mcp.sandbox import rows as shown
from agentphone_mcp.sandbox.data.models import Call
from agentphone_mcp.sandbox.responses import Json

Kind = Literal["request", "call", "turn", "message", "delivery", "mail", "balance", "reset", "dropped"]

ROOM = 1_000
_SECRET = re.compile(r"whsec_[\w+/=-]+")
# Cutting out a shorter key would cut ordinary words.
_SHORTEST_KEY = 8


@dataclass(frozen=True)
class SandboxEvent:
    """Something that happened; `number` counts up within a sandbox, and `row` is JSON without secrets."""

    number: int
    kind: Kind
    row: Json


class Subscriber:
    """What one subscriber has not read yet. Filled in the sandbox's thread, read in any."""

    def __init__(self, wake: Callable[[], object], room: int) -> None:
        self.wake = wake
        self._room = room
        self._unread: deque[SandboxEvent] = deque()
        self._lost = 0
        self._lock = threading.Lock()

    def put(self, event: SandboxEvent) -> None:
        """Keep it until it is read; in place of the oldest when there is no room."""
        with self._lock:
            was_empty = not self._unread
            if len(self._unread) == self._room:
                self._unread.popleft()
                self._lost += 1
            self._unread.append(event)
        if was_empty:
            self.wake()

    def take(self) -> list[SandboxEvent]:
        """What happened since the last time, the oldest first; `dropped` leads when some of it is lost."""
        with self._lock:
            taken, lost = list(self._unread), self._lost
            self._unread.clear()
            self._lost = 0
        if lost:
            taken.insert(0, SandboxEvent(taken[0].number - 1, "dropped", {"count": lost}))
        return taken


class EventStream:
    """Tells each event to all who watch.

    Args:
        key: cut out of everything that is told, as the webhooks' secrets are.
        balance: asked after each event, so that whoever spends need not tell.
    """

    def __init__(self, *, key: str = "", balance: Callable[[], Decimal] | None = None) -> None:
        self.number = 0
        self.is_closed = False
        self._key = key
        self._balance = balance
        self._told_balance: Decimal | None = None
        self._told_calls: dict[str, tuple[str, int]] = {}
        self._subscribers: tuple[Subscriber, ...] = ()
        self._lock = threading.Lock()

    @contextmanager
    def subscribe(self, wake: Callable[[], object], room: int = ROOM) -> Generator[Subscriber, None, None]:
        """A subscriber of all that happens from now on.

        Args:
            wake: called in the sandbox's thread when there is something to take, and when the sandbox closes.
            room: how many events are kept for a subscriber who does not take them.
        """
        subscriber = Subscriber(wake, room)
        with self._lock:
            if self._balance and not self._subscribers:
                self._told_balance = self._balance()
            self._subscribers = (*self._subscribers, subscriber)
        try:
            yield subscriber
        finally:
            with self._lock:
                self._subscribers = tuple(other for other in self._subscribers if other is not subscriber)

    @property
    def subscribers(self) -> int:
        """How many watch right now."""
        return len(self._subscribers)

    def publish(self, kind: Kind, row: Json) -> None:
        """Tell all who watch, and what it cost."""
        self._publish(kind, row)
        if not self._balance or not self._subscribers:
            return
        balance = self._balance()
        if balance != self._told_balance:
            self._told_balance = balance
            self._publish("balance", {"at": row.get("at"), "balance": shown.dollars(balance)})

    def publish_call(self, call: Call) -> None:
        """Tell what is new in a call since the last time: its status, and each turn once."""
        status, turns = self._told_calls.get(call.id, (None, 0))
        self._told_calls[call.id] = (call.status, len(call.turns))
        if call.is_live and call.status != status:
            self.publish("call", shown.call(call))
        for turn in call.turns[turns:]:
            self.publish("turn", shown.turn(turn) | {"callId": call.id})
        if not call.is_live and call.status != status:
            self.publish("call", shown.call(call))

    def close(self) -> None:
        """Let the subscribers go."""
        self.is_closed = True
        for subscriber in self._subscribers:
            subscriber.wake()

    def masked(self, value: Any) -> Any:
        """The same JSON without the key and the webhooks' secrets, but for their last four characters."""
        match value:
            case str():
                if len(self._key) >= _SHORTEST_KEY:
                    value = value.replace(self._key, f"…{self._key[-4:]}")
                return _SECRET.sub(lambda secret: f"whsec_…{secret[0][-4:]}", value)
            case dict():
                return {self.masked(name): self.masked(one) for name, one in cast(Json, value).items()}
            case list():
                return [self.masked(one) for one in cast(list[Any], value)]
            case _:
                return value

    def _publish(self, kind: Kind, row: Json) -> None:
        self.number += 1
        if self._subscribers:
            event = SandboxEvent(self.number, kind, self.masked(row))
            for subscriber in self._subscribers:
                subscriber.put(event)
