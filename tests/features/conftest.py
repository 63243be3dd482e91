"""An assistant that calls tools as a host does for its model."""

import json
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp_types import ElicitResult, ErrorData

from agentphone_mcp.policy.ledger.location import LEDGER_FILE
from agentphone_mcp.policy.quiet_hours import QuietHours


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


class Person:
    """The host's user: keeps what they were asked, and answers as told, or never."""

    def __init__(self, answer: ElicitResult | ErrorData | None) -> None:
        self.questions: list[str] = []
        self._answer = answer

    async def __call__(self, _: Any, asked: Any) -> ElicitResult | ErrorData:
        """Be asked."""
        self.questions.append(asked.message)
        if self._answer is None:
            await anyio.sleep_forever()
        return self._answer


@pytest.fixture
def person() -> Callable[..., Person]:
    """Make a `Person` who allows it, or what else their answer is."""

    def person(action: str = "accept", **content: Any) -> Person:
        filled_in = (content or {"allow": True}) if action == "accept" else None
        return Person(ElicitResult(action=action, content=filled_in))

    return person


@pytest.fixture
def nobody() -> Person:
    """A `Person` who never answers."""
    return Person(None)


class Clock:
    """A clock that stands still until it is told that time passes."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """What it shows."""
        return self.at

    def pass_(self, **time: float) -> None:
        """Let time pass."""
        self.at += timedelta(**time)


@pytest.fixture
def a_clock() -> Clock:
    """A clock that shows Friday noon in California."""
    return Clock(datetime(2026, 11, 20, 20, 0, tzinfo=UTC))


@pytest.fixture
def quiet_from_one() -> QuietHours:
    """Quiet hours that begin an hour after that noon."""
    return QuietHours.parse("13:00-08:00")


@pytest.fixture
def wait(state: Path) -> Callable[[float], None]:
    """Let minutes pass for the ledger: everything in it becomes so much older."""

    def wait(minutes: float) -> None:
        ledger = sqlite3.connect(state / LEDGER_FILE)
        older = ", ".join(f"{name} = {name} - :age" for name in ("at", "settled_at", "unknown_after"))
        with ledger:
            ledger.execute(f"UPDATE actions SET {older}", {"age": minutes * 60})  # noqa: S608 - our own names
        ledger.close()

    return wait


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
