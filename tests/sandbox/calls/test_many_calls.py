"""Check many calls at once; `tests/benchmarks/sandbox_calls.py` measures more of them."""

import asyncio
from decimal import Decimal

import httpx
import httpx_sse
import pytest

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.data.callees import CALLEES

ENDS = {number: callee.unanswered or "completed" for number, callee in CALLEES.items()}
EACH = 5


@pytest.mark.parametrize("speed", [pytest.param(100, id="hurried")])
async def test_calls_at_once_end_as_their_scripts_say_and_are_heard_once_in_order(
    http: httpx.AsyncClient, served: Sandbox
) -> None:
    served.context.account.balance.amount = Decimal(1_000)

    async def follow(number: str) -> None:
        wanted = {"agentId": "agt_frontdesk", "toNumber": number}
        call_id = (await http.post("/v1/calls", json=wanted)).json()["id"]
        async with httpx_sse.aconnect_sse(http, "GET", f"/v1/calls/{call_id}/transcript/stream") as stream:
            events = [(event.event, event.json()) async for event in stream.aiter_sse()]
        transcript = (await http.get(f"/v1/calls/{call_id}/transcript")).json()
        assert [data for name, data in events if name == "turn"] == transcript["transcript"]
        assert (events[-1][0], events[-1][1]["status"], transcript["status"]) == ("ended", ENDS[number], ENDS[number])

    with served.context.event_stream.subscribe(lambda: None, capacity=100_000) as subscriber:
        async with asyncio.timeout(60):
            await asyncio.gather(*(follow(number) for number in list(ENDS) * EACH))
        published = subscriber.take()
    spoken = [(one.row["callId"], one.row["id"]) for one in published if one.kind == "turn"]
    said = [(call.id, turn.id) for call in served.context.account.calls.values() for turn in call.turns]
    assert sorted(spoken) == sorted((call_id, turn_id) for call_id, turn_id in said if call_id != "call_past01")
