"""Serve subscriptions to the transcripts of live calls, in both eras of the protocol.

    subscriptions/listen   newer clients: one request, which lasts as long as the subscription does
    resources/subscribe    older ones: until resources/unsubscribe, or until the connection closes

Nothing else can be subscribed to, because no updates would ever come: `resources/subscribe` answers such an address
with an error, `subscriptions/listen` leaves it out of what it acknowledges. The same happens beyond 100 subscriptions
of one connection, as each one takes memory until the connection closes.
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
from agentphone_mcp.features.presentation.serialization import show_sentence
from agentphone_mcp.policy.errors import Refused

_MAX_PENDING = 64
"""How many updates are queued for a slow client; further ones are dropped, as an update only says "read again"."""
_MAX_SUBSCRIPTIONS = 100
"""The most addresses that one connection, or one request to listen, may subscribe to."""
_STATE_KEY = "agentphone_mcp.subscriptions"

RequestContext = ServerRequestContext[ToolContext, Any]
Subscriptions = dict[str, anyio.CancelScope]
"""A connection's subscriptions by address."""


async def listen(ctx: RequestContext, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
    """Answer `subscriptions/listen` as the SDK does, and follow the calls that it names meanwhile."""
    live = ctx.lifespan_context.live
    async with AsyncExitStack() as stack:
        honored: list[str] = []
        # Each address costs requests to the API, so only the first ones are looked at.
        for uri in [*dict.fromkeys(params.notifications.resource_subscriptions or ())][:_MAX_SUBSCRIPTIONS]:
            try:
                await stack.enter_async_context(live.following(uri))
            except (Refused, ApiError):
                continue
            honored.append(uri)
        notifications = params.notifications.model_copy(update={"resource_subscriptions": honored or None})
        return await live.listen(ctx, params.model_copy(update={"notifications": notifications}))


async def subscribe(ctx: RequestContext, params: SubscribeRequestParams) -> EmptyResult:
    """Answer `resources/subscribe`.

    Raises:
        MCPError: if the address is no readable transcript, or the connection has too many subscriptions.
    """
    live, subscriptions = ctx.lifespan_context.live, _subscriptions_of(ctx.session)
    if params.uri not in subscriptions:
        if (count := len(subscriptions)) >= _MAX_SUBSCRIPTIONS:
            reason = f"This connection has {count} subscriptions, as many as it may: unsubscribe from one first."
            raise MCPError(INVALID_PARAMS, reason, {"uri": params.uri})
        try:
            await live.tasks.start(_send_updates, live, ctx.session, params.uri, subscriptions)
        except (Refused, ApiError) as exc:
            reason = explain(exc) if isinstance(exc, ApiError) else str(exc)
            raise MCPError(INVALID_PARAMS, show_sentence(reason, live.redact), {"uri": params.uri}) from exc
    return EmptyResult()


async def unsubscribe(ctx: RequestContext, params: UnsubscribeRequestParams) -> EmptyResult:
    """Answer `resources/unsubscribe`; an address without a subscription is no error."""
    if scope := _subscriptions_of(ctx.session).pop(params.uri, None):
        scope.cancel()
    return EmptyResult()


async def _send_updates(
    live: LiveTranscripts,
    session: ServerSession,
    uri: str,
    subscriptions: Subscriptions,
    *,
    task_status: TaskStatus[None],
) -> None:
    """Send one client the updates of one transcript until its subscription is cancelled."""
    send_stream, receive_stream = anyio.create_memory_object_stream[None](_MAX_PENDING)

    def on_event(event: ServerEvent) -> None:
        if event == ResourceUpdated(uri) and send_stream.statistics().current_buffer_used < _MAX_PENDING:
            send_stream.send_nowait(None)

    with anyio.CancelScope() as scope, send_stream, receive_stream:
        async with live.following(uri):
            # Of concurrent requests for one address the first makes the subscription, which serves them all.
            if subscriptions.setdefault(uri, scope) is scope:
                stop = live.bus.subscribe(on_event)
                try:
                    task_status.started()
                    async for _ in receive_stream:
                        await session.send_resource_updated(uri)
                finally:
                    stop()
                    if subscriptions.get(uri) is scope:
                        del subscriptions[uri]
            else:
                task_status.started()


def _subscriptions_of(session: ServerSession) -> Subscriptions:
    """Get the subscriptions of a connection; all of them are cancelled when it closes."""
    connection = session._connection  # pyright: ignore[reportPrivateUsage] - no public way from a handler to it
    if _STATE_KEY not in connection.state:
        connection.state[_STATE_KEY] = subscriptions = Subscriptions()
        connection.exit_stack.callback(_cancel_all, subscriptions)
    return connection.state[_STATE_KEY]


def _cancel_all(subscriptions: Subscriptions) -> None:
    for scope in subscriptions.values():
        scope.cancel()
