"""Measure what goes into a model's context: the tools as hosts show them, and their results on a small account."""

import asyncio
import json
import tempfile
from collections.abc import Generator
from typing import Any

from figures import Budget, Figure, Odd
from mcp.client import Client

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.sandbox import running
from agentphone_mcp.server.server import create_server
from agentphone_mcp.variables import TOOLSETS

# Of the results, 545 are the marks of strangers' words and of ours that may repeat them.
MOST, MOST_OF_ONE, MOST_RESULTS = 15_000, 900, 5_115
SETTINGS_OF_AGENTS = {"place_call": 1_400, "create_agent": 1_400, "update_agent": 1_400}
"""What the tools with many settings may take."""
FRIEND, LINE, DESK, URL = "+14155559999", "num_frontdesk", "agt_frontdesk", "https://example.com/hook"
IDS = {"agent_id": DESK, "number_id": LINE, "call_id": "call_past01", "conversation_id": "conv_past01"}
# Typical calls, in an order in which all can be done on a fresh account. A tool that only reads and is not here
# is called with what it requires.
TYPICAL: dict[str, dict[str, Any]] = {
    "list_voices": {"limit": 5},
    "create_agent": {"name": "Tables", "voice_mode": "hosted", "system_prompt": "You reserve tables."},
    "update_agent": {"agent_id": DESK, "tuning": {"voice_speed": 1.5}},
    "detach_number": {"agent_id": DESK, "number_id": LINE, "confirm": "+14155550100"},
    "attach_number": {"agent_id": DESK, "number_id": LINE},
    "buy_number": {"confirm": True},
    "place_call": {"agent_id": DESK, "to_number": FRIEND, "confirm": True},
    "end_call": {"call_id": "the placed one's"},
    "create_web_call": {"agent_id": DESK, "confirm": True},
    "send_message": {"to_number": FRIEND, "body": "See you at seven", "number_id": LINE, "confirm": True},
    "update_conversation": {"conversation_id": "conv_past01", "metadata": {"table": "7"}},
    "set_webhook": {"url": URL},
    "test_webhook": {},
    "list_webhook_deliveries": {},
    "get_webhook_stats": {},
    "delete_webhook": {"confirm": URL},
    "save_contact": {"name": "Bo", "phone_number": FRIEND},
    "delete_contact": {"contact_id": "con_ada", "confirm": "+14155550142"},
    "release_number": {"number_id": LINE, "confirm": "+14155550100"},
    "delete_agent": {"agent_id": DESK, "confirm": "Front Desk"},
}
VENDORS = {
    "account_overview": 472,
    "get_usage": 343,
    "list_agents": 2_199,
    "get_agent": 1_156,
    "list_voices": 230,
    "list_numbers": 448,
    "list_calls": 167,
    "get_call": 592,
    "list_messages": 303,
    "list_conversations": 144,
    "get_conversation": 352,
    "get_webhook": 22,
}
"""The reads that the vendor's own server has too, and the bytes that it answers on the same account.

They were measured by running its templates against the sandbox's starting account. It gives all 252 voices at once, in
12,278 bytes; here they count as the five that are asked of ours.
"""
BESIDE = "the vendor's server"


def listed(_: bool) -> Generator[Figure]:
    """Count the bytes of names, descriptions and input schemas, as compact JSON."""
    tools = asyncio.run(_tools(TOOLSETS))
    yield Figure("bytes", "all tools", "bytes", _size(tools), budget=Budget("value", MOST))
    for toolset in TOOLSETS:
        yield Figure("bytes", f"toolset {toolset}", "bytes", _size(asyncio.run(_tools((toolset,)))))
    for tool in tools:
        most = Budget("value", SETTINGS_OF_AGENTS.get(tool["name"], MOST_OF_ONE))
        yield Figure("bytes", tool["name"], "bytes", _size(tool), budget=most, is_of_tool=True)


async def _tools(toolsets: tuple[str, ...]) -> list[dict[str, Any]]:
    async with Client(create_server(Config(toolsets=toolsets))) as client:
        tools = (await client.list_tools()).tools
    return [{"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema} for tool in tools]


def _size(told: object) -> int:
    return len(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode())


def results(_: bool) -> Generator[Figure]:
    """Count the bytes of the text of a typical call of each tool on the sandbox's starting account."""
    sizes = asyncio.run(_results())
    twelve, theirs = sum(sizes[name] for name in VENDORS), sum(VENDORS.values())
    yield Figure("results", "twelve reads together", "bytes", twelve, budget=Budget("value", MOST_RESULTS))
    yield Figure(
        "results", "twelve reads compared", "bytes", twelve, theirs, BESIDE, twelve / theirs, Budget("ratio", 1)
    )
    for name, size in sizes.items():
        if floor := VENDORS.get(name):
            yield Figure("results", name, "bytes", size, floor, BESIDE, size / floor, is_of_tool=True)
        else:
            yield Figure("results", name, "bytes", size, is_of_tool=True)


async def _results() -> dict[str, int]:
    sizes: dict[str, int] = {}
    placed = ""
    with running() as sandbox, tempfile.TemporaryDirectory() as state:
        config = Config(api_key=ApiKey(sandbox.key), base_url=sandbox.url, ledger_location=state)
        async with Client(create_server(config)) as client:
            tools = (await client.list_tools()).tools
            reads = [tool for tool in tools if tool.annotations.read_only_hint and tool.name not in TYPICAL]
            typical = {tool.name: {name: IDS[name] for name in tool.input_schema.get("required", ())} for tool in reads}
            typical |= TYPICAL
            missing = {tool.name for tool in tools} ^ typical.keys()
            if missing:
                raise Odd(f"the typical calls and the tools differ in {', '.join(sorted(missing))}")
            for name, arguments in typical.items():
                given = arguments | ({"call_id": placed} if name == "end_call" else {})
                result = await client.call_tool(name, given)
                text = result.content[0].text
                if result.is_error or "needs_confirmation" in text:
                    raise Odd(f"{name} answered {text}")
                sizes[name] = len(text.encode())
                placed = result.structured_content.get("result", {}).get("id", placed)
    return sizes
