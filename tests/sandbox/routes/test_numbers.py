"""Check phone numbers and what they cost."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.data.callees import CALLEES
from agentphone_mcp.sandbox.data.seed import ADA_NUMBER, FRONT_DESK_NUMBER


async def test_buying_a_number_costs_three_dollars(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    answer = await api.post("/v1/numbers", json={"areaCode": "212", "agentId": "agt_orderline", "externalId": "crm-7"})
    number = answer.json()
    assert answer.status_code == 201
    assert (number["phoneNumber"][:5], number["agentId"], number["externalId"]) == ("+1212", "agt_orderline", "crm-7")
    assert (number["country"], number["status"], number["outboundSms"]) == ("US", "active", "registration_required")
    assert sandbox.context.account.balance.amount == Decimal("2.00")
    assert (await api.get(f"/v1/numbers/{number['id']}")).json() == number


async def test_a_canadian_number_may_send_texts_at_once(api: httpx.AsyncClient) -> None:
    number = (await api.post("/v1/numbers", json={"country": "CA"})).json()
    assert (number["country"], number["outboundSms"]) == ("CA", "enabled")


async def test_a_second_number_is_refused_when_the_balance_is_short(api: httpx.AsyncClient) -> None:
    assert (await api.post("/v1/numbers", json={})).status_code == 201
    answer = await api.post("/v1/numbers", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "INSUFFICIENT_BALANCE")
    assert "$2.00" in answer.json()["detail"]
    assert (await api.get("/v1/numbers")).json()["total"] == 2


async def test_an_eleventh_number_is_refused(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.context.account.balance.amount = Decimal(100)
    bought = [await api.post("/v1/numbers", json={}) for _ in range(10)]
    assert [answer.status_code for answer in bought] == [201] * 9 + [409]
    assert bought[-1].json()["error"]["code"] == "VALIDATION_ERROR_NUMBER_LIMIT"
    assert len({number["phoneNumber"] for number in (await api.get("/v1/numbers")).json()["data"]}) == 10


async def test_an_area_code_without_inventory_names_others(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    answer = await api.post("/v1/numbers", json={"areaCode": "999"})
    assert answer.status_code == 409
    assert "999" in answer.json()["detail"]
    assert "415" in answer.json()["detail"]
    assert sandbox.context.account.balance.amount == Decimal("5.00")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"country": "DE"}, "country", id="another-country"),
        pytest.param({"areaCode": "41"}, "areaCode", id="two-digits"),
        pytest.param({"areaCode": 415}, "areaCode", id="no-string"),
        pytest.param({"expiresAt": "soon"}, "expiresAt", id="no-time"),
        pytest.param({"expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt", id="past"),
        pytest.param({"expiresAt": "9999-12-31T23:59:59-12:00"}, "expiresAt", id="beyond-time"),
    ],
)
async def test_a_bad_purchase_is_refused_by_field(api: httpx.AsyncClient, body: dict[str, object], field: str) -> None:
    answer = await api.post("/v1/numbers", json=body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field])


async def test_an_unknown_agent_buys_nothing(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    assert (await api.post("/v1/numbers", json={"agentId": "agt_no"})).status_code == 404
    assert sandbox.context.account.balance.amount == Decimal("5.00")


async def test_a_released_number_is_gone_but_its_history_stays(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    answer = (await api.delete("/v1/numbers/num_frontdesk")).json()
    assert answer["phoneNumber"] == "+14155550100"
    assert (await api.get("/v1/numbers/num_frontdesk")).status_code == 404
    assert (await api.delete("/v1/numbers/num_frontdesk")).status_code == 404
    assert (await api.get("/v1/agents/agt_frontdesk")).json()["numbers"] == []
    assert (await api.get("/v1/calls/call_past01")).json()["phoneNumberId"] == "num_frontdesk"
    assert (await api.get("/v1/conversations/conv_past01")).json()["messageCount"] == 3
    assert sandbox.context.account.balance.amount == Decimal("5.00")


async def test_a_released_number_cannot_be_bought_back(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.context.account.balance.amount = Decimal(100)
    first = (await api.post("/v1/numbers", json={"areaCode": "212"})).json()
    await api.delete(f"/v1/numbers/{first['id']}")
    second = (await api.post("/v1/numbers", json={"areaCode": "212"})).json()
    assert second["phoneNumber"] != first["phoneNumber"]


async def test_a_number_with_an_end_releases_itself(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    clock = sandbox.context.clock
    number = (await api.post("/v1/numbers", json={"expiresAt": (clock.now() + timedelta(hours=1)).isoformat()})).json()
    assert (await api.get(f"/v1/numbers/{number['id']}")).status_code == 200
    sandbox.context.account.numbers[number["id"]].expires_at = clock.now()
    assert (await api.get(f"/v1/numbers/{number['id']}")).status_code == 404
    assert (await api.get("/v1/numbers")).json()["total"] == 1


@pytest.mark.parametrize(
    ("query", "city"),
    [
        pytest.param({"areaCode": "206"}, "Seattle", id="area-code"),
        pytest.param({"city": "seatt"}, "Seattle", id="city"),
        pytest.param({"state": "wa"}, "Seattle", id="state"),
        pytest.param({"zip": "98101"}, "Seattle", id="zip"),
        pytest.param({"country": "CA"}, "Toronto", id="country"),
    ],
)
async def test_available_numbers_fit_the_search(api: httpx.AsyncClient, query: dict[str, str], city: str) -> None:
    found = (await api.get("/v1/numbers/available", params={**query, "limit": "3"})).json()["data"]
    assert [row["city"] for row in found] == [city] * 3
    assert found == (await api.get("/v1/numbers/available", params={**query, "limit": "3"})).json()["data"]


async def test_nobodys_number_is_on_offer(api: httpx.AsyncClient) -> None:
    await api.delete("/v1/numbers/num_frontdesk")
    found = (await api.get("/v1/numbers/available", params={"areaCode": "415", "limit": 100})).json()["data"]
    offered = {row["phoneNumber"] for row in found}
    assert offered
    assert offered & {*CALLEES, ADA_NUMBER, FRONT_DESK_NUMBER} == set()
    bought = (await api.post("/v1/numbers", json={"areaCode": "415"})).json()["phoneNumber"]
    assert bought in offered


async def test_a_number_in_use_is_not_on_offer(api: httpx.AsyncClient) -> None:
    number = (await api.post("/v1/numbers", json={"areaCode": "415"})).json()
    found = (await api.get("/v1/numbers/available", params={"areaCode": "415", "limit": 100})).json()["data"]
    assert number["phoneNumber"] not in [row["phoneNumber"] for row in found]
    assert (await api.get("/v1/numbers/available", params={"areaCode": "999"})).json() == {"data": []}


async def test_a_numbers_texts_are_listed_newest_first(api: httpx.AsyncClient) -> None:
    found = (await api.get("/v1/numbers/num_frontdesk/messages")).json()
    assert [message["id"] for message in found["data"]] == ["msg_past03", "msg_past02", "msg_past01"]
    last = found["data"][0]
    assert (last["from"], last["from_"], last["fromNumber"]) == ("+14155550142",) * 3
    assert (last["to"], last["toNumber"], last["status"]) == ("+14155550100", "+14155550100", "received")


async def test_texts_can_be_narrowed_to_a_time(api: httpx.AsyncClient) -> None:
    path = "/v1/numbers/num_frontdesk/messages"
    middle = (await api.get(path)).json()["data"][1]
    before = (await api.get(path, params={"before": middle["receivedAt"]})).json()["data"]
    after = (await api.get(path, params={"after": datetime.now(UTC).isoformat()})).json()["data"]
    assert [message["id"] for message in before] == ["msg_past01"]
    assert after == []


async def test_a_numbers_calls_are_listed(api: httpx.AsyncClient) -> None:
    found = (await api.get("/v1/numbers/num_frontdesk/calls")).json()
    assert [call["id"] for call in found["data"]] == ["call_past01"]


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        pytest.param("/v1/numbers", {"limit": 0}, 422, id="limit-zero"),
        pytest.param("/v1/numbers", {"limit": 101}, 422, id="limit-over"),
        pytest.param("/v1/numbers", {"limit": "ten"}, 422, id="limit-in-words"),
        pytest.param("/v1/numbers", {"offset": -1}, 422, id="offset-negative"),
        pytest.param("/v1/numbers", {"limit": 100, "offset": 7}, 200, id="past-the-end"),
        pytest.param("/v1/numbers/num_frontdesk/messages", {"limit": 200}, 200, id="messages-most"),
        pytest.param("/v1/numbers/num_frontdesk/messages", {"limit": 201}, 422, id="messages-over"),
        pytest.param("/v1/conversations/conv_past01", {"messageLimit": 101}, 422, id="message-limit-over"),
        pytest.param("/v1/usage/daily", {"days": 366}, 422, id="days-over"),
        pytest.param("/v1/usage/monthly", {"months": 0}, 422, id="months-zero"),
    ],
)
async def test_limits_of_lists_are_kept(api: httpx.AsyncClient, path: str, query: dict[str, str], status: int) -> None:
    assert (await api.get(path, params=query)).status_code == status


async def test_pages_say_whether_there_is_more(api: httpx.AsyncClient) -> None:
    path = "/v1/numbers/num_frontdesk/messages"
    pages = [(await api.get(path, params={"limit": 2, "offset": offset})).json() for offset in (0, 2)]
    assert [(len(page["data"]), page["total"], page["hasMore"]) for page in pages] == [(2, 3, True), (1, 3, False)]
