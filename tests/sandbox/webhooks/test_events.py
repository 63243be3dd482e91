"""Check how events for webhooks are built."""

import asyncio

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox


@pytest.mark.parametrize("api_version", ["seeds"])
async def test_events_know_only_the_statuses_of_their_age(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    # Nobody listens there, so that the event stays to be looked at.
    await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})
    await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155550101"})
    async with asyncio.timeout(60):
        while not (ended := [one for one in sandbox.context.account.deliveries if one.event == "call.ended"]):  # noqa: ASYNC110 - deliveries tell nobody
            await asyncio.sleep(0.01)
    assert ended[0].payload["data"]["status"] == "failed"
