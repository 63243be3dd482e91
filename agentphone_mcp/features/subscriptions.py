"""Subscriptions to the transcripts of live calls, in both eras of the protocol.

    subscriptions/listen   newer clients: one request, which lasts as long as the subscription does
    resources/subscribe    older ones: until resources/unsubscribe, or until the connection closes

A subscription to anything else is refused (older clients), or left out of what is acknowledged (newer ones), as the
protocol has it: accepted, it would promise updates that never come. So is one too many: each takes memory for as long
as the connection lasts.
"""

from contextlib import AsyncExitStack
from typing import Any

import anyio
from anyio.abc import TaskStatus
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.features.context import ToolContext
from agentphone_mcp.features.live.transcripts import LiveTranscripts
from agentphone_mcp.features.presentation.error_messages import explain
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.untrusted import clean

_UNSENT = 64
"""How many updates wait for a client that is slow to take them; one more would be no news to it."""
_MOST = 100
"""To how many addresses a connection, or one request to listen, may be subscribed."""
_HELD = "agentphone_mcp.subscriptions"

Asked = ServerRequestContext[ToolContext, Any]
Held = dict[str, anyio.CancelScope]
"""What a connection is subscribed to, by address."""


async def listen(ctx: Asked, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
    """Answer `subscriptions/listen` as the SDK does, while the calls that it asks about are followed."""
    live = ctx.lifespan_context.live
    async with AsyncExitStack() as held:
        honored: list[str] = []
        # As many are looked at, too: the API is asked about each.
        for uri in [*dict.fromkeys(params.notifications.resource_subscriptions or ())][:_MOST]:
            try:
                await held.enter_async_context(live.following(uri))
            except (Refused, ApiError):
                continue
            honored.append(uri)
        notifications = params.notifications.model_copy(update={"resource_subscriptions": honored or None})
        return await live.listen(ctx, params.model_copy(update={"notifications": notifications}))


async def subscribe(ctx: Asked, params: SubscribeRequestParams) -> EmptyResult:
    """Answer `resources/subscribe`.

    Raises:
        MCPError: with a sentence, if there is nothing to follow, or too much is followed already.
    """
    live, held = ctx.lifespan_context.live, _held(ctx.session)
    if params.uri not in held:
        if len(held) >= _MOST:
            why = f"This connection has {_MOST} subscriptions, as many as it may: unsubscribe from one first."
            raise MCPError(INVALID_PARAMS, why, {"uri": params.uri})
        try:
            await live.tasks.start(_tell, live, ctx.session, params.uri, held)
        except (Refused, ApiError) as failure:
            said = explain(failure) if isinstance(failure, ApiError) else str(failure)
            raise MCPError(INVALID_PARAMS, live.redact(clean(said)), {"uri": params.uri}) from failure
    return EmptyResult()


async def unsubscribe(ctx: Asked, params: UnsubscribeRequestParams) -> EmptyResult:
    """Answer `resources/unsubscribe`, also for what was never subscribed to."""
    scope = _held(ctx.session).pop(params.uri, None)
    if scope:
        scope.cancel()
    return EmptyResult()


async def _tell(
    live: LiveTranscripts, session: ServerSession, uri: str, held: Held, *, task_status: TaskStatus[None]
) -> None:
    """Send one client the updates of one transcript, while it holds the subscription."""
    news, heard = anyio.create_memory_object_stream[None](_UNSENT)

    def hear(event: ServerEvent) -> None:
        if event == ResourceUpdated(uri) and news.statistics().current_buffer_used < _UNSENT:
            news.send_nowait(None)

    with anyio.CancelScope() as scope, news, heard:
        async with live.following(uri):
            # If it is asked for twice at once, the first subscription serves both.
            if held.setdefault(uri, scope) is scope:
                leave = live.bus.subscribe(hear)
                try:
                    task_status.started()
                    async for _ in heard:
                        await session.send_resource_updated(uri)
                finally:
                    leave()
                    if held.get(uri) is scope:
                        del held[uri]
            else:
                task_status.started()


def _held(session: ServerSession) -> Held:
    """Find what a connection is subscribed to; all of it ends with the connection."""
    connection = session._connection  # pyright: ignore[reportPrivateUsage] - no public way from a handler to it
    if _HELD not in connection.state:
        connection.state[_HELD] = held = Held()
        connection.exit_stack.callback(_release, held)
    return connection.state[_HELD]


def _release(held: Held) -> None:
    for scope in held.values():
        scope.cancel()
