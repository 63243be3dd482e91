"""What a host puts into a model's context: every tool's name, description, schemas and hints."""

import json
import re
import runpy
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from mcp.client import Client

from agentphone_mcp.config.config import Config
from agentphone_mcp.features.tools.catalog import ALL_NAMES, CATALOG
from agentphone_mcp.server.server import create_server
from agentphone_mcp.variables import TOOLSETS
from tests.features.tools.samples import sample_arguments
from tests.support import ROOT

REGENERATE = ROOT / "tests" / "golden" / "regenerate.py"
MOST_BYTES = 15_000
MOST_BYTES_ON_AVERAGE = 400
MOST_BYTES_OF_ONE = dict.fromkeys(("place_call", "create_agent", "update_agent"), 1_400)
"""What only three tools with many settings may take; the others at most 900."""
FRIEND, TALKATIVE, DESK, NUMBER = "+14155559999", "+14155550109", "agt_frontdesk", "num_frontdesk"
URL, OTHER_URL = "https://example.com/hook", "https://example.org/hook"
LIVE_CALL = object()
"""Stands for the id of the call that the step before has placed."""
READS: list[tuple[str, dict[str, Any]]] = [
    *((tool.name, sample_arguments(tool)) for tools in CATALOG.values() for tool in tools if tool.scope == "read"),
    *(("get_usage", {"period": period}) for period in ("daily", "monthly", "by_number", "by_agent")),
    ("list_voices", {"limit": 100}),
]
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("create_agent", {"name": "X", "voice_mode": "hosted", "system_prompt": "Y"}),
    ("update_agent", {"agent_id": "agt_orderline", "tuning": {"voice_speed": 1.5}}),
    ("update_agent", {"agent_id": DESK, "transfer_number": FRIEND}),
    ("update_agent", {"agent_id": DESK, "transfer_number": FRIEND, "confirm": "Front Desk"}),
    ("attach_number", {"agent_id": "agt_orderline", "number_id": NUMBER}),
    ("attach_number", {"agent_id": "agt_orderline", "number_id": NUMBER, "confirm": "+14155550100"}),
    ("detach_number", {"agent_id": "agt_orderline", "number_id": NUMBER, "confirm": "+14155550100"}),
    ("attach_number", {"agent_id": DESK, "number_id": NUMBER}),
    ("buy_number", {}),
    ("buy_number", {"confirm": True}),
    ("place_call", {"agent_id": DESK, "to_number": FRIEND}),
    ("place_call", {"agent_id": DESK, "to_number": TALKATIVE, "confirm": True}),
    ("end_call", {"call_id": LIVE_CALL}),
    ("create_web_call", {"agent_id": DESK}),
    ("create_web_call", {"agent_id": DESK, "confirm": True}),
    ("send_message", {"to_number": FRIEND, "body": "Hi", "number_id": NUMBER}),
    ("send_message", {"to_number": FRIEND, "body": "Hi", "number_id": NUMBER, "confirm": True}),
    ("update_conversation", {"conversation_id": "conv_past01", "metadata": {}}),
    ("set_webhook", {"url": "http://127.0.0.1:9/hook"}),
    ("test_webhook", {}),
    ("list_webhook_deliveries", {}),
    ("get_webhook_stats", {}),
    ("get_webhook_stats", {"agent_id": DESK}),
    ("set_webhook", {"url": URL, "confirm": "http://127.0.0.1:9/hook"}),
    ("get_webhook", {}),
    ("account_overview", {}),
    ("set_webhook", {"url": OTHER_URL}),
    ("delete_webhook", {}),
    ("delete_webhook", {"confirm": URL}),
    ("save_contact", {"name": "Bo", "phone_number": FRIEND}),
    ("delete_contact", {"contact_id": "con_ada"}),
    ("delete_contact", {"contact_id": "con_ada", "confirm": "+14155550142"}),
    ("release_number", {"number_id": NUMBER}),
    ("release_number", {"number_id": NUMBER, "confirm": "+14155550100"}),
    ("delete_agent", {"agent_id": DESK}),
    ("delete_agent", {"agent_id": DESK, "confirm": "Front Desk"}),
]


async def list_tools(**settings: Any) -> list[Any]:
    """List the tools of a server with these settings."""
    async with Client(create_server(Config(**settings))) as client:
        return (await client.list_tools()).tools


def names(*toolsets: str, **attributes: Any) -> list[str]:
    """Name the tools of some toolsets, of all by default, that have these attributes."""
    return [
        tool.name
        for toolset in toolsets or CATALOG
        for tool in CATALOG[toolset]
        if all(getattr(tool, name) == value for name, value in attributes.items())
    ]


def in_context(tool: Any) -> dict[str, Any]:
    """Select what a host tells its model of a tool."""
    return {"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema}


def size(value: Any) -> int:
    """Count the bytes of a value as compact JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def every_part(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema in a schema, with its path."""
    if isinstance(schema, dict):
        yield path, schema
        for name, part in schema.items():
            yield from every_part(part, f"{path}/{name}")
    elif isinstance(schema, list):
        for part in schema:
            yield from every_part(part, path)


def test_the_surface_is_the_reviewed_one() -> None:
    golden = runpy.run_path(str(REGENERATE))
    assert golden["surface"]() == golden["GOLDEN"].read_text(encoding="utf-8"), (
        "The tool surface changed. If you meant it, run `python tests/golden/regenerate.py` and review the difference."
    )


async def test_every_tool_is_there_once_by_toolset_whether_or_not_there_is_a_key() -> None:
    """Some hosts show at most forty."""
    shown = [tool.name for tool in await list_tools()]
    assert shown == names() == [tool.name for tool in await list_tools()]
    assert len(shown) == len(ALL_NAMES) <= 40


async def test_the_surface_fits_its_budget() -> None:
    """A host puts it into the context of every conversation."""
    context = [in_context(tool) for tool in await list_tools()]
    assert size(context) <= min(MOST_BYTES, MOST_BYTES_ON_AVERAGE * len(context))
    assert not {tool["name"]: size(tool) for tool in context if size(tool) > MOST_BYTES_OF_ONE.get(tool["name"], 900)}


async def test_names_are_short_and_plain() -> None:
    """Hosts put a prefix before them and count characters."""
    assert all(re.fullmatch("[a-z_]{1,30}", tool.name) for tool in await list_tools())


async def test_every_tool_is_described_in_a_sentence_on_one_line() -> None:
    for tool in await list_tools():
        assert 10 <= len(tool.description) <= 160, tool.name
        assert "\n" not in tool.description
        assert tool.description.endswith(".")


async def test_every_hint_is_set_and_what_destroys_or_spends_takes_a_yes() -> None:
    """Hosts assume the worst of an unset hint; a wrong one makes a host let an action pass."""
    for tool in await list_tools():
        hints = tool.annotations
        every = (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        assert None not in every, tool.name
        assert hints.destructive_hint is ("confirm" in tool.input_schema["properties"]), tool.name
        assert not (hints.read_only_hint and hints.destructive_hint), tool.name


async def test_schemas_carry_nothing_without_meaning() -> None:
    """They have no titles, nulls, usual bounds, defaults of results, or definitions of what is used once."""
    for tool in await list_tools():
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
    for tool in await list_tools():
        injected = {"api", "gate", "action", "prices", "policy", "started", "ctx"}
        assert not injected & set(tool.input_schema.get("properties", {})), tool.name


async def test_every_tool_declares_that_it_returns_an_object() -> None:
    for tool in await list_tools():
        assert tool.output_schema, tool.name
        assert tool.output_schema["type"] == "object"


@pytest.mark.parametrize("toolset", TOOLSETS)
async def test_a_toolset_alone_is_that_toolset(toolset: str) -> None:
    assert [tool.name for tool in await list_tools(toolsets=(toolset,))] == names(toolset)


@pytest.mark.parametrize("toolsets", [TOOLSETS, ("calls", "webhooks")], ids=["all", "some"])
async def test_read_only_leaves_what_changes_nothing(toolsets: tuple[str, ...]) -> None:
    tools = await list_tools(toolsets=toolsets, read_only=True)
    assert [tool.name for tool in tools] == names(*toolsets, scope="read")
    assert all(tool.annotations.read_only_hint for tool in tools)


async def test_a_tool_that_is_off_cannot_be_called_by_its_name(connect, sandbox) -> None:
    async with connect(read_only=True, toolsets=("numbers",)) as client:
        for name in ("buy_number", "release_number", "list_agents", "get_call"):
            result = await client.call_tool(name, {"number_id": NUMBER, "confirm": True})
            assert result.is_error
            assert "is not open to this connection" in result.content[0].text
    assert sandbox.requests == []


@pytest.mark.parametrize("script", [READS, CHANGES], ids=["reads", "changes"])
async def test_every_result_is_what_its_tool_declared(
    assistant, writes: Callable[[], list[str]], script: list[tuple[str, dict[str, Any]]]
) -> None:
    async with assistant() as ai:
        tools = {tool.name: tool for tool in (await ai.client.list_tools()).tools}
        placed = ""
        for name, arguments in script:
            given = {key: placed if value is LIVE_CALL else value for key, value in arguments.items()}
            before = len(writes())
            answer = await ai.ask(name, **given)
            jsonschema.validate(answer, tools[name].output_schema)
            jsonschema.validate(given, tools[name].input_schema)
            assert name not in names(scope="read") or len(writes()) == before, name
            placed = answer.get("result", {}).get("id", "")


def test_every_tool_has_a_result_that_is_checked() -> None:
    assert {name for name, _ in (*READS, *CHANGES)} == ALL_NAMES
