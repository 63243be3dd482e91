"""Ask one tool of a server whose API gives one answer."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest


@pytest.fixture
def ask(assistant: Callable[..., Any], answering: Callable[..., Any]) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return the result of one tool, with the API's answer to every request given first."""

    async def ask(answer: Any, tool: str, /, **arguments: Any) -> dict[str, Any]:
        async with assistant(answering(answer)) as ai:
            return await ai.ask(tool, **arguments)

    return ask
