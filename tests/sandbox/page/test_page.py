"""Check the web page's files, its snapshot and its events, and who may see them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx_sse
import pytest

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.authentication import watch_token
from agentphone_mcp.sandbox.routes import view
from tests.sandbox.clients import in_process

OPEN = ("/", "/__sandbox/page/page.css", "/__sandbox/page/page.js", "/__sandbox/view")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def browser(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {watch_token(sandbox.key)}"}
    async with in_process(sandbox, base_url="http://127.0.0.1:8787", headers=headers) as client:
        yield client


@pytest.mark.parametrize("path", OPEN)
async def test_the_page_needs_its_token_and_loads_nothing_from_elsewhere(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[:4] == ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", [*OPEN, "/__sandbox/events"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Host": "evil.example"}, 421, id="rebound-name"),
        pytest.param({"Host": "127.0.0.1.evil.example:8787"}, 421, id="look-alike"),
        pytest.param({"Host": ""}, 421, id="no-host"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="another-origin"),
        pytest.param({"Origin": "http://127.0.0.1:9999"}, 403, id="another-port"),
        pytest.param({"Origin": "null"}, 403, id="no-origin"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="another-site"),
        pytest.param({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403, id="another-port-quietly"),
    ],
)
async def test_pages_of_others_may_not_look(
    browser: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await browser.get(path, headers=headers)
    assert answer.status_code == status
    assert "Front Desk" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Host": "localhost:8787", "Origin": "http://localhost:8787"}, id="localhost"),
        pytest.param({"Host": "[::1]:8787"}, id="ipv6"),
        pytest.param({"Host": "127.0.0.1", "Sec-Fetch-Site": "same-origin"}, id="default-port"),
        pytest.param(
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, id="a-link"
        ),
    ],
)
async def test_people_at_this_machine_may_look(browser: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await browser.get("/", headers=headers)).status_code == 200


async def test_a_link_leads_to_the_page_only(browser: httpx.AsyncClient) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await browser.get("/__sandbox/view", headers=followed)).status_code == 403


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fview.py", "%2Fetc%2Fpasswd"])
async def test_only_the_pages_files_are_served(browser: httpx.AsyncClient, name: str) -> None:
    assert (await browser.get(f"/__sandbox/page/{name}")).status_code == 404


async def test_the_snapshot_shows_the_account(browser: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    text = {"agent_id": "agt_frontdesk", "to_number": "+14155550177", "body": HOSTILE}
    await api.post("/v1/messages", content=json.dumps(text))
    await browser.get("/")
    shown = (await browser.get("/__sandbox/view")).json()
    assert shown["account"]["balance"] == "$4.98"
    assert [agent["name"] for agent in shown["account"]["agents"]] == ["Front Desk", "Order Line"]
    assert [turn["role"] for turn in shown["calls"][0]["turns"]][:2] == ["agent", "user"]
    assert [one["participant"] for one in shown["conversations"]] == ["+14155550177", "+14155550142"]
    assert shown["conversations"][0]["messages"][0]["body"] == HOSTILE
    assert [(one["method"], one["path"], one["status"]) for one in shown["requests"]] == [("POST", "/v1/messages", 200)]


async def test_no_secret_is_shown(browser: httpx.AsyncClient, api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    hook = (await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})).json()
    await api.post("/v1/agents/agt_orderline/webhook", json={"url": f"http://127.0.0.1:9/?s={hook['secret']}"})
    await api.get("/v1/agents", params={"key": sandbox.key})
    await api.post("/v1/contacts", json={"name": sandbox.key, "phoneNumber": hook["secret"]})
    text = (await browser.get("/__sandbox/view")).text
    assert sandbox.key not in text
    assert hook["secret"] not in text
    assert json.loads(text)["account"]["webhook"]["secret"] == f"…{hook['secret'][-4:]}"


async def test_the_snapshot_is_bounded(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "REQUESTS", 3)
    for limit in range(1, 6):
        await api.get("/v1/agents", params={"limit": limit})
    await api.post("/v1/contacts", json={"name": "x" * 9_000})
    shown = (await browser.get("/__sandbox/view")).json()
    assert [one["path"] for one in shown["requests"]] == ["/v1/contacts", "/v1/agents?limit=5", "/v1/agents?limit=4"]
    assert len(shown["requests"][0]["body"]) < 4_100


async def test_events_go_on_where_the_snapshot_ends(http: httpx.AsyncClient) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    async with asyncio.timeout(60), httpx_sse.aconnect_sse(http, "GET", "/__sandbox/events") as stream:
        number = (await http.get("/__sandbox/view")).json()["number"]
        await http.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155550104"})
        await http.post("/v1/agents", json={"name": "A third one"})
        wanted = {"account", "completed"}
        async for event in stream.aiter_sse():
            events.append((event.event, event.json()))
            wanted -= {event.event, events[-1][1].get("status")}
            if not wanted:
                break
    numbers = [data["number"] for name, data in events if name != "account"]
    assert numbers == list(range(number + 1, number + 1 + len(numbers)))
    assert [data["content"] for name, data in events if name == "turn"][
        -1
    ] == "I am not interested, don't call me again."


async def test_a_watcher_who_leaves_is_let_go(http: httpx.AsyncClient, served: Sandbox) -> None:
    async with httpx_sse.aconnect_sse(http, "GET", "/__sandbox/events"):
        await http.get("/v1/usage")
    async with asyncio.timeout(60):
        while served.context.event_stream.subscribers:
            await http.get("/v1/usage")
