"""Provide a scripted assistant that follows a prompt, and the callers and webhooks that it meets."""

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from mcp.client import Client
from mcp_types import Tool

from agentphone_mcp.sandbox import Sandbox
from tests.features.marks import same_code
from tests.features.webhook import Hook, listening_hook

NAMED = re.compile(r"`([^`]+)`")
FILLED_IN = re.compile(r'^- ([\w ]+): (".*")$', re.MULTILINE)


class Walk:
    """Follow a prompt's steps, using only the tools that they name and only in their order.

    Attributes:
        text: the prompt.
        given: the filled-in arguments as the text quotes them.
        steps: the tools that each step names.
        used: the tools used so far.
    """

    def __init__(self, client: Client, text: str) -> None:
        self.text = text
        self.given = {name: json.loads(words) for name, words in FILLED_IN.findall(text)}
        self.steps = [set(NAMED.findall(step)) for step in re.findall(r"^\d+\. (.*)$", text, re.MULTILINE)]
        self.used: set[str] = set()
        self._client = client
        self._at = 0

    @property
    def people(self) -> list[str]:
        """List the numbers of the listed people, in their order."""
        return [words.split(", ")[-1] for name, words in self.given.items() if name.startswith("person")]

    async def use(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Use a tool where this step or a later one names it."""
        later = [step for step in range(self._at, len(self.steps)) if tool in self.steps[step]]
        assert later, f"no step from {self._at + 1} on names {tool}"
        self._at = later[0]
        self.used.add(tool)
        result = await self._client.call_tool(tool, arguments)
        assert not result.is_error, result.content[0].text
        return json.loads(same_code(result.content[0].text))

    async def agree(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Request the preview, and confirm it as the user agreed."""
        assert (await self.use(tool, **arguments))["status"] == "needs_confirmation"
        done = await self.use(tool, **arguments, confirm=True)
        assert done["status"] == "done"
        return done["result"]

    async def listen(self, call_id: str) -> dict[str, Any]:
        """Follow a call to its end, turn by turn."""
        followed: dict[str, Any] = {"ended": False, "after_turn": 0}
        with anyio.fail_after(60):
            while not followed["ended"]:
                followed = await self.use("wait_for_call", call_id=call_id, after_turn=followed["after_turn"])
        return followed

    def next_person(self) -> None:
        """Go back to the step where the text begins with the next person."""
        (step,) = re.findall(r"next person from step (\d+)", self.text)
        self._at = int(step) - 1

    def is_done(self, *, but: set[str] = frozenset()) -> bool:
        """Check that every tool of the steps was used, except those of `but`."""
        assert set().union(*self.steps) - self.used == but
        return True


@pytest.fixture
def walk(connect: Callable[..., Any]) -> Callable[..., Any]:
    """Pick a prompt, fill it in, and give its text to an assistant."""

    @asynccontextmanager
    async def walk(name: str, /, mode: str = "auto", **filled_in: str) -> AsyncGenerator[Walk]:
        async with connect(mode) as client:
            (message,) = (await client.get_prompt(name, filled_in)).messages
            tools = (await client.list_tools()).tools
            assert foreign_names(message.content.text, tools) == set()
            yield Walk(client, message.content.text)

    return walk


def foreign_names(text: str, tools: list[Tool]) -> set[str]:
    """List names in a text that are neither tools nor, outside of backticks, fields of one."""
    names = {tool.name for tool in tools}
    fields = set().union(*(set(_fields([tool.input_schema, tool.output_schema])) for tool in tools))
    ours = FILLED_IN.sub("", text)
    words = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", ours))
    return (set(NAMED.findall(ours)) - names) | (words - names - fields)


def _fields(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from _fields(part)
    elif isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from _fields(list(schema.values()))


@pytest.fixture
async def control(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    """Return a client of the sandbox's control routes and its API."""
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    async with httpx.AsyncClient(base_url=sandbox.url, headers=headers, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def ring(control: httpx.AsyncClient) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Call one of the account's numbers as a stranger, and return the call once it is over."""

    async def ring(to: str, from_number: str = "+14155550142", **wanted: Any) -> dict[str, Any]:
        placed = await control.post("/__sandbox/calls", json={"from": from_number, "to": to, **wanted})
        assert placed.status_code == 201, placed.text
        call_id = placed.json()["id"]
        # The stream ends with the call.
        assert "event: ended" in (await control.get(f"/v1/calls/{call_id}/transcript/stream")).text
        return (await control.get(f"/v1/calls/{call_id}")).json()

    return ring


@pytest.fixture
def hook() -> Generator[Hook]:
    """Run a webhook that is not yet registered anywhere."""
    with listening_hook() as hook:
        hook.body = b'{"text": "We open at nine."}'
        yield hook
