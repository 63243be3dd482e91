"""Refuse bad arguments by name before the API is asked; leave good ones as they are."""

import json

import pytest

from agentphone_mcp.features.tools.catalog import CATALOG
from agentphone_mcp.features.tools.declaration import Declared
from tests.features.marks import mark
from tests.features.tools.samples import id_parameters, sample_arguments

NO_IDS = {
    "dots": "../agents/x",
    "dot": ".",
    "slash": "a/b",
    "escape": "%2e%2e",
    "empty": "",
    "space": "a b",
    "newline": "agt_1\n",
    "question": "a?b=c",
    "fragment": "a#b",
    "backslash": "..\\x",
    "full-width": "ａgt_1",
    "long": "a" * 10_000,
}
WITH_IDS = [tool for tools in CATALOG.values() for tool in tools if id_parameters(tool)]


@pytest.mark.parametrize("tool", WITH_IDS, ids=[tool.name for tool in WITH_IDS])
async def test_what_is_no_id_never_reaches_a_path(assistant, answering, tool: Declared) -> None:
    """`..` would lead to another endpoint; each id of each tool is refused by its name."""
    recorder = answering({"id": "x"})
    async with assistant(recorder) as ai:
        for name in id_parameters(tool):
            for kind, value in NO_IDS.items():
                message = await ai.refused(tool.name, **sample_arguments(tool) | {name: value})
                assert f"{tool.name} was not run. {name}: this is no id" in message, kind
                assert len(message) < 300, kind
    assert recorder.requests == []


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        pytest.param("list_agents", {"limit": 0}, "limit", id="no-limit"),
        pytest.param("list_agents", {"limit": 101}, "limit", id="too-high-a-limit"),
        pytest.param("list_calls", {"offset": -1}, "offset", id="negative-offset"),
        pytest.param("list_voices", {"limit": 0}, "limit", id="no-voices"),
        pytest.param("list_messages", {"number_id": "num_1", "limit": 201}, "limit", id="too-many-texts"),
        pytest.param("get_conversation", {"conversation_id": "c", "message_limit": 0}, "message_limit", id="no-texts"),
        pytest.param("get_transcript", {"call_id": "c", "after_turn": -1}, "after_turn", id="negative-turn"),
        pytest.param("wait_for_call", {"call_id": "c", "max_seconds": 0}, "max_seconds", id="no-time"),
        pytest.param("wait_for_call", {"call_id": "c", "max_seconds": 601}, "max_seconds", id="too-much-time"),
        pytest.param("get_webhook_stats", {"hours": 0}, "hours", id="no-hours"),
        pytest.param("set_webhook", {"url": "https://example.com", "context_limit": 51}, "context_limit", id="context"),
        pytest.param("set_webhook", {"url": "https://example.com", "timeout": 4}, "timeout", id="too-hasty"),
        pytest.param("list_calls", {"status": "dreaming"}, "status", id="unknown-status"),
        pytest.param("find_available_numbers", {"area_code": "41"}, "area_code", id="short-area-code"),
        pytest.param("find_available_numbers", {"area_code": "41a"}, "area_code", id="no-area-code"),
        pytest.param("find_available_numbers", {"country": "DE"}, "country", id="country"),
        pytest.param("create_agent", {}, "name", id="no-name"),
        pytest.param("create_agent", {"name": "  "}, "name", id="blank-name"),
        pytest.param("create_agent", {"name": "x" * 101}, "name", id="long-name"),
        pytest.param("create_agent", {"name": "X", "voice_mode": "psychic"}, "voice_mode", id="voice-mode"),
        pytest.param("create_agent", {"name": 7}, "name", id="number-for-a-name"),
        pytest.param("send_message", {"to_number": "+14155559999", "body": ""}, "body", id="empty-text"),
        pytest.param("update_conversation", {"conversation_id": "c", "metadata": [1]}, "metadata", id="list-metadata"),
        pytest.param("update_conversation", {"conversation_id": "c", "metadata": "x"}, "metadata", id="text-metadata"),
        pytest.param("get_agent", {"agent_id": None}, "agent_id", id="null-id"),
        pytest.param("get_agent", {"agent_id": ["agt_1"]}, "agent_id", id="list-id"),
    ],
)
async def test_a_bad_argument_is_refused_by_name(assistant, answering, tool, arguments, named) -> None:
    recorder = answering({})
    async with assistant(recorder) as ai:
        message = await ai.refused(tool, **arguments)
    assert message.startswith(f"{tool} was not run. ")
    assert f"{named}: " in message
    assert "pydantic" not in message
    assert recorder.requests == []


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        pytest.param("list_agents", {"dry_run": True}, id="dry-run"),
        pytest.param("create_web_call", {"agent_id": "a", "dry_run": True, "confirm": True}, id="gated"),
        pytest.param("release_number", {"number_id": "n", "action": {}, "confirm": "+14155550100"}, id="action"),
        pytest.param("buy_number", {"api": {}, "gate": {}, "confirm": True}, id="api-and-gate"),
        pytest.param("create_agent", {"name": "X", "voiceMode": "hosted"}, id="camel-case"),
        pytest.param("account_overview", {"ctx": {}}, id="context"),
    ],
)  # fmt: skip
async def test_an_argument_no_tool_knows_is_never_dropped_in_silence(assistant, answering, tool, arguments) -> None:
    """Refuse it: an ignored `dry_run` would be an action."""
    recorder = answering({})
    async with assistant(recorder) as ai:
        assert "there is no such argument" in await ai.refused(tool, **arguments)
    assert recorder.requests == []


@pytest.mark.parametrize(
    ("written", "why"),
    [
        pytest.param("hello", "no phone number", id="words"),
        pytest.param("", "no phone number", id="empty"),
        pytest.param("555-9999", "area code is missing", id="local"),
        pytest.param("+1415555", "too short", id="short"),
        pytest.param("+1415555999999", "too long", id="long"),
        pytest.param("+999 1234567", "no phone number", id="no-such-country"),
        pytest.param("+1 415 555 9999 ext. 7", "extension", id="extension"),
        pytest.param("tel:+14155559999;ext=7", "extension", id="uri"),
        pytest.param("9" * 10_000, "no phone number", id="endless"),
    ],
)
async def test_every_tool_refuses_a_number_that_is_none_with_the_reason(assistant, answering, written, why) -> None:
    recorder = answering({})
    async with assistant(recorder) as ai:
        for tool, arguments in {
            "place_call": {"agent_id": "a", "to_number": written},
            "send_message": {"agent_id": "a", "to_number": written, "body": "Hi"},
            "save_contact": {"name": "Bo", "phone_number": written},
            "update_agent": {"agent_id": "a", "transfer_number": written or "0"},
        }.items():
            message = await ai.refused(tool, **arguments)
            assert f"{tool} was not run" in message
            assert len(message) < 300
            assert why in message or not written
    assert recorder.requests == []


@pytest.mark.parametrize("text", ["[1]", '{"a":1}', "null", "true", "12", '"quoted"', "1e5"])
async def test_text_that_looks_like_json_stays_text(assistant, sandbox, text) -> None:
    async with assistant() as ai:
        made = await ai.ask("create_agent", name=text, system_prompt=text, description=text)
        changed = await ai.ask("update_agent", agent_id="agt_orderline", name=text, begin_message=text)
        sent = await ai.ask(
            "send_message", to_number="+14155559999", body=text, number_id="num_frontdesk", confirm=True
        )
        saved = await ai.ask("save_contact", contact_id="con_ada", notes=text, name=text)
    assert (made["agent"]["name"], made["agent"]["system_prompt"], made["agent"]["description"]) == (text,) * 3
    assert (changed["result"]["name"], changed["result"]["begin_message"]) == (text, text)
    assert sent["status"] == "done"
    assert sandbox.context.account.messages[-1].body == text
    assert (saved["name"], saved["notes"]) == (mark(text), mark(text))


async def test_objects_that_a_host_sends_as_json_text_are_accepted(assistant, sandbox) -> None:
    async with assistant() as ai:
        await ai.ask("update_agent", agent_id="agt_orderline", tuning=json.dumps({"model_tier": "max"}))
        assert sandbox.requests[-1].body == {"modelTier": "max"}
        await ai.ask("update_conversation", conversation_id="conv_past01", metadata='{"step": 2}')
        assert sandbox.requests[-1].body == {"metadata": {"step": 2}}
        await ai.ask(
            "place_call",
            agent_id="agt_frontdesk",
            to_number="+14155559999",
            variables='{"day": "Friday"}',
            confirm=True,
        )
        assert sandbox.requests[-1].body["variables"] == {"day": "Friday"}
        await ai.ask("create_web_call", agent_id="agt_frontdesk", metadata='{"user": 7}', confirm=True)
        assert sandbox.requests[-1].body["metadata"] == {"user": 7}
        await ai.ask(
            "send_message",
            to_number="+14155559999",
            body="Look",
            number_id="num_frontdesk",
            media_urls='["https://example.com/a.png"]',
            confirm=True,
        )
        assert sandbox.requests[-1].body["media_urls"] == ["https://example.com/a.png"]


async def test_a_yes_in_a_json_text_is_none(assistant, writes) -> None:
    async with assistant() as ai:
        for text in ("true", " true ", '{"confirm": true}', "[true]", "1"):
            await ai.refused("buy_number", confirm=text)
    assert writes() == []


@pytest.mark.parametrize("area_code", ["212", 212], ids=["text", "number"])
async def test_an_area_code_may_be_a_number(assistant, rows_of, area_code) -> None:
    async with assistant() as ai:
        offered = await ai.ask("find_available_numbers", area_code=area_code, limit=1)
        bought = await ai.ask("buy_number", area_code=area_code, confirm=True)
    assert rows_of(offered)[0]["area_code"] == "212"
    assert bought["result"]["phone_number"].startswith("+1212")


@pytest.mark.parametrize(
    "camel", [{"modelTier": "max", "maxSilenceMs": 20000}, {"model_tier": "max", "max_silence_ms": 20000}],
    ids=["api-names", "our-names"],
)  # fmt: skip
async def test_a_tuning_may_use_the_apis_own_names(assistant, sandbox, camel) -> None:
    async with assistant() as ai:
        await ai.ask("update_agent", agent_id="agt_orderline", tuning=camel)
    assert sandbox.requests[-1].body == {"modelTier": "max", "maxSilenceMs": 20000}


@pytest.mark.parametrize("value", ["2", 2, 2.0], ids=["text", "integer", "float"])
async def test_a_limit_may_come_in_any_form_of_a_number(assistant, sandbox, value) -> None:
    async with assistant() as ai:
        assert len((await ai.ask("list_agents", limit=value))["data"]) == 2
    assert sandbox.requests[-1].query["limit"] == "2"


async def test_nulls_mean_left_out(assistant, sandbox) -> None:
    async with assistant() as ai:
        tools = {tool.name: tool for tool in (await ai.client.list_tools()).tools}
        for tool in (
            "list_calls",
            "list_contacts",
            "get_webhook",
            "list_voices",
            "buy_number",
            "find_available_numbers",
        ):
            schema = tools[tool].input_schema
            optional = {
                name: None
                for name, field in schema["properties"].items()
                if name not in schema.get("required", ()) and "default" not in field
            }
            await ai.ask(tool, **optional)
    assert all(request.status == 200 for request in sandbox.requests)


async def test_a_null_is_an_absence(assistant, sandbox) -> None:
    nulls = dict.fromkeys(("agent_id", "number_id", "status", "direction", "search", "limit", "offset"))
    async with assistant() as ai:
        assert len((await ai.ask("list_calls", **nulls))["rows"]) == 1
        assert (await ai.ask("get_usage", period=None, days=None))["plan"]
        assert (await ai.ask("buy_number", country=None, confirm=None))["status"] == "needs_confirmation"
    assert sandbox.requests[0].query == {"limit": "20", "offset": "0"}


async def test_a_number_among_the_variables_of_a_call_becomes_text(assistant) -> None:
    call = {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "variables": {"guests": 4}}
    async with assistant() as ai:
        assert '\\"guests\\": \\"4\\"' in (await ai.ask("place_call", **call))["what"]


@pytest.mark.attack("16", "an argument that costs the server more than its sender")
async def test_neither_long_names_nor_many_are_repeated(assistant) -> None:
    async with assistant() as ai:
        long = await ai.refused("get_agent", agent_id="agt_frontdesk", **{"&amp;" * 20_000: 1})
        many = await ai.refused("get_agent", agent_id="agt_frontdesk", **{f"unknown_{n}": n for n in range(1_000)})
    assert "an argument with a name of 100000 characters: there is no such argument" in long
    assert many.endswith("; and 990 more.")
    assert len(long) < 200 < len(many) < 600
