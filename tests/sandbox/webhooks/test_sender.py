"""Check where webhooks may lead, and how a request to one is written."""

import asyncio
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from tests.sandbox.calling import SetHook
from tests.sandbox.clients import in_process

ADA, DESK = "+14155550142", "+14155550100"
TEXT = {"from": ADA, "to": DESK, "body": "Hi"}


async def test_a_remote_webhook_can_be_set_and_is_never_reached(api: httpx.AsyncClient) -> None:
    assert (await api.post("/v1/webhooks", json={"url": "https://example.com/hook"})).status_code == 200
    await api.post("/__sandbox/messages", json=TEXT)
    await api.post("/__sandbox/clock", json={"advance": 86_400})
    delivery, _ = (await api.get("/v1/webhooks/deliveries")).json()["items"]
    assert (delivery["status"], delivery["attemptCount"]) == ("failed", 1)
    assert delivery["errorMessage"] == "the sandbox delivers to loopback only"


async def test_a_remote_webhook_is_tried_when_that_is_allowed() -> None:
    sandbox = Sandbox(allow_remote_webhooks=True)
    async with in_process(sandbox) as api:
        await api.post("/v1/webhooks", json={"url": "https://no-such-host.invalid/hook"})
        answer = (await api.post("/v1/webhooks/test")).json()
    await sandbox.aclose()
    assert answer["success"] is False
    assert "loopback" not in answer["error"]


async def test_a_name_must_mean_this_machine_when_it_is_connected_to(
    api: httpx.AsyncClient, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.post("/v1/webhooks", json={"url": hook.url.replace("127.0.0.1", "localhost")})
    hook.secret = (await api.get("/v1/webhooks")).json()["secret"]
    assert (await api.post("/v1/webhooks/test")).json()["success"] is True
    assert hook.received[0].headers["host"].startswith("localhost:")

    async def rebound(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", 80)), (2, 1, 6, "", ("192.0.2.7", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebound)
    answer = (await api.post("/v1/webhooks/test")).json()
    assert (answer["success"], len(hook.received)) == (False, 1)
    assert answer["error"] == "the sandbox delivers to loopback only, and localhost is not"


async def test_a_redirect_is_a_failure(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> None:
    hook.headers = {"Location": hook.url + "/elsewhere"}
    hook.answer = lambda _: 307
    await set_hook()
    await api.post("/v1/webhooks/test")
    assert [row["errorMessage"] for row in (await api.get("/v1/webhooks/deliveries")).json()["items"]] == [
        "The webhook answered 307."
    ]
    assert len(hook.received) == 1


async def test_the_body_is_written_as_javascript_would(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> None:
    await set_hook()
    await api.post("/__sandbox/messages", json={"from": ADA, "to": DESK, "body": "Grüße"})
    await hook.until("message.received")
    assert hook.received[0].headers["content-length"] == str(len(hook.received[0].body))
    assert '"message":"Grüße"'.encode() in hook.received[0].body


async def test_a_webhook_may_live_on_ipv6(api: httpx.AsyncClient, hook: Any) -> None:
    server = await asyncio.start_server(hook.handle, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        hook.secret = (await api.post("/v1/webhooks", json={"url": f"http://[::1]:{port}/hook"})).json()["secret"]
        assert (await api.post("/v1/webhooks/test")).json()["success"] is True
    assert hook.received[0].headers["host"] == f"[::1]:{port}"
