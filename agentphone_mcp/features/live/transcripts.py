"""Follows live calls for whoever subscribed to their transcripts."""

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
_AT_ONCE_SECONDS = 600.0
"""How long a call is followed before it is begun anew, after the turn that was reached."""
_PAUSE_SECONDS = 1.0
"""How long to wait after trouble before a call is followed on."""


@dataclass
class _ActiveCall:
    """A call that is being followed, and how many subscriptions there are under each address of its transcript."""

    uris: Counter[str] = field(default_factory=Counter[str])
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class LiveTranscripts:
    """Publishes each new turn of the calls that are subscribed to: one stream upstream a call, however many listen.

    Args:
        api: where calls are read.
        tasks: where they are followed; its end is the end of all.

    Attributes:
        tasks: where they are followed.
        bus: where updates are published.
        listen: the SDK's handler of `subscriptions/listen`, which tells newer clients what is published.
    """

    def __init__(self, api: ApiClient, tasks: TaskGroup) -> None:
        self.tasks = tasks
        self.bus: SubscriptionBus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self.bus)
        self._api = api
        self._followed: dict[str, _ActiveCall] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no call is followed."""
        return not self._followed

    @asynccontextmanager
    async def following(self, uri: str) -> AsyncGenerator[None]:
        """Publish the updates of a transcript while the context lasts, and no longer than the call does.

        Raises:
            Refused: if it is no transcript.
            ApiError: if the call cannot be read.
        """
        found = _TRANSCRIPT.match(uri)
        if found is None:
            raise Refused(f"Only {TRANSCRIPT_URI} can be subscribed to: nothing else is known to change.")
        followed = await self._join(plain_id(str(found["call_id"])))
        followed.uris[uri] += 1
        try:
            yield
        finally:
            followed.uris[uri] -= 1
            if not +followed.uris:
                followed.scope.cancel()
                self._forget(followed)

    def redact(self, text: str) -> str:
        """Remove the secrets that are known."""
        return self._api.secrets.redact(text)

    async def _join(self, call_id: str) -> _ActiveCall:
        if call_id not in self._followed:
            # Before anybody is told that they are subscribed, so that whatever is said afterwards is an update.
            if (await self._api.calls.get(call_id)).has_ended:
                return _ActiveCall()
            heard = len((await self._api.calls.transcript(call_id)).turns)
            if call_id not in self._followed:
                self._followed[call_id] = _ActiveCall()
                self.tasks.start_soon(self._follow, call_id, self._followed[call_id], heard)
        return self._followed[call_id]

    def _forget(self, followed: _ActiveCall) -> None:
        self._followed = {call_id: other for call_id, other in self._followed.items() if other is not followed}

    async def _follow(self, call_id: str, followed: _ActiveCall, heard: int) -> None:
        async def publish(*_: object) -> None:
            for uri in +followed.uris:
                await self.bus.publish(ResourceUpdated(uri))

        with followed.scope:
            try:
                while True:
                    heard, has_ended = await self._listen(call_id, publish, heard)
                    if has_ended:
                        break
                    await anyio.sleep(_PAUSE_SECONDS)
                # How a call ended stands in its transcript too.
                await publish()
            except (Unauthorized, Forbidden, NotFound) as lost:
                logger.warning("a transcript is not updated any more: %s", self.redact(explain(lost)))
            except Exception:
                logger.exception("a transcript is not updated any more")
        self._forget(followed)

    async def _listen(self, call_id: str, publish: Report, heard: int) -> tuple[int, bool]:
        """Follow a call as far as it goes: how many turns are known now, and whether that was all."""
        try:
            seen = await follow(
                self._api.calls, call_id, publish, self.redact, max_seconds=_AT_ONCE_SECONDS, after_turn=heard
            )
        except (Unauthorized, Forbidden, NotFound):
            raise
        except ApiError:
            # A moment's trouble is no end.
            return heard, False
        return seen.after_turn, seen.ended
