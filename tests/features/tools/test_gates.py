"""Carry out no gated tool without a yes."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from agentphone_mcp.features.tools.catalog import CATALOG
from agentphone_mcp.sandbox import Sandbox

URL = "https://example.com/hook"


@dataclass(frozen=True)
class Gated:
    """Describe a gated tool, arguments for it, and what they stand for."""

    tool: str
    arguments: dict[str, Any]
    write: str
    yes: Any
    of_another: Any
    named: tuple[str, ...]
    verify_with: str
    webhook: bool = False


GATED = [
    Gated(
        "buy_number",
        {"area_code": "212", "agent_id": "agt_orderline"},
        "POST /v1/numbers",
        True,
        "+14155550100",
        ("212", "'Order Line'", "$3.00"),
        "list_numbers",
    ),
    Gated(
        "place_call",
        {"agent_id": "agt_frontdesk", "to_number": "(415) 555-9999"},
        "POST /v1/calls",
        True,
        "+14155559999",
        ("+14155559999", "+14155550100", "'Front Desk'", "$0.22"),
        "list_calls",
    ),
    Gated(
        "create_web_call",
        {"agent_id": "agt_frontdesk"},
        "POST /v1/calls/web",
        True,
        "Front Desk",
        ("'Front Desk'", "$0.22"),
        "list_calls",
    ),
    Gated(
        "send_message",
        {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "body": "Your visit is on Friday."},
        "POST /v1/messages",
        True,
        "+14155559999",
        ("+14155559999", "+14155550100", "'Front Desk'", "Your visit is on Friday.", "$0.02"),
        "list_messages",
    ),
    Gated(
        "release_number",
        {"number_id": "num_frontdesk"},
        "DELETE /v1/numbers/num_frontdesk",
        "+14155550100",
        "+14155550142",
        ("+14155550100",),
        "list_numbers",
    ),
    Gated(
        "delete_agent",
        {"agent_id": "agt_frontdesk"},
        "DELETE /v1/agents/agt_frontdesk",
        "Front Desk",
        "Order Line",
        ("'Front Desk'", "+14155550100"),
        "list_agents",
    ),
    Gated(
        "delete_contact",
        {"contact_id": "con_ada"},
        "DELETE /v1/contacts/con_ada",
        "+14155550142",
        "+14155550100",
        ("'Ada Byron'", "+14155550142"),
        "list_contacts",
    ),
    Gated(
        "delete_webhook",
        {},
        "DELETE /v1/webhooks",
        URL,
        "https://example.org/hook",
        (URL,),
        "get_webhook",
        webhook=True,
    ),
    Gated(
        "set_webhook",
        {"url": "https://example.org/hook"},
        "POST /v1/webhooks",
        URL,
        "https://example.org/hook",
        (URL, "https://example.org/hook"),
        "get_webhook",
        webhook=True,
    ),
]
NAMED = [gated for gated in GATED if gated.yes is not True]
WITH_IDS = [gated for gated in GATED if any(name.endswith("_id") for name in gated.arguments)]
EACH = pytest.mark.parametrize("gated", GATED, ids=[gated.tool for gated in GATED])
NO_YES = {"false": False, "text-true": "true", "list": [True]}
"""A few of the values that are no yes; `tests/policy/test_gate.py` has them all."""


async def with_its_webhook(ai: Any, gated: Gated, sandbox: Sandbox) -> None:
    """Set what the tool would replace or delete, and forget the requests for that."""
    if gated.webhook:
        await ai.ask("set_webhook", url=URL)
        sandbox.requests.clear()


def test_every_gated_tool_is_tested_here() -> None:
    """set_webhook is declared as creating, and is gated only where it replaces."""
    declared = {tool.name for tools in CATALOG.values() for tool in tools if tool.mark}
    assert {gated.tool for gated in GATED} == declared | {"set_webhook"}


@EACH
async def test_without_a_yes_nothing_is_written(assistant, sandbox, writes, gated: Gated) -> None:
    async with assistant() as ai:
        await with_its_webhook(ai, gated, sandbox)
        for kind, confirm in NO_YES.items():
            result = await ai.client.call_tool(gated.tool, gated.arguments | {"confirm": confirm})
            assert writes() == [], kind
            assert result.is_error or result.structured_content["status"] == "needs_confirmation", kind


@EACH
async def test_a_preview_names_what_is_behind_the_ids(assistant, sandbox, gated: Gated) -> None:
    async with assistant() as ai:
        await with_its_webhook(ai, gated, sandbox)
        preview = await ai.ask(gated.tool, **gated.arguments)
    assert preview["status"] == "needs_confirmation"
    for name in gated.named:
        assert name in preview["what"]
    assert "Ask your user" in preview["next_step"]
    assert "result" not in preview


@EACH
async def test_a_yes_is_carried_out_once(assistant, sandbox, writes, gated: Gated) -> None:
    async with assistant() as ai:
        await with_its_webhook(ai, gated, sandbox)
        done = await ai.ask(gated.tool, **gated.arguments, confirm=gated.yes)
    assert writes() == [gated.write]
    assert done["status"] == "done"
    assert done["result"]


@EACH
async def test_the_yes_to_another_thing_is_none(assistant, sandbox, writes, gated: Gated) -> None:
    async with assistant() as ai:
        await with_its_webhook(ai, gated, sandbox)
        message = await ai.refused(gated.tool, **gated.arguments, confirm=gated.of_another)
    assert writes() == []
    assert "Nothing was done: confirm does not match" in message or "was not run. confirm: it must be" in message


@pytest.mark.parametrize("gated", NAMED, ids=[gated.tool for gated in NAMED])
async def test_a_plain_true_destroys_nothing(assistant, sandbox, writes, gated: Gated) -> None:
    async with assistant() as ai:
        await with_its_webhook(ai, gated, sandbox)
        await ai.refused(gated.tool, **gated.arguments, confirm=True)
    assert writes() == []


@pytest.mark.parametrize("gated", WITH_IDS, ids=[gated.tool for gated in WITH_IDS])
async def test_an_unknown_id_stops_a_confirmed_action_before_its_write(assistant, writes, gated: Gated) -> None:
    name = next(name for name in gated.arguments if name.endswith("_id"))
    async with assistant() as ai:
        await ai.refused(gated.tool, **gated.arguments | {name: "unknown_1"}, confirm=gated.yes)
    assert writes() == []


def half_an_api(on_write: Any) -> Any:
    """Imitate an API that answers reads for the seeded account, and writes by `on_write`."""
    agent = {
        "id": "agt_frontdesk",
        "name": "Front Desk",
        "voiceMode": "hosted",
        "numbers": [{"id": "num_frontdesk", "phoneNumber": "+14155550100"}],
    }
    resources = {
        "/v1/agents/agt_frontdesk": agent,
        "/v1/agents/agt_orderline": agent | {"name": "Order Line"},
        "/v1/numbers/num_frontdesk": {"id": "num_frontdesk", "phoneNumber": "+14155550100", "outboundSms": "enabled"},
        "/v1/contacts/con_ada": {"id": "con_ada", "name": "Ada Byron", "phoneNumber": "+14155550142"},
        "/v1/webhooks": {"id": "wh_1", "url": URL, "secret": "whsec_1234567890"},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=resources[request.url.path]) if request.method == "GET" else on_write(request)

    return answer


def times_out(request: httpx.Request) -> httpx.Response:
    """Fail as if no answer came to a write that was sent."""
    raise httpx.ReadTimeout("timed out", request=request)


def breaks(request: httpx.Request) -> httpx.Response:
    """Fail as if the connection broke after the write was sent."""
    raise httpx.ReadError("reset", request=request)


LOST = {
    "time-out": times_out,
    "reset": breaks,
    "bad-gateway": lambda _: httpx.Response(502, text="<html>Bad gateway</html>"),
    "server-error": lambda _: httpx.Response(500, json={"detail": "oops"}),
    "truncated": lambda _: httpx.Response(201, text='{"id": "x'),
    "redirect": lambda _: httpx.Response(307, headers={"Location": "/v1/elsewhere"}),
}


@EACH
async def test_a_lost_answer_is_reported_as_unknown(assistant, answering, gated: Gated) -> None:
    recorder = answering(half_an_api(times_out))
    async with assistant(recorder) as ai:
        result = await ai.ask(gated.tool, **gated.arguments, confirm=gated.yes)
    assert result["status"] == "unknown"
    assert gated.verify_with in result["next_step"]
    assert "may or may not have happened" in result["next_step"]
    assert len(recorder.writes) == 1
    assert "result" not in result


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
async def test_an_answer_can_be_lost_in_many_ways(assistant, answering, lost) -> None:
    gated = GATED[0]
    recorder = answering(half_an_api(lost))
    async with assistant(recorder) as ai:
        result = await ai.ask(gated.tool, **gated.arguments, confirm=gated.yes)
    assert result["status"] == "unknown"
    assert len(recorder.writes) == 1


@EACH
async def test_a_write_that_was_never_sent_is_no_mystery(assistant, answering, gated: Gated) -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with assistant(answering(half_an_api(unreachable))) as ai:
        message = await ai.refused(gated.tool, **gated.arguments, confirm=gated.yes)
    assert "got no answer" in message
    assert "Nothing was changed" in message
