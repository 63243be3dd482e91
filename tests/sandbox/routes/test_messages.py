"""Check texts and conversations."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox

ADA = "+14155550142"


@pytest.mark.parametrize(
    "sender",
    [
        pytest.param({"agent_id": "agt_frontdesk"}, id="agent"),
        pytest.param({"number_id": "num_frontdesk"}, id="number"),
        pytest.param({"from_number": "+14155550100"}, id="phone-number"),
    ],
)
async def test_a_text_extends_the_conversation_of_its_pair(
    api: httpx.AsyncClient, sandbox: Sandbox, sender: dict[str, str]
) -> None:
    answer = await api.post("/v1/messages", json={**sender, "to_number": ADA, "body": "See you!"})
    sent = answer.json()
    assert (sent["status"], sent["channel"], sent["conversation_id"]) == ("sent", "sms", "conv_past01")
    assert (sent["from_number"], sent["to_number"]) == ("+14155550100", ADA)
    conversation = (await api.get("/v1/conversations/conv_past01")).json()
    assert (conversation["messageCount"], conversation["lastMessagePreview"]) == (4, "See you!")
    assert conversation["messages"][-1]["id"] == sent["id"]
    assert sandbox.context.account.balance.amount == Decimal("4.98")


async def test_a_first_text_opens_a_conversation(api: httpx.AsyncClient) -> None:
    wanted = {"agent_id": "agt_frontdesk", "to_number": "+14155550155", "media_urls": ["https://example.com/a.png"]}
    sent = (await api.post("/v1/messages", json=wanted)).json()
    newest, past = (await api.get("/v1/conversations")).json()["data"]
    assert (newest["id"], newest["participant"], newest["agentId"]) == (
        sent["conversation_id"],
        "+14155550155",
        "agt_frontdesk",
    )
    assert past["id"] == "conv_past01"
    detail = (await api.get(f"/v1/conversations/{newest['id']}")).json()
    assert detail["messages"][0]["mediaUrls"] == ["https://example.com/a.png"]


async def test_a_reply_quotes_its_parent(api: httpx.AsyncClient) -> None:
    wanted = {"agent_id": "agt_frontdesk", "to_number": ADA, "body": "Yes."}
    known = (await api.post("/v1/messages", json={**wanted, "reply_to_message_id": "msg_past01"})).json()
    unknown = (await api.post("/v1/messages", json={**wanted, "reply_to_message_id": "msg_no"})).json()
    assert (known["reply_parent_unresolved"], unknown["reply_parent_unresolved"]) == (False, True)
    messages = (await api.get("/v1/conversations/conv_past01")).json()["messages"]
    assert messages[-2]["replyTo"]["messageId"] == "msg_past01"
    assert messages[-1]["replyTo"] is None


@pytest.mark.parametrize(
    ("wanted", "status", "message"),
    [
        pytest.param({"to_number": ADA, "body": "Hi"}, 422, "agent_id", id="no-sender"),
        pytest.param({"agent_id": "agt_frontdesk", "body": "Hi"}, 422, "to_number", id="no-recipient"),
        pytest.param({"agent_id": "agt_frontdesk", "to_number": ADA}, 422, "body", id="nothing-to-say"),
        pytest.param({"agent_id": "agt_frontdesk", "to_number": ADA, "media_urls": "x"}, 422, "media_urls", id="media"),
        pytest.param({"agent_id": "agt_frontdesk", "to_number": "911", "body": "Hi"}, 403, "emergency", id="emergency"),
        pytest.param({"agent_id": "agt_orderline", "to_number": ADA, "body": "Hi"}, 400, "no phone", id="no-number"),
        pytest.param({"from_number": ADA, "to_number": ADA, "body": "Hi"}, 404, "not found", id="a-strangers-number"),
    ],
)
async def test_a_bad_text_is_refused(api: httpx.AsyncClient, wanted: dict[str, Any], status: int, message: str) -> None:
    answer = await api.post("/v1/messages", json=wanted)
    assert answer.status_code == status
    assert message in answer.text
    assert (await api.get("/v1/conversations/conv_past01")).json()["messageCount"] == 3


async def test_an_unregistered_us_number_cannot_text(api: httpx.AsyncClient) -> None:
    number = (await api.post("/v1/numbers", json={})).json()
    answer = await api.post("/v1/messages", json={"number_id": number["id"], "to_number": ADA, "body": "Hi"})
    assert answer.status_code == 403
    assert "10DLC" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["messageLimit", "message_limit"])
async def test_a_conversation_shows_its_latest_texts(api: httpx.AsyncClient, name: str) -> None:
    found = (await api.get("/v1/conversations/conv_past01", params={name: 2})).json()
    assert [message["id"] for message in found["messages"]] == ["msg_past02", "msg_past03"]
    assert found["messageCount"] == 3


async def test_metadata_is_replaced_and_cleared(api: httpx.AsyncClient) -> None:
    path = "/v1/conversations/conv_past01"
    assert (await api.patch(path, json={"metadata": {"step": 2}})).json()["metadata"] == {"step": 2}
    assert (await api.patch(path, json={})).json()["metadata"] == {"step": 2}
    assert (await api.patch(path, json={"metadata": None})).json()["metadata"] is None
    assert (await api.patch(path, json={"metadata": "text"})).status_code == 422
