"""Check the controls: reset, balance, registration and the log of requests."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.authentication import LARGEST_BODY, LOG_BYTES, LOG_LIMIT
from agentphone_mcp.sandbox.context import REGISTRATION_TAKES

ADA = "+14155550142"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/__sandbox/reset", id="reset"),
        pytest.param("POST", "/__sandbox/balance", id="balance"),
        pytest.param("POST", "/__sandbox/registration", id="registration"),
        pytest.param("POST", "/__sandbox/calls", id="calls"),
        pytest.param("POST", "/__sandbox/messages", id="messages"),
        pytest.param("POST", "/__sandbox/clock", id="clock"),
        pytest.param("GET", "/__sandbox/faults", id="faults"),
        pytest.param("GET", "/__sandbox/requests", id="requests"),
        pytest.param("GET", "/__sandbox/whatever", id="unknown"),
    ],
)
async def test_the_controls_need_the_key(api: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await api.request(method, path, headers={"Authorization": "Bearer sk_sandbox_another"})
    assert answer.status_code == 401


async def test_a_reset_gives_the_account_of_the_first_moment(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await api.delete("/v1/agents/agt_frontdesk")
    await api.post("/v1/numbers", json={"agentId": "agt_orderline"})
    call = (await api.post("/v1/calls", json={"agentId": "agt_orderline", "toNumber": "+14155550102"})).json()
    live = sandbox.context.account.calls[call["id"]]
    assert (await api.post("/__sandbox/reset")).json() == {"success": True, "balance": "5.00"}
    assert not live.is_live
    assert [agent["id"] for agent in (await api.get("/v1/agents")).json()["data"]] == ["agt_frontdesk", "agt_orderline"]
    assert [number["id"] for number in (await api.get("/v1/numbers")).json()["data"]] == ["num_frontdesk"]
    assert [call["id"] for call in (await api.get("/v1/calls")).json()["data"]] == ["call_past01"]
    assert sandbox.context.account.balance.amount == Decimal("5.00")


async def test_calls_go_on_after_a_reset(api: httpx.AsyncClient) -> None:
    await api.post("/__sandbox/reset")
    placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155559999"})).json()
    stream = await api.get(f"/v1/calls/{placed['id']}/transcript/stream")
    assert "event: ended" in stream.text
    assert (await api.get("/v1/usage")).json()["stats"]["totalCalls"] == 2


@pytest.mark.parametrize(("given", "balance"), [("25.00", "25.00"), (0, "0.00"), (1.5, "1.50")])
async def test_the_balance_can_be_set(
    api: httpx.AsyncClient, sandbox: Sandbox, given: str | float, balance: str
) -> None:
    assert (await api.post("/__sandbox/balance", json={"balance": given})).json() == {"balance": balance}
    assert sandbox.context.account.balance.amount == Decimal(balance)


@pytest.mark.parametrize("given", ["much", "-1", "NaN", "1e99", True, None, [], {}], ids=str)
async def test_a_balance_that_is_no_money_is_refused(api: httpx.AsyncClient, sandbox: Sandbox, given: Any) -> None:
    answer = await api.post("/__sandbox/balance", json={"balance": given})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "balance"])
    assert sandbox.context.account.balance.amount == Decimal("5.00")


async def test_a_registered_number_texts_after_a_while(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    number = (await api.post("/v1/numbers", json={})).json()
    text = {"number_id": number["id"], "to_number": ADA, "body": "Hi"}
    registered = (await api.post("/__sandbox/registration", json={"numberId": number["id"]})).json()
    assert registered == {
        "numberId": number["id"],
        "phoneNumber": number["phoneNumber"],
        "outboundSms": "activating",
    }
    held = sandbox.context.account.numbers[number["id"]]
    assert held.registered_at
    # As if handed in later, so that a slow machine does not outlast it.
    held.registered_at = sandbox.context.clock.now() + timedelta(hours=9)
    refused = await api.post("/v1/messages", json=text)
    assert (refused.status_code, "activating" in refused.json()["detail"]) == (403, True)
    held.registered_at = sandbox.context.clock.now() - REGISTRATION_TAKES
    again = (await api.post("/__sandbox/registration", json={"numberId": number["id"]})).json()
    assert again["outboundSms"] == "enabled"
    assert (await api.get(f"/v1/numbers/{number['id']}")).json()["outboundSms"] == "enabled"
    assert (await api.post("/v1/messages", json=text)).status_code == 200


async def test_an_unknown_number_is_not_registered(api: httpx.AsyncClient) -> None:
    assert (await api.post("/__sandbox/registration", json={"numberId": "num_no"})).status_code == 404
    assert (await api.post("/__sandbox/registration", json={})).status_code == 422


async def test_the_log_shows_what_was_sent(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    answered = await api.get("/v1/calls", params={"limit": 5})
    await api.post("/v1/contacts", json={"name": "No number"}, headers={"X-Sub-Account-Id": "sub_1"})
    await api.get("/v1/usage", headers={"Authorization": ""})
    await api.get("/__sandbox/faults")
    found = (await api.get("/__sandbox/requests")).json()
    first, second, third = found["data"]
    assert first.pop("at") <= second["at"] <= third["at"]
    assert sandbox.requests[0].at < sandbox.requests[1].at
    assert first.pop("requestId") == answered.headers["X-Request-Id"]
    assert first == {
        "method": "GET",
        "path": "/v1/calls",
        "query": {"limit": "5"},
        "body": None,
        "status": 200,
        "authorized": True,
        "subAccount": None,
    }
    assert (second["body"], second["status"], second["subAccount"]) == ({"name": "No number"}, 422, "sub_1")
    assert second["authorized"]
    assert (third["status"], third["authorized"]) == (401, False)
    assert [row["path"] for row in (await api.get("/__sandbox/requests?limit=1")).json()["data"]] == ["/v1/usage"]
    assert (await api.get("/__sandbox/requests?limit=0")).status_code == 422


async def test_the_log_shows_no_key(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await api.post(f"/v1/agents/{sandbox.key}", params={"key": sandbox.key}, json={"keys": ["sk_live_astray"]})
    answer = await api.get("/__sandbox/requests")
    assert sandbox.key not in answer.text
    assert "sk_live" not in answer.text
    (row,) = answer.json()["data"]
    assert (row["path"], row["query"], row["body"]) == ("/v1/agents/[key]", {"key": "[key]"}, {"keys": ["[key]"]})


@pytest.mark.attack("19", "what needs no key reaches the sandbox, or fills its memory")
@pytest.mark.parametrize("body", [b'{"human_email": "\\ud800"}', b"NaN", b'[1e999, "x"]', b"\xff\xfe", b"[" * 9_000])
async def test_the_log_can_be_read_whatever_a_stranger_sent(api: httpx.AsyncClient, body: bytes) -> None:
    """One sign-up that is no Unicode was answered with 500 to whoever read the log afterwards."""
    await api.post("/v0/agent/sign-up", content=body, headers={"Authorization": ""})
    answer = await api.get("/__sandbox/requests")
    assert (answer.status_code, len(answer.json()["data"])) == (200, 1)
    assert "NaN" not in answer.text.replace('"NaN"', "")
    assert "Infinity" not in answer.text


async def test_the_log_does_not_grow_for_ever(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await api.get("/v1/usage")
    sandbox.requests.extend(sandbox.requests * LOG_LIMIT)
    await api.post("/v1/contacts", json={"notes": "x" * 100_000})
    assert len(sandbox.requests) == LOG_LIMIT
    found = (await api.get("/__sandbox/requests", params={"limit": 2})).json()
    assert [row["path"] for row in found["data"]] == ["/v1/usage", "/v1/contacts"]
    assert (found["total"], len(found["data"][1]["body"]["notes"])) == (LOG_LIMIT, 100_000)
    for _ in range(LOG_BYTES // LARGEST_BODY + 2):
        await api.post("/v1/contacts", content=b"x" * LARGEST_BODY)
    assert sum(len(row.body) for row in sandbox.requests) <= LOG_BYTES
    assert (await api.post("/v1/contacts", content=b"x" * (LARGEST_BODY + 1))).status_code == 413
