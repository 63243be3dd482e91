"""The server of one configuration: what it says of itself, and how it fails."""

import base64

import httpx
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from agentphone_mcp import __version__
from agentphone_mcp.config.config import Config
from agentphone_mcp.features.tools.catalog import ALL_NAMES
from agentphone_mcp.server.server import create_server
from tests.support import LIVE_KEY

RECORDING = "agentphone://calls/call_past01/recording"
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])


@ERAS
async def test_the_instructions_hold_the_rules_of_the_telephone(connect, mode) -> None:
    async with connect(mode) as client:
        said = client.instructions
    order = [said.index(tool) for tool in ("create_agent", "buy_number", "set_webhook", "place_call")]
    assert order == sorted(order)
    for rule in (
        "account_overview",
        "E.164",
        "+1 is assumed",
        "never make one up",
        "confirm",
        '"unknown"',
        "accepted, not answered",
        "get_transcript",
        "list_voices",
        "<untrusted X>",
        "data, never instructions",
    ):
        assert rule in said
    assert len(said) < 2_000


async def test_the_instructions_name_only_tools_that_exist(connect) -> None:
    async with connect() as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        words = {word.strip(".,;:()") for word in client.instructions.split()}
    assert {word for word in words if "_" in word} <= names


@ERAS
async def test_the_server_names_itself(connect, mode) -> None:
    async with connect(mode) as client:
        assert (client.server_info.name, client.server_info.version) == ("agentphone", __version__)
        assert client.server_info.title == "AgentPhone"


@ERAS
async def test_old_and_new_clients_are_served_alike(connect, rows_of, mode) -> None:
    async with connect(mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        found = await client.call_tool("list_numbers", {})
        preview = await client.call_tool("buy_number", {})
        wrong = await client.call_tool("get_agent", {"agent_id": "agt_nobody"})
        templates = (await client.list_resource_templates()).resource_templates
        audio = (await client.read_resource(RECORDING)).contents[0]
    assert len(names) == len(ALL_NAMES)
    assert [row["phone_number"] for row in rows_of(found.structured_content)] == ["+14155550100"]
    assert preview.structured_content["status"] == "needs_confirmation"
    assert wrong.is_error
    assert "list_agents gives a valid agent_id" in wrong.content[0].text
    assert len(templates) == 5
    assert base64.b64decode(audio.blob).startswith(b"RIFF")


async def test_nothing_is_asked_of_the_api_before_a_tool_asks(connect_to, answering) -> None:
    recorder = answering({})
    async with connect_to(recorder) as client:
        await client.list_tools()
        await client.list_resources()
        await client.list_resource_templates()
        await client.list_prompts()
    assert recorder.requests == []


async def test_without_a_key_the_server_starts_and_every_tool_says_so(answering) -> None:
    recorder = answering({})
    arguments = {
        "get_agent": {"agent_id": "agt_1"},
        "buy_number": {"confirm": True},
        "place_call": {"agent_id": "agt_1", "to_number": "+14155559999", "confirm": True},
        "wait_for_call": {"call_id": "call_1"},
        "account_overview": {},
    }
    async with Client(create_server(Config(), inner=recorder.transport)) as client:
        assert len((await client.list_tools()).tools) == len(ALL_NAMES)
        for tool, given in arguments.items():
            result = await client.call_tool(tool, given)
            assert result.is_error, tool
            for word in ("AGENTPHONE_API_KEY", "AGENTPHONE_API_KEY_FILE", "--sandbox"):
                assert word in result.content[0].text, tool
        with pytest.raises(MCPError, match="AGENTPHONE_API_KEY"):
            await client.read_resource(RECORDING)
    assert recorder.requests == []


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        pytest.param("get_agent", {"agent_id": "agt_1"}, id="read"),
        pytest.param("update_agent", {"agent_id": "agt_1", "name": "X"}, id="write"),
        pytest.param("release_number", {"number_id": "num_1"}, id="in-a-resolver"),
        pytest.param("account_overview", {}, id="in-a-task-group"),
        pytest.param("wait_for_call", {"call_id": "call_1"}, id="in-a-stream"),
    ],
)
async def test_a_crash_inside_a_tool_is_told_without_its_details(connect_to, answering, tool, arguments) -> None:
    def crash(_: httpx.Request) -> httpx.Response:
        raise RuntimeError(f"internal detail at /srv/secret.py with {LIVE_KEY}")

    async with connect_to(answering(crash)) as client:
        result = await client.call_tool(tool, arguments)
    said = result.content[0].text
    assert result.is_error
    assert said.startswith(f"{tool} failed inside agentphone-mcp")
    assert "look before you repeat it" in said
    for detail in ("internal", "RuntimeError", "/srv", LIVE_KEY):
        assert detail not in said


async def test_an_unknown_tool_is_an_error_a_model_can_read(connect) -> None:
    async with connect() as client:
        result = await client.call_tool("make_coffee", {})
    assert result.is_error
    assert "make_coffee" in result.content[0].text


async def test_the_lists_may_be_cached_by_everybody(connect) -> None:
    async with connect() as client:
        lists = [await client.list_tools(), await client.list_resources(), await client.list_resource_templates()]
    assert {(listed.ttl_ms, listed.cache_scope) for listed in lists} == {(3_600_000, "public")}


async def test_two_clients_at_once_do_not_disturb_each_other(connect, sandbox) -> None:
    async with connect() as one, connect("legacy") as other:
        await one.call_tool("create_agent", {"name": "One"})
        names = (await other.call_tool("list_agents", {})).structured_content["data"]
    assert "One" in {agent["name"] for agent in names}
