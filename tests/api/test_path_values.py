"""Tests of ids in paths: what is no id is never sent."""

from typing import Any

import pytest

from agentphone_mcp.api.agents import AgentFields
from agentphone_mcp.api.errors import BadPathValue
from tests.api.conftest import Api, Network

NO_IDS = {
    "empty": "",
    "dot": ".",
    "two-dots": "..",
    "another-endpoint": "../agents/x",
    "climbing-inside": "a/../b",
    "two-dots-inside": "a..b",
    "slash": "a/b",
    "leading-slash": "/a",
    "backslash": "a\\b",
    "encoded-dots": "%2e%2e",
    "encoded-slash": "a%2Fb",
    "query": "a?limit=1",
    "fragment": "a#b",
    "semicolon": "a;b",
    "newline": "a\nb",
    "trailing-newline": "call_1\n",
    "header-injection": "a\r\nX-Evil: 1",
    "nul": "a\x00b",
    "space": "a b",
    "blank": " ",
    "placeholder": "{agent_id}",
    "unicode": "агент",
    "unicode-digits": "１２３",
    "phone-number": "+14155559999",
    "very-long": "a" * 10_000,
}

METHODS = {
    "get": lambda api, bad: api.agents.get(bad),
    "update": lambda api, bad: api.agents.update(bad, AgentFields(name="x")),
    "delete": lambda api, bad: api.agents.delete(bad),
    "attach": lambda api, bad: api.agents.attach_number(bad, "pn_1"),
    "detach-from": lambda api, bad: api.agents.detach_number(bad, "pn_1"),
    "detach": lambda api, bad: api.agents.detach_number("agent_1", bad),
    "release": lambda api, bad: api.numbers.release(bad),
    "calls-of": lambda api, bad: api.calls.list(agent_id=bad),
    "recording": lambda api, bad: api.calls.recording(bad),
    "webhook-of": lambda api, bad: api.webhooks.delete(bad),
    "contact": lambda api, bad: api.contacts.delete(bad),
}


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in NO_IDS.items()])
async def test_what_is_no_id_is_not_sent(answering: Network, api_over: Api, bad: str) -> None:
    network = answering({"data": []})
    async with api_over(network) as api:
        with pytest.raises(BadPathValue) as refused:
            await api.agents.get(bad)
    assert not network.requests
    message = str(refused.value)
    assert message.startswith("BadPathValue: GET /v1/agents/")
    assert message.endswith(": agent_id is no id")
    assert len(message) < 60


@pytest.mark.parametrize("method", [pytest.param(method, id=name) for name, method in METHODS.items()])
async def test_every_method_refuses_to_climb(answering: Network, api_over: Api, method: Any) -> None:
    network = answering({"data": []})
    async with api_over(network) as api:
        with pytest.raises(BadPathValue) as refused:
            await method(api, "../agents/x")
    assert not network.requests
    assert "../agents/x" not in str(refused.value)


async def test_a_stream_of_what_is_no_id_is_not_opened(answering: Network, api_over: Api) -> None:
    network = answering({})
    async with api_over(network) as api:
        with pytest.raises(BadPathValue):
            async with api.calls.follow("../agents/x"):
                pass
    assert not network.requests


@pytest.mark.parametrize(
    "good",
    [
        pytest.param("agent_abc123", id="the-seeds"),
        pytest.param("550e8400-e29b-41d4-a716-446655440000", id="uuid"),
        pytest.param("cm5x8k2q9000008l4h3jd7f1a", id="cuid"),
        pytest.param("v1.call:42", id="dots-and-colons"),
        pytest.param("7", id="one-digit"),
        pytest.param("a" * 128, id="long"),
    ],
)
async def test_an_id_of_any_make_is_sent_as_it_is(answering: Network, api_over: Api, good: str) -> None:
    network = answering({"id": good})
    async with api_over(network) as api:
        await api.agents.get(good)
    assert network.lines == [f"GET https://api.agentphone.to/v1/agents/{good}"]
