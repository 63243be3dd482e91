"""Serve MCP for one configuration; the features are made when they are first needed.

Importing the features takes longer than the rest of a start. With a precomputed surface a new server lists its tools
without them.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio.to_thread import run_sync
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    CompleteRequestParams,
    GetPromptResult,
    InputRequiredResult,
    Prompt,
    Resource,
    ResourceTemplate,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)
from mcp_types import Tool as ShownTool
from pydantic import AnyUrl

from agentphone_mcp import __version__
from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.access import OPERATOR, Scope, included_scopes
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.middleware import account_middleware, request_state_security
from agentphone_mcp.server.sdk_overrides import overriding
from agentphone_mcp.server.stdio.drain import DrainingStream, HostStream
from agentphone_mcp.server.stdio.precomputed import PrecomputedSurface

if TYPE_CHECKING:
    import httpx
    from anyio import AsyncFile

    from agentphone_mcp.server.feature_set import FeatureSet

RequestHandler = Callable[[ServerRequestContext[Any, Any], Any], Awaitable[Any]]
# These lists change only with the server's own settings.
_LISTS: tuple[CacheableMethod, ...] = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
_LISTS_ARE_GOOD_MS = 3_600_000


def create_server(
    config: Config,
    accounts: AccountPool | None = None,
    *,
    precomputed: PrecomputedSurface | None = None,
    inner: "httpx.AsyncBaseTransport | None" = None,
) -> "AgentPhoneServer":
    """Make a server that is ready to be served to its operator, who starts it.

    Args:
        accounts: connects the operator to the account; a new one unless others, such as the log, use it too.
        precomputed: its listings, so that its features may be imported later.
        inner: what really sends requests; tests inject theirs, below the key's rule.
    """

    @asynccontextmanager
    async def lifespan(_: MCPServer[Any]) -> AsyncGenerator[AccountPool]:
        async with accounts or AccountPool(config, inner=inner) as opened, anyio.create_task_group() as tasks:
            tasks.start_soon(opened.get_ready)
            tasks.start_soon(server.get_ready)
            yield opened
            tasks.cancel_scope.cancel()

    server = AgentPhoneServer(config, OPERATOR.scope, lifespan, precomputed=precomputed)
    return server


class AgentPhoneServer(MCPServer[Any]):
    """Extend the SDK's server: tools and resources fail in sentences and never show a secret.

    Args:
        lifespan: opens the account pool.
        precomputed: its listings; without them, the features are made first.
        is_for_all: whether all callers have that scope, so that lists may be cached for all.
    """

    def __init__(
        self,
        config: Config,
        scope: Scope,
        lifespan: Any,
        *,
        precomputed: PrecomputedSurface | None = None,
        is_for_all: bool = True,
    ) -> None:
        self._toolsets = config.toolsets
        self._scope: Scope = included_scopes(scope, read_only=config.read_only)[-1]
        self._precomputed = precomputed
        self._features: FeatureSet | None = None
        self._getting_ready = anyio.Lock()
        features = None if precomputed else self._make_features()
        super().__init__(
            "agentphone",
            title="AgentPhone",
            version=__version__,
            instructions=precomputed.instructions if precomputed else features and features.instructions,
            website_url="https://agentphone.to",
            tools=features.tools if features else None,
            lifespan=lifespan,
            cache_hints=dict.fromkeys(_LISTS, CacheHint(_LISTS_ARE_GOOD_MS, "public" if is_for_all else "private")),
            middleware=[account_middleware],
            request_state_security=request_state_security(config),
            log_level="WARNING",
            # Answered below, where there are calls to follow.
            subscriptions=False,
        )
        answer = self._lowlevel_server.add_request_handler
        answer("completion/complete", CompleteRequestParams, self._answer_with(lambda features: features.complete))
        if "calls" in config.toolsets:
            listen, subscribe = SubscriptionsListenRequestParams, SubscribeRequestParams
            answer("subscriptions/listen", listen, self._answer_with(lambda features: features.listen))
            answer("resources/subscribe", subscribe, self._answer_with(lambda features: features.subscribe))
            unsubscribe = self._answer_with(lambda features: features.unsubscribe)
            answer("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
        if features:
            self._register(features)

    async def run_over(self, host: HostStream | None = None) -> None:
        """Serve one host, or the process's own stdin and stdout, until its lines end and its requests are answered."""
        # The SDK uses no more of a file. Without one it keeps others in the process away from stdin and stdout.
        file = cast("AsyncFile[str] | None", host)
        async with stdio_server(file, file) as (incoming, outgoing):
            stream = DrainingStream(incoming, outgoing, self.get_ready)
            options = self._lowlevel_server.create_initialization_options()
            await self._lowlevel_server.run(stream, stream.answers, options)

    async def get_ready(self) -> "FeatureSet":
        """Make the features once; every request but the list of tools waits for it."""
        if self._features:
            return self._features
        async with self._getting_ready:
            # On a thread, so that others are answered meanwhile.
            return self._features or self._register(await run_sync(self._make_features))

    async def list_tools(self) -> list[ShownTool]:
        """List the tools."""
        return self._precomputed.tools if self._precomputed else await super().list_tools()

    async def list_resources(self) -> list[Resource]:
        """List the resources at fixed addresses."""
        await self.get_ready()
        return await super().list_resources()

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """List the kinds of resources that have ids in their addresses."""
        await self.get_ready()
        return await super().list_resource_templates()

    async def list_prompts(self) -> list[Prompt]:
        """List the prompts."""
        await self.get_ready()
        return await super().list_prompts()

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool.

        Raises:
            ToolError: with a sentence that the model reads: what was asked, what happened, what to do next.
        """
        features = await self.get_ready()
        tool = features.tool(name)
        if self._precomputed:
            self._precomputed.check(tool)
        try:
            return await tool.run(arguments, context or Context(mcp_server=self), convert_result=True)
        except ToolError as exc:
            raise features.tool_error(name, exc) from exc.__cause__

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource.

        Raises:
            ResourceError: with a sentence.
        """
        features = await self.get_ready()
        try:
            with features.reading(context):
                contents = await super().read_resource(uri, context)
        except ResourceError as exc:
            raise features.resource_error(exc) from exc.__cause__
        return contents if isinstance(contents, InputRequiredResult) else [*map(features.sanitize_resource, contents)]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Write a prompt's text.

        Raises:
            MCPError: with a sentence for the person who picked it.
        """
        names = [prompt.name for prompt in await self.list_prompts()]
        if name not in names:
            raise MCPError(INVALID_PARAMS, f"There is no such prompt here; there is {', '.join(names) or 'none'}.")
        return await super().get_prompt(name, arguments, context)

    @overriding(MCPServer)
    def _tool_input_schema(self, name: str) -> dict[str, Any] | None:
        # The SDK asks before it knows who is calling, and must not wait.
        return self._precomputed.arguments_of(name) if self._precomputed else super()._tool_input_schema(name)

    def _answer_with(self, how: "Callable[[FeatureSet], RequestHandler]") -> "RequestHandler":
        async def answer(ctx: ServerRequestContext[Any, Any], params: Any) -> Any:
            return await how(await self.get_ready())(ctx, params)

        return answer

    def _make_features(self) -> "FeatureSet":
        from agentphone_mcp.server.feature_set import FeatureSet

        return FeatureSet(self._toolsets, self._scope)

    def _register(self, features: "FeatureSet") -> "FeatureSet":
        features.register_on(self)
        self._features = features
        return features
