"""Check how events for webhooks are built."""

import asyncio

import httpx

from agentphone_mcp.sandbox import Sandbox


async def test_events_know_only_the_statuses_of_their_age() -> None:
    sandbox = Sandbox(speed=400, api_version="seeds")
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    transport = httpx.ASGITransport(app=sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox.test", headers=headers) as api:
        # Nobody listens there, so that the event stays to be looked at.
        await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})
        await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155550101"})
        async with asyncio.timeout(60):
            while not (ended := [one for one in sandbox.context.account.deliveries if one.event == "call.ended"]):  # noqa: ASYNC110 - deliveries tell nobody
                await asyncio.sleep(0.01)
    await sandbox.aclose()
    assert ended[0].payload["data"]["status"] == "failed"
