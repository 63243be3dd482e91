"""Provide an assistant that calls tools as a host does for its model, and people, clocks and ledgers."""

import json
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp_types import ElicitResult, ErrorData

from agentphone_mcp.policy.destinations import QuietHours
from agentphone_mcp.policy.ledger.location import LEDGER_FILE
from agentphone_mcp.sandbox import Sandbox
from tests.features.marks import same_code


class Assistant:
    """Call tools, and return their results or the messages of their errors."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Return a tool's structured result, after checking that its text is the same and has one code."""
        result = await self.client.call_tool(tool, arguments)
        text = result.content[0].text
        assert not result.is_error, text
        assert json.loads(text) == result.structured_content
        return json.loads(same_code(text))

    async def refused(self, tool: str, /, **arguments: Any) -> str:
        """Return the error message of a tool that must fail."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        assert result.structured_content is None
        return same_code(result.content[0].text)


@pytest.fixture(params=["auto", "legacy"], ids=["modern", "legacy"])
def mode(request: pytest.FixtureRequest) -> str:
    """Connect in each era of the protocol."""
    return request.param


class Person:
    """Answer a host's questions with one answer, or never, and keep the questions."""

    def __init__(self, answer: ElicitResult | ErrorData | None) -> None:
        self.questions: list[str] = []
        self._answer = answer

    async def __call__(self, _: Any, question: Any) -> ElicitResult | ErrorData:
        """Answer a question."""
        self.questions.append(question.message)
        if self._answer is None:
            await anyio.sleep_forever()
        return self._answer


@pytest.fixture
def person() -> Callable[..., Person]:
    """Make a `Person` who allows the action, or gives the given answer."""

    def person(action: str = "accept", **content: Any) -> Person:
        form = (content or {"allow": True}) if action == "accept" else None
        return Person(ElicitResult(action=action, content=form))

    return person


@pytest.fixture
def nobody() -> Person:
    """Return a `Person` who never answers."""
    return Person(None)


class Clock:
    """Show a time that moves only by `pass_`."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """Return the time."""
        return self.at

    def pass_(self, **time: float) -> None:
        """Move the clock forward by the arguments of `timedelta`."""
        self.at += timedelta(**time)


@pytest.fixture
def a_clock() -> Clock:
    """Return a clock that shows Friday noon in California."""
    return Clock(datetime(2026, 11, 20, 20, 0, tzinfo=UTC))


@pytest.fixture
def quiet_from_one() -> QuietHours:
    """Return quiet hours that begin an hour after that noon."""
    return QuietHours.parse("13:00-08:00")


@pytest.fixture
def wait(state: Path) -> Callable[[float], None]:
    """Age everything in the ledger by a number of minutes."""

    def wait(minutes: float) -> None:
        ledger = sqlite3.connect(state / LEDGER_FILE)
        older = ", ".join(f"{name} = {name} - :age" for name in ("at", "settled_at", "unknown_after"))
        with ledger:
            ledger.execute(f"UPDATE actions SET {older}", {"age": minutes * 60})  # noqa: S608 - our own names
        ledger.close()

    return wait


@pytest.fixture
def streams(sandbox: Sandbox, eventually: Callable[..., Awaitable[None]]) -> Callable[[str, int], Awaitable[None]]:
    """Wait until so many streams of a call are open at the sandbox."""

    async def streams(call_id: str, count: int) -> None:
        await eventually(lambda: sandbox.context.simulator.listeners(call_id) == count)

    return streams


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
