"""Test completion: a person types a name, sees labelled ids, and the chosen one works as an id."""

from typing import Any

import anyio
import httpx
import pytest
from mcp.client import Client
from mcp_types import Completion, PromptReference, ResourceTemplateReference

from agentphone_mcp.features.completion import Completer, label, plain_id
from tests.support import LIVE_KEY

TEMPLATE = ResourceTemplateReference(uri="agentphone://agents/{agent_id}")
DESK = "agt_frontdesk (Front Desk; +14155550100)"
ORDERS = "agt_orderline (Order Line)"


async def typing(client: Client, argument: str, typed: str, ref: Any = TEMPLATE) -> Completion:
    """Complete an argument as a host does while a person types."""
    return (await client.complete(ref, {"name": argument, "value": typed})).completion


def agents(count: int, **more: Any) -> dict[str, Any]:
    """Make a page of agents, as the API writes it."""
    return {"data": [{"id": f"agt_{number}", "name": f"Agent {number}"} for number in range(count)]} | more


async def test_that_arguments_can_be_completed_is_declared(connect, mode) -> None:
    async with connect(mode) as client:
        assert client.server_capabilities.completions is not None


@pytest.mark.parametrize(
    ("argument", "typed", "values"),
    [
        pytest.param("agent_id", "", [DESK, ORDERS], id="nothing-yet"),
        pytest.param("agent_id", "front", [DESK], id="name"),
        pytest.param("agent_id", "  ORDER   line", [ORDERS], id="case-and-spaces"),
        pytest.param("agent_id", "agt_o", [ORDERS], id="id"),
        pytest.param("agent_id", DESK, [DESK], id="chosen-already"),
        pytest.param("agent_id", "(415) 555-0100", [DESK], id="number-as-written"),
        pytest.param("agent_id", "5550100", [DESK], id="part-of-a-number"),
        pytest.param("agent_id", "nobody", [], id="nobody"),
        pytest.param("agent_id", "+", [DESK], id="plus"),
        pytest.param("agent_id", "()", [], id="no-digits"),
        pytest.param("number_id", "415", ["num_frontdesk (+14155550100)"], id="phone-number"),
        pytest.param("conversation_id", "0142", ["conv_past01 (+14155550142; 3 texts)"], id="participant"),
        pytest.param("contact_id", "", [], id="an-argument-that-is-not-completed"),
        pytest.param("city", "", [], id="no-id"),
    ],
)
async def test_what_is_typed_finds_ids_names_and_numbers(connect, mode, argument, typed, values) -> None:
    """Each value contains all that it can be completion by, as some hosts filter once more."""
    async with connect(mode) as client:
        completion = await typing(client, argument, typed)
    assert completion.values == values


async def test_a_call_is_labelled_with_who_called_and_when(connect) -> None:
    async with connect() as client:
        (value,) = (await typing(client, "call_id", "14155550142")).values
    assert value.startswith("call_past01 (inbound; +14155550142; 20")
    assert value.endswith("; completed)")


@pytest.mark.parametrize("name", ["call_and_report", "of_another_day"])
async def test_arguments_of_prompts_are_completed_by_their_names(connect, name) -> None:
    async with connect() as client:
        assert (await typing(client, "agent_id", "front", PromptReference(name=name))).values == [DESK]


async def test_a_chosen_value_works_as_an_id(connect) -> None:
    async with connect() as client:
        for argument, where in {
            "agent_id": "agents/{}",
            "call_id": "calls/{}/transcript",
            "conversation_id": "conversations/{}",
        }.items():
            (chosen, *_) = (await typing(client, argument, "")).values
            read = await client.read_resource("agentphone://" + where.format(chosen))
            assert plain_id(chosen) in read.contents[0].text


async def test_values_that_start_with_the_typed_text_come_first(connect_to, answering) -> None:
    rows = [("agt_1", "Big Desk"), ("agt_2", "Small Desk"), ("agt_3", "Desk"), ("desk_4", "Other")]
    page = {"data": [{"id": agent_id, "name": name} for agent_id, name in rows]}
    async with connect_to(answering(page)) as client:
        completion = await typing(client, "agent_id", "desk")
    assert [plain_id(value) for value in completion.values] == ["agt_3", "desk_4", "agt_1", "agt_2"]


@pytest.mark.parametrize(
    ("page", "typed", "shown", "total", "has_more"),
    [
        pytest.param(agents(3, total=3, hasMore=False), "", 3, 3, False, id="all"),
        pytest.param(agents(3, total=3, hasMore=False), "agent 2", 1, 1, False, id="one-of-all"),
        pytest.param(agents(100, total=250, hasMore=True), "", 100, 250, True, id="the-first-hundred"),
        pytest.param(agents(100, total=250, hasMore=True), "agent 99", 1, None, True, id="one-of-the-first"),
        pytest.param(agents(100), "", 100, None, True, id="a-full-page-of-nobody-knows-how-many"),
        pytest.param(agents(130, total=130), "", 100, 130, True, id="more-than-asked-for"),
        pytest.param({"data": []}, "", 0, None, False, id="none"),
    ],
)
async def test_a_hundred_values_and_only_a_known_total_are_returned(
    connect_to, answering, page, typed, shown, total, has_more
) -> None:
    async with connect_to(answering(page)) as client:
        completion = await typing(client, "agent_id", typed)
    assert (len(completion.values), completion.total, completion.has_more) == (shown, total, has_more)


async def test_many_keystrokes_are_one_request(connect_to, answering) -> None:
    recorder = answering(agents(3))
    async with connect_to(recorder) as client:
        for typed in ("a", "ag", "age"):
            await typing(client, "agent_id", typed)
        async with anyio.create_task_group() as keys:
            for typed in ("agen", "agent", "agent 1"):
                keys.start_soon(typing, client, "agent_id", typed)
    assert recorder.lines == ["GET https://api.agentphone.to/v1/agents?limit=100&offset=0"]


async def test_keystrokes_while_the_list_is_read_wait_for_it(connect_to, answering) -> None:
    requested, respond = anyio.Event(), anyio.Event()
    values: list[list[str]] = []

    async def answer(_: httpx.Request) -> httpx.Response:
        requested.set()
        await respond.wait()
        return httpx.Response(200, json=agents(3))

    recorder = answering(answer)
    async with connect_to(recorder) as client:

        async def complete() -> None:
            values.append((await typing(client, "agent_id", "agent 1")).values)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as keys:
                keys.start_soon(typing, client, "agent_id", "a")
                await requested.wait()
                for _ in range(5):
                    keys.start_soon(complete)
                respond.set()
    assert len(recorder.requests) == 1
    assert values == [["agt_1 (Agent 1)"]] * 5


async def test_a_list_is_read_again_after_ten_seconds(api_over, answering) -> None:
    now = 0.0
    recorder = answering(agents(1))
    async with api_over(recorder) as api:
        completer = Completer(api, clock=lambda: now)
        for now, requests in ((0.0, 1), (9.9, 1), (10.1, 2), (20.0, 2), (20.2, 3)):  # noqa: B007 - the clock reads it
            assert (await completer.complete("agent_id", "")).values == ["agt_0 (Agent 0)"]
            assert len(recorder.requests) == requests


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(401, json={"detail": "no"}),
        httpx.Response(500, json={"detail": "no"}),
        httpx.Response(200, text="<html>"),
    ],
    ids=["wrong-key", "error", "no-json"],
)
async def test_an_api_that_fails_completes_nothing(connect_to, answering, mode, trouble) -> None:
    """Hosts would show an error at each keystroke; nor does each keystroke ask the API again."""
    recorder = answering(lambda _: trouble)
    async with connect_to(recorder, mode) as client:
        for typed in ("", "f", "fr"):
            completion = await typing(client, "agent_id", typed)
            assert (completion.values, completion.total, completion.has_more) == ([], None, None)
    assert len(recorder.requests) <= 3, "as many as one request is tried"


async def test_names_show_no_secrets_and_nothing_hidden(connect_to, answering) -> None:
    rows = [
        {"id": "agt_1", "name": f"Desk {LIVE_KEY}\x1b[2J / a,b&c?d#e%2f {{x}}\u202e"},
        {"id": "agt_2", "name": "long " * 100},
        {"id": "../3", "name": "Nobody"},
        {"id": "agt_4"},
    ]
    async with connect_to(answering({"data": rows})) as client:
        first, second, *others = (await typing(client, "agent_id", "")).values
        read = answering(lambda asked: httpx.Response(200, json={"id": "agt_1"}))
    async with connect_to(read) as client:
        await client.read_resource(f"agentphone://agents/{first}")
    assert LIVE_KEY not in first
    assert first.startswith("agt_1 (Desk ")
    assert not set(first) & set("\x1b/,&?#%{}\u202e")
    assert len(second) < 60
    assert others == ["agt_4"]
    assert [request.url.path for request in read.requests] == ["/v1/agents/agt_1"]


@pytest.mark.parametrize(
    ("value", "thing_id"),
    [
        (label("agt_1", "Front (Desk)"), "agt_1"),
        (label("agt_1", "agt_2 (Two)", None, ""), "agt_1"),
        (label("agt_1"), "agt_1"),
        ("agt_1 (", "agt_1 ("),
        ("agt_1 Front", "agt_1 Front"),
        (" (Front)", " (Front)"),
        ("../x (Front)", "../x"),
    ],
)
def test_a_name_cannot_become_an_id(value, thing_id) -> None:
    assert plain_id(value) == thing_id
