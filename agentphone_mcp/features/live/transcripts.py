"""Share the live calls of an account among those who watch them, and publish updates of their transcripts."""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, SubscriptionBus
from mcp.shared.uri_template import UriTemplate

from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError, Forbidden, NotFound, Unauthorized
from agentphone_mcp.api.pacing import current_caller
from agentphone_mcp.features.completion import plain_id
from agentphone_mcp.features.live.live_call import LiveCall
from agentphone_mcp.features.presentation.error_messages import explain
from agentphone_mcp.features.uris import TRANSCRIPT_URI
from agentphone_mcp.policy.errors import Refused

logger = logging.getLogger(__name__)

_TRANSCRIPT = UriTemplate.parse(TRANSCRIPT_URI)
_RETRY_SECONDS = 1.0
"""How long to wait before following again after an error."""
_MOST_CALLS, _MOST_OF_ONE_CALLER = 300, 100
"""How many calls of an account are followed at once, and how many of them one caller may watch."""


@dataclass
class _Subscribed:
    """Hold the number of subscriptions for each address of a call's transcript."""

    uris: Counter[str] = field(default_factory=Counter[str])
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class LiveTranscripts:
    """Follow each call once, for any number of callers who wait for it and clients who subscribed to it."""

    def __init__(self, api: ApiClient, tasks: TaskGroup) -> None:
        self.tasks = tasks
        """Runs the tasks that follow calls, and those that send updates to older clients."""
        self.bus: SubscriptionBus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self.bus)
        """The SDK's handler of `subscriptions/listen`, which forwards updates to newer clients."""
        self._api = api
        self._calls: dict[str, LiveCall] = {}
        self._subscribed: dict[str, _Subscribed] = {}

    @property
    def is_idle(self) -> bool:
        """Return True if no call is being followed."""
        return not self._calls and not self._subscribed

    @contextmanager
    def watched(self, call_id: str) -> Generator[LiveCall]:
        """Share a call with all who watch it now; what one of them has read is there for the others.

        Raises:
            Refused: if too many calls are watched already.
        """
        call = self._calls.get(call_id)
        if call is None or call.is_over:
            self._check_room()
            call = self._calls[call_id] = LiveCall(self._api.calls, call_id, self.tasks)
        try:
            with call.watched():
                yield call
        finally:
            if not call.watchers and self._calls.get(call_id) is call:
                del self._calls[call_id]

    @asynccontextmanager
    async def following(self, uri: str) -> AsyncGenerator[None]:
        """Publish the updates of a transcript until the context is left or the call ends.

        Raises:
            Refused: if the address is not that of a transcript, or too many calls are followed.
            ApiError: if the call cannot be read.
        """
        match = _TRANSCRIPT.match(uri)
        if match is None:
            raise Refused(f"Only {TRANSCRIPT_URI} can be subscribed to: nothing else is known to change.")
        subscribed = await self._subscribe(plain_id(str(match["call_id"])))
        subscribed.uris[uri] += 1
        try:
            yield
        finally:
            subscribed.uris[uri] -= 1
            if not +subscribed.uris:
                subscribed.scope.cancel()
                self._forget(subscribed)

    def redact(self, text: str) -> str:
        """Remove the account's secrets from a text."""
        return self._api.secrets.redact(text)

    def _check_room(self) -> None:
        name = current_caller()
        if sum(name in call.watchers for call in self._calls.values()) >= _MOST_OF_ONE_CALLER:
            raise Refused(f"{_MOST_OF_ONE_CALLER} calls are followed for you, as many as for one caller: wait for one.")
        if len(self._calls) >= _MOST_CALLS:
            raise Refused(f"{_MOST_CALLS} calls are followed, as many as for one account: try again in a minute.")

    async def _subscribe(self, call_id: str) -> _Subscribed:
        if call_id not in self._subscribed:
            with self.watched(call_id) as call:
                # Turns are counted before the subscription is acknowledged, so that each later turn is an update.
                await call.read(needs_end=False)
                if call.ended:
                    return _Subscribed()
                if call_id not in self._subscribed:
                    self._subscribed[call_id] = _Subscribed()
                    self.tasks.start_soon(self._publish, call_id, self._subscribed[call_id], len(call.turns))
        return self._subscribed[call_id]

    def _forget(self, subscribed: _Subscribed) -> None:
        self._subscribed = {call_id: other for call_id, other in self._subscribed.items() if other is not subscribed}

    async def _publish(self, call_id: str, subscribed: _Subscribed, turn_count: int) -> None:
        async def publish() -> None:
            for uri in +subscribed.uris:
                await self.bus.publish(ResourceUpdated(uri))

        with subscribed.scope:
            try:
                while True:
                    turn_count, has_ended = await self._publish_turns(call_id, publish, turn_count)
                    if has_ended:
                        break
                    await anyio.sleep(_RETRY_SECONDS)
                # The transcript also says how the call ended.
                await publish()
            except (Unauthorized, Forbidden, NotFound) as exc:
                logger.warning("a transcript is not updated any more: %s", self.redact(explain(exc)))
            except Exception:
                logger.exception("a transcript is not updated any more")
        self._forget(subscribed)

    async def _publish_turns(
        self, call_id: str, publish: Callable[[], Awaitable[None]], turn_count: int
    ) -> tuple[int, bool]:
        """Publish each new turn until the call is over; return how many turns there were, and whether it ended."""
        try:
            with self.watched(call_id) as call:

                async def publish_new() -> None:
                    nonlocal turn_count
                    while turn_count < len(call.turns):
                        turn_count += 1
                        await publish()

                await call.watch(publish_new)
                return turn_count, call.ended
        except (Unauthorized, Forbidden, NotFound):
            raise
        except (ApiError, Refused):
            # Most errors pass: the caller retries.
            return turn_count, False
