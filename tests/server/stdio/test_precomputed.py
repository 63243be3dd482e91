"""A server whose surface is known: it lists its tools at once, and has its inside when somebody asks for more."""

import json
from typing import Any

import anyio
import pytest
from mcp.client import Client

from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.access import SCOPES, Scope
from agentphone_mcp.server.server import AgentPhoneServer, create_server
from agentphone_mcp.server.stdio.precomputed import PrecomputedSurface
from agentphone_mcp.server.stdio.surface import SURFACE, Surface, select
from agentphone_mcp.variables import TOOLSETS

GOLDEN = json.loads(SURFACE.read_text(encoding="utf-8"))
SCOPED = pytest.mark.parametrize("scope", SCOPES)


def surface(scope: Scope = "spend") -> Surface:
    return select(GOLDEN, TOOLSETS, scope)


def never(method: str) -> None:
    raise AssertionError(f"{method} differs")


@SCOPED
async def test_what_is_known_is_what_would_be_made(scope: Scope) -> None:
    known = AgentPhoneServer(Config(), scope, None, precomputed=PrecomputedSurface(surface(scope), never))
    made = AgentPhoneServer(Config(), scope, None)
    assert await known.list_tools() == await made.list_tools()
    assert known.instructions == made.instructions
    assert await known.list_prompts() == await made.list_prompts()
    assert await known.list_resources() == await made.list_resources()
    assert await known.list_resource_templates() == await made.list_resource_templates()


@SCOPED
async def test_every_tool_is_as_it_is_known(scope: Scope) -> None:
    known = PrecomputedSurface(surface(scope), never)
    server = AgentPhoneServer(Config(), scope, None, precomputed=known)
    inside = await server.get_ready()
    for tool in await server.list_tools():
        known.check(inside.tool(tool.name))


async def test_many_who_ask_at_once_have_one_inside() -> None:
    server = AgentPhoneServer(Config(), "spend", None, precomputed=PrecomputedSurface(surface(), never))
    found: list[Any] = []

    async def ask() -> None:
        found.append(await server.get_ready())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert len({*map(id, found)}) == 1
    assert len(await server.list_prompts()) == len({prompt.name for prompt in await server.list_prompts()})


async def test_a_tool_that_is_otherwise_is_told_once(answering: Any) -> None:
    golden = json.loads(json.dumps(GOLDEN))
    for row in golden["tools"]:
        row["tool"]["inputSchema"]["description"] = "another version's"
    told: list[str] = []
    known = PrecomputedSurface(select(golden, TOOLSETS, "spend"), told.append)
    recorder = answering({"data": [], "total": 0})
    async with Client(create_server(Config(), precomputed=known, inner=recorder.transport)) as client:
        for _ in range(2):
            await client.call_tool("list_agents", {})
            await client.call_tool("list_numbers", {})
    assert told == ["tools/list"]
