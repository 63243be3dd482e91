"""Publish updates of the transcripts of live calls that clients subscribed to."""

import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, SubscriptionBus
from mcp.shared.uri_template import UriTemplate

from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError, Forbidden, NotFound, Unauthorized
from agentphone_mcp.features.completion import plain_id
from agentphone_mcp.features.live.following import Report, follow
from agentphone_mcp.features.presentation.error_messages import explain
from agentphone_mcp.features.uris import TRANSCRIPT_URI
from agentphone_mcp.policy.errors import Refused

logger = logging.getLogger(__name__)

_TRANSCRIPT = UriTemplate.parse(TRANSCRIPT_URI)
_FOLLOW_SECONDS = 600.0
"""How long one `follow` lasts before the next one continues after its last turn."""
_RETRY_SECONDS = 1.0
"""How long to wait before following again after an error."""


@dataclass
class _ActiveCall:
    """Hold a call being followed, with the number of subscriptions for each address of its transcript."""

    uris: Counter[str] = field(default_factory=Counter[str])
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class LiveTranscripts:
    """Publish each new turn of subscribed calls, with one upstream stream a call for any number of subscribers."""

    def __init__(self, api: ApiClient, tasks: TaskGroup) -> None:
        self.tasks = tasks
        """Runs the tasks that follow calls, and those that send updates to older clients."""
        self.bus: SubscriptionBus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self.bus)
        """The SDK's handler of `subscriptions/listen`, which forwards updates to newer clients."""
        self._api = api
        self._calls: dict[str, _ActiveCall] = {}

    @property
    def is_idle(self) -> bool:
        """Return True if no call is being followed."""
        return not self._calls

    @asynccontextmanager
    async def following(self, uri: str) -> AsyncGenerator[None]:
        """Publish the updates of a transcript until the context is left or the call ends.

        Raises:
            Refused: if the address is not that of a transcript.
            ApiError: if the call cannot be read.
        """
        match = _TRANSCRIPT.match(uri)
        if match is None:
            raise Refused(f"Only {TRANSCRIPT_URI} can be subscribed to: nothing else is known to change.")
        call = await self._join(plain_id(str(match["call_id"])))
        call.uris[uri] += 1
        try:
            yield
        finally:
            call.uris[uri] -= 1
            if not +call.uris:
                call.scope.cancel()
                self._forget(call)

    def redact(self, text: str) -> str:
        """Remove the account's secrets from a text."""
        return self._api.secrets.redact(text)

    async def _join(self, call_id: str) -> _ActiveCall:
        if call_id not in self._calls:
            # Turns are counted before the subscription is acknowledged, so that each later turn is an update.
            if (await self._api.calls.get(call_id)).has_ended:
                return _ActiveCall()
            turn_count = len((await self._api.calls.transcript(call_id)).turns)
            if call_id not in self._calls:
                self._calls[call_id] = _ActiveCall()
                self.tasks.start_soon(self._follow, call_id, self._calls[call_id], turn_count)
        return self._calls[call_id]

    def _forget(self, call: _ActiveCall) -> None:
        self._calls = {call_id: other for call_id, other in self._calls.items() if other is not call}

    async def _follow(self, call_id: str, call: _ActiveCall, turn_count: int) -> None:
        async def publish(*_: object) -> None:
            for uri in +call.uris:
                await self.bus.publish(ResourceUpdated(uri))

        with call.scope:
            try:
                while True:
                    turn_count, has_ended = await self._follow_once(call_id, publish, turn_count)
                    if has_ended:
                        break
                    await anyio.sleep(_RETRY_SECONDS)
                # The transcript also says how the call ended.
                await publish()
            except (Unauthorized, Forbidden, NotFound) as exc:
                logger.warning("a transcript is not updated any more: %s", self.redact(explain(exc)))
            except Exception:
                logger.exception("a transcript is not updated any more")
        self._forget(call)

    async def _follow_once(self, call_id: str, publish: Report, turn_count: int) -> tuple[int, bool]:
        """Follow a call until the time is up; return how many turns it has now, and whether it ended."""
        try:
            followed = await follow(
                self._api.calls, call_id, publish, self.redact, max_seconds=_FOLLOW_SECONDS, after_turn=turn_count
            )
        except (Unauthorized, Forbidden, NotFound):
            raise
        except ApiError:
            # Most errors pass: the caller retries.
            return turn_count, False
        return followed.after_turn, followed.ended
