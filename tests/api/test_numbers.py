"""Tests of `/v1/numbers`: what is sent, and every shape that is read."""

from typing import Any

import httpx
import pytest

from agentphone_mcp.api.errors import Forbidden, NotFound
from tests.api.conftest import PAGE, Api, Ask, Read, Sent, SentBy, sends

SEEDS = {
    "id": "pn_xyz789",
    "phoneNumber": "+14155551234",
    "country": "US",
    "status": "active",
    "agentId": "agent_abc123",
    "createdAt": "2025-01-15T10:31:00.000Z",
}


@pytest.mark.parametrize(
    ("ask", "documented"),
    [
        sends(lambda api: api.numbers.list(), "GET /v1/numbers", query=PAGE, id="list"),
        sends(lambda api: api.numbers.get("pn_1"), "GET /v1/numbers/pn_1", id="get"),
        sends(lambda api: api.numbers.available(), "GET /v1/numbers/available", id="available"),
        sends(
            lambda api: api.numbers.available(
                area_code="415", city="San José", state="CA", zip="94105", country="US", limit=5
            ),
            "GET /v1/numbers/available",
            query={"areaCode": "415", "city": "San José", "state": "CA", "zip": "94105", "country": "US", "limit": "5"},
            id="available-searched",
        ),
        sends(lambda api: api.numbers.buy("US"), "POST /v1/numbers", {"country": "US"}, id="buy-any"),
        sends(
            lambda api: api.numbers.buy(
                "US", area_code="415", agent_id="agent_abc123", expires_at="2025-02-01T00:00:00Z", external_id="crm-7"
            ),
            "POST /v1/numbers",
            {
                "country": "US",
                "areaCode": "415",
                "agentId": "agent_abc123",
                "expiresAt": "2025-02-01T00:00:00Z",
                "externalId": "crm-7",
            },
            id="buy",
        ),
        sends(lambda api: api.numbers.release("pn_1"), "DELETE /v1/numbers/pn_1", id="release"),
    ],
)
async def test_each_method_sends_what_the_api_documents(sent_by: SentBy, ask: Ask, documented: Sent) -> None:
    assert await sent_by(ask) == documented


async def test_the_seeds_number_is_read(read: Read) -> None:
    number = await read(SEEDS, lambda api: api.numbers.buy("US", area_code="415"), status=201)
    assert (number.id, number.phone_number, number.country, number.status, number.agent_id) == (
        "pn_xyz789",
        "+14155551234",
        "US",
        "active",
        "agent_abc123",
    )
    assert number.created_at == "2025-01-15T10:31:00Z"
    assert number.outbound_sms is None


async def test_the_seeds_list_of_numbers_is_read(read: Read) -> None:
    """Its rows have no creation time, and the page does not say whether there is more."""
    row = {name: value for name, value in SEEDS.items() if name != "createdAt"}
    page = await read({"data": [row], "total": 1}, lambda api: api.numbers.list())
    assert (page.data[0].id, page.data[0].created_at, page.total, page.has_more) == ("pn_xyz789", None, 1, None)


@pytest.mark.parametrize(
    ("payload", "agent_id", "outbound_sms"),
    [
        pytest.param({"agentId": None, "type": "local", "outboundSms": "activating"}, None, "activating", id="newer"),
        pytest.param({}, None, None, id="gaps"),
        pytest.param({"agentId": "a_1", "outboundSms": "by-pigeon", "fax": {}}, "a_1", "by-pigeon", id="novelties"),
        pytest.param({"agent_id": "a_1", "outbound_sms": "enabled"}, "a_1", "enabled", id="snake-case"),
    ],
)
async def test_a_newer_number_is_read(read: Read, payload: Any, agent_id: str | None, outbound_sms: str | None) -> None:
    number = await read({"id": "pn_1", "phoneNumber": "+14155551234", **payload}, lambda api: api.numbers.get("pn_1"))
    assert (number.agent_id, number.outbound_sms) == (agent_id, outbound_sms)


async def test_numbers_on_offer_are_read(read: Read) -> None:
    rows = [
        {
            "phoneNumber": "+14155551234",
            "city": "San Francisco",
            "state": "CA",
            "rateCenter": "SNFC",
            "areaCode": "415",
        },
        {"phoneNumber": "+14155551235", "city": None, "areaCode": 415},
    ]
    first, second = (await read({"data": rows}, lambda api: api.numbers.available())).data
    assert (first.phone_number, first.city, first.rate_center, first.area_code) == (
        "+14155551234",
        "San Francisco",
        "SNFC",
        "415",
    )
    assert (second.city, second.area_code) == (None, "415")


@pytest.mark.parametrize(
    ("payload", "phone_number"),
    [
        pytest.param({"success": True}, None, id="success"),
        pytest.param(
            {"success": True, "phoneNumber": "+14155551234", "status": "released"}, "+14155551234", id="newer"
        ),
    ],
)
async def test_a_released_number_is_read(read: Read, payload: Any, phone_number: str | None) -> None:
    released = await read(payload, lambda api: api.numbers.release("pn_1"))
    assert (released.success, released.phone_number) == (True, phone_number)


def numbered(*ids: str) -> list[dict[str, str]]:
    """Make rows of the list."""
    return [{"id": each, "phoneNumber": "+14155551234"} for each in ids]


def without_single_numbers(rows: list[dict[str, str]], status: int, *, tells: str) -> Any:
    """Imitate an older API: single numbers get `status`, and the list comes in pages.

    `tells` says how a page shows that there is more: by `hasMore`, or by `total` alone.
    """

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/numbers":
            return httpx.Response(status, json={"detail": "Not Found"})
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        page: dict[str, Any] = {"data": rows[offset : offset + limit]}
        page |= {"hasMore": offset + limit < len(rows)} if tells == "hasMore" else {"total": len(rows)}
        return httpx.Response(200, json=page)

    return answer


@pytest.mark.parametrize("status", [404, 405], ids=["not-found", "method-not-allowed"])
async def test_a_number_is_found_in_the_list_where_the_api_has_no_single_ones(
    answering: Any, api_over: Api, status: int
) -> None:
    """`GET /v1/numbers/{id}` is newer than the list."""
    network = answering(without_single_numbers(numbered("pn_1", "pn_2"), status, tells="hasMore"))
    async with api_over(network) as api:
        assert (await api.numbers.get("pn_2")).id == "pn_2"
    assert [request.url.path for request in network.requests] == ["/v1/numbers/pn_2", "/v1/numbers"]


@pytest.mark.parametrize("tells", [pytest.param("hasMore", id="has-more"), pytest.param("total", id="total")])
async def test_a_number_on_a_later_page_is_found(read: Read, tells: str) -> None:
    answer = without_single_numbers(numbered(*(f"pn_{index}" for index in range(250))), 404, tells=tells)
    assert (await read(answer, lambda api: api.numbers.get("pn_249"))).id == "pn_249"


async def test_a_number_that_is_in_no_list_is_not_found(read: Read) -> None:
    answer = without_single_numbers(numbered("pn_1"), 405, tells="hasMore")
    with pytest.raises(NotFound) as missing:
        await read(answer, lambda api: api.numbers.get("pn_2"))
    assert missing.value.status == 404
    assert missing.value.request.ids == {"number_id": "pn_2"}


async def test_a_list_that_never_ends_is_left(read: Read) -> None:
    """An API that ignores the offset returns its first page every time."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        assert len(asked) < 20, "it goes on for ever"
        if request.url.path != "/v1/numbers":
            return httpx.Response(404)
        return httpx.Response(200, json={"data": numbered("pn_1"), "total": 1, "hasMore": True})

    with pytest.raises(NotFound):
        await read(answer, lambda api: api.numbers.get("pn_2"))


async def test_a_refusal_is_not_taken_for_an_older_api(answering: Any, api_over: Api) -> None:
    network = answering({"detail": "no"}, 403)
    async with api_over(network) as api:
        with pytest.raises(Forbidden):
            await api.numbers.get("pn_1")
    assert len(network.requests) == 1
