"""What a host puts into a model's context: every tool's name, description, schemas and hints."""

import json
import re
import runpy
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from mcp.client import Client

from agentphone_mcp.config.config import Config
from agentphone_mcp.server.server import create_server
from agentphone_mcp.variables import TOOLSETS
from tests.support import ROOT

REGENERATE = ROOT / "tests" / "golden" / "regenerate.py"
MOST_BYTES = 13_000
MOST_BYTES_OF_ONE = dict.fromkeys(("place_call", "create_agent", "update_agent"), 1_400)
"""What only three tools with many settings may take; the others at most 900."""
READS = {
    "account": ["account_overview", "get_usage"],
    "agents": ["list_agents", "get_agent", "list_voices"],
    "numbers": ["list_numbers", "find_available_numbers"],
    "calls": ["list_calls", "get_call", "wait_for_call", "get_transcript", "get_recording"],
    "messages": ["list_messages", "list_conversations", "get_conversation"],
    "webhooks": ["get_webhook", "list_webhook_deliveries", "get_webhook_stats"],
    "contacts": ["list_contacts"],
}
CHANGES = {
    "account": [],
    "agents": ["create_agent", "update_agent", "delete_agent", "attach_number", "detach_number"],
    "numbers": ["buy_number", "release_number"],
    "calls": ["place_call", "end_call", "create_web_call"],
    "messages": ["send_message", "update_conversation"],
    "webhooks": ["set_webhook", "delete_webhook", "test_webhook"],
    "contacts": ["save_contact", "delete_contact"],
}
SPENDS_OR_DESTROYS = {
    "buy_number", "place_call", "create_web_call", "send_message", "release_number", "delete_agent", "delete_webhook",
    "delete_contact", "set_webhook",
}  # fmt: skip


async def shown(**settings: Any) -> list[Any]:
    """The tools that a client of such a server is shown."""
    async with Client(create_server(Config(**settings))) as client:
        return (await client.list_tools()).tools


def in_context(tool: Any) -> dict[str, Any]:
    """What a host tells its model of a tool."""
    return {"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema}


def size(told: Any) -> int:
    """Bytes as compact JSON."""
    return len(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode())


def every_part(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each schema in a schema, with where it stands."""
    if isinstance(schema, dict):
        yield path, schema
        for name, part in schema.items():
            yield from every_part(part, f"{path}/{name}")
    elif isinstance(schema, list):
        for part in schema:
            yield from every_part(part, path)


def test_the_surface_is_the_reviewed_one() -> None:
    """A change of a word that models read is a change to look at."""
    golden = runpy.run_path(str(REGENERATE))
    assert golden["surface"]() == golden["GOLDEN"].read_text(encoding="utf-8"), (
        "The tool surface changed. If you meant it, run `python tests/golden/regenerate.py` and review the difference."
    )


async def test_every_tool_of_the_design_is_there_and_no_other() -> None:
    """At most forty: some hosts show no more."""
    names = [tool.name for tool in await shown()]
    assert set(names) == {name for table in (READS, CHANGES) for tools in table.values() for name in tools}
    assert len(names) == len(set(names)) <= 40


async def test_the_surface_fits_its_budget() -> None:
    """A host pays for it in every conversation."""
    context = [in_context(tool) for tool in await shown()]
    assert size(context) <= MOST_BYTES
    too_long = {one["name"]: size(one) for one in context if size(one) > MOST_BYTES_OF_ONE.get(one["name"], 900)}
    assert not too_long


async def test_the_order_is_fixed_and_the_same_for_everybody() -> None:
    """By toolset; with or without a key, however the choice was written."""
    names = [tool.name for tool in await shown()]
    assert names == [tool.name for tool in await shown()]
    assert [name for name in names if name in CHANGES["webhooks"] + READS["webhooks"]][:2] == [
        "get_webhook",
        "set_webhook",
    ]
    assert names[:2] == READS["account"]


async def test_names_are_short_and_plain() -> None:
    """Hosts put a prefix before them and count characters."""
    assert all(re.fullmatch("[a-z_]{1,30}", tool.name) for tool in await shown())


async def test_every_tool_says_in_a_sentence_what_it_does() -> None:
    """On one line."""
    for tool in await shown():
        assert 10 <= len(tool.description) <= 160, tool.name
        assert "\n" not in tool.description
        assert tool.description.endswith(".")


async def test_every_hint_is_set_and_true() -> None:
    """An unset one means the worst; a wrong one makes a host let an action pass."""
    reads = {name for names in READS.values() for name in names}
    for tool in await shown():
        hints = tool.annotations
        every = (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        assert None not in every, tool.name
        assert hints.read_only_hint is (tool.name in reads)
        assert hints.destructive_hint is (tool.name in SPENDS_OR_DESTROYS)


async def test_schemas_carry_nothing_without_meaning() -> None:
    """No titles, nulls, bounds that everybody keeps, defaults of results, or definitions of what is used once."""
    for tool in await shown():
        assert "default" not in [key for _, part in every_part(tool.output_schema) for key in part], tool.name
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert all(json.dumps(schema).count(f'#/$defs/{name}"') > 1 for name in schema.get("$defs", ())), tool.name
            for path, part in every_part(schema):
                where = f"{tool.name}{path}"
                if not path.endswith("/properties"):
                    assert "title" not in part, where
                    assert part.get("minimum") not in (0, 1) or part["type"] == "number", where
                assert "null" not in (part.get("type") or ()), where


async def test_what_a_model_cannot_supply_is_not_in_a_schema() -> None:
    """The API, the gate and the action come from the server."""
    for tool in await shown():
        assert not {"api", "gate", "action", "rates", "ctx"} & set(tool.input_schema.get("properties", {})), tool.name


async def test_every_tool_declares_what_it_returns() -> None:
    """As an object."""
    for tool in await shown():
        assert tool.output_schema, tool.name
        assert tool.output_schema["type"] == "object"


@pytest.mark.parametrize("toolset", TOOLSETS)
async def test_a_toolset_alone_is_that_toolset(toolset: str) -> None:
    """A tool that is off is absent."""
    names = {tool.name for tool in await shown(toolsets=(toolset,))}
    assert names == {*READS[toolset], *CHANGES[toolset]}


@pytest.mark.parametrize("toolsets", [TOOLSETS, ("calls", "webhooks")], ids=["all", "some"])
async def test_read_only_leaves_what_changes_nothing(toolsets: tuple[str, ...]) -> None:
    """Whatever else is chosen."""
    tools = await shown(toolsets=toolsets, read_only=True)
    assert {tool.name for tool in tools} == {name for toolset in toolsets for name in READS[toolset]}
    assert all(tool.annotations.read_only_hint for tool in tools)


async def test_a_tool_that_is_off_cannot_be_called(connect, sandbox) -> None:
    """Not by its name either."""
    async with connect(read_only=True, toolsets=("numbers",)) as client:
        for name in ("buy_number", "release_number", "list_agents", "get_call"):
            result = await client.call_tool(name, {"number_id": "num_frontdesk", "confirm": True})
            assert result.is_error
            assert "is not open to this connection" in result.content[0].text
    assert sandbox.requests == []


async def test_every_result_is_what_its_tool_declared(assistant) -> None:
    """One good answer of every tool, validated against its own schema; and a preview of every gated one."""
    friend, url, other = "+14155559999", "https://example.com/hook", "https://example.org/hook"
    script: list[tuple[str, dict[str, Any]]] = [
        ("account_overview", {}),
        *(("get_usage", {"period": period}) for period in ("summary", "daily", "monthly", "by_number", "by_agent")),
        ("list_agents", {}),
        ("get_agent", {"agent_id": "agt_frontdesk"}),
        ("create_agent", {"name": "X", "voice_mode": "hosted", "system_prompt": "Y"}),
        ("update_agent", {"agent_id": "agt_orderline", "tuning": {"voice_speed": 1.5}}),
        ("list_voices", {"limit": 100}),
        ("attach_number", {"agent_id": "agt_orderline", "number_id": "num_frontdesk"}),
        ("detach_number", {"agent_id": "agt_orderline", "number_id": "num_frontdesk"}),
        ("attach_number", {"agent_id": "agt_frontdesk", "number_id": "num_frontdesk"}),
        ("list_numbers", {}),
        ("find_available_numbers", {}),
        ("buy_number", {}),
        ("buy_number", {"confirm": True}),
        ("list_calls", {}),
        ("get_call", {"call_id": "call_past01"}),
        ("place_call", {"agent_id": "agt_frontdesk", "to_number": friend}),
        ("place_call", {"agent_id": "agt_frontdesk", "to_number": "+14155550102", "confirm": True}),
        ("end_call", {"call_id": "the placed one's"}),
        ("wait_for_call", {"call_id": "call_past01"}),
        ("get_transcript", {"call_id": "call_past01"}),
        ("get_recording", {"call_id": "call_past01"}),
        ("create_web_call", {"agent_id": "agt_frontdesk"}),
        ("create_web_call", {"agent_id": "agt_frontdesk", "confirm": True}),
        ("send_message", {"to_number": friend, "body": "Hi", "number_id": "num_frontdesk"}),
        ("send_message", {"to_number": friend, "body": "Hi", "number_id": "num_frontdesk", "confirm": True}),
        ("list_messages", {"number_id": "num_frontdesk"}),
        ("list_conversations", {}),
        ("get_conversation", {"conversation_id": "conv_past01"}),
        ("update_conversation", {"conversation_id": "conv_past01", "metadata": {}}),
        ("get_webhook", {}),
        ("set_webhook", {"url": "http://127.0.0.1:9/hook"}),
        ("test_webhook", {}),
        ("list_webhook_deliveries", {}),
        ("get_webhook_stats", {}),
        ("get_webhook_stats", {"agent_id": "agt_frontdesk"}),
        ("set_webhook", {"url": url, "confirm": "http://127.0.0.1:9/hook"}),
        ("get_webhook", {}),
        ("account_overview", {}),
        ("set_webhook", {"url": other}),
        ("delete_webhook", {}),
        ("delete_webhook", {"confirm": url}),
        ("list_contacts", {}),
        ("save_contact", {"name": "Bo", "phone_number": friend}),
        ("delete_contact", {"contact_id": "con_ada"}),
        ("delete_contact", {"contact_id": "con_ada", "confirm": "+14155550142"}),
        ("release_number", {"number_id": "num_frontdesk"}),
        ("release_number", {"number_id": "num_frontdesk", "confirm": "+14155550100"}),
        ("delete_agent", {"agent_id": "agt_frontdesk"}),
        ("delete_agent", {"agent_id": "agt_frontdesk", "confirm": "Front Desk"}),
    ]
    async with assistant() as ai:
        tools = {tool.name: tool for tool in (await ai.client.list_tools()).tools}
        placed = ""
        for name, arguments in script:
            given = arguments | ({"call_id": placed} if name == "end_call" else {})
            told = await ai.ask(name, **given)
            jsonschema.validate(told, tools[name].output_schema)
            jsonschema.validate(given, tools[name].input_schema)
            placed = told.get("result", {}).get("id", "")
    assert {name for name, _ in script} == set(tools)
