"""An assistant that calls tools as a host does for its model."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from mcp.client import Client

from agentphone_mcp.sandbox import Sandbox


class Assistant:
    """Calls tools and gives what they told, or the sentence they were refused with."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """What a tool told; its text must say the same as its structured content."""
        result = await self.client.call_tool(tool, arguments)
        text = result.content[0].text
        assert not result.is_error, text
        assert json.loads(text) == result.structured_content
        return result.structured_content

    async def refused(self, tool: str, /, **arguments: Any) -> str:
        """The sentence of a tool that failed."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        assert result.structured_content is None
        return result.content[0].text


@pytest.fixture
def assistant(connect: Callable[..., Any], connect_to: Callable[..., Any]) -> Callable[..., Any]:
    """Connect an `Assistant` to the sandbox, or to a `Recorder`; settings are those of `Config`."""

    def assistant(recorder: Any = None, **settings: Any) -> AbstractAsyncContextManager[Assistant]:
        @asynccontextmanager
        async def opened() -> AsyncGenerator[Assistant]:
            connected = connect_to(recorder, **settings) if recorder else connect(**settings)
            async with connected as client:
                yield Assistant(client)

        return opened()

    return assistant


@pytest.fixture
def writes(sandbox: Sandbox) -> Callable[[], list[str]]:
    """The requests that reached the sandbox and could have changed something, each as `METHOD path`."""

    def writes() -> list[str]:
        return [f"{request.method} {request.path}" for request in sandbox.requests if request.method != "GET"]

    return writes
