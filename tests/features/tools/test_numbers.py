"""Find, buy, list and release numbers."""

from datetime import timedelta

import httpx
import pytest

from agentphone_mcp.policy.limits import Limits


async def test_numbers_are_listed_with_their_agent_and_whether_they_may_text(assistant, rows_of) -> None:
    async with assistant() as ai:
        result = await ai.ask("list_numbers")
    row = rows_of(result)[0]
    assert (row["phone_number"], row["agent_id"], row["outbound_sms"]) == ("+14155550100", "agt_frontdesk", "enabled")
    assert "next_step" not in result


async def test_a_page_of_numbers_says_where_the_next_begins(assistant, sandbox) -> None:
    sandbox.context.account.balance.amount += 100
    async with assistant() as ai:
        await ai.ask("buy_number", confirm=True)
        first = await ai.ask("list_numbers", limit=1)
        second = await ai.ask("list_numbers", limit=1, offset=first["next_offset"])
    assert (first["next_offset"], "next_offset" in second) == (1, False)
    assert first["rows"] != second["rows"]


async def test_an_account_without_numbers_is_told_how_to_get_one(assistant, sandbox) -> None:
    sandbox.context.account.numbers.clear()
    async with assistant() as ai:
        result = await ai.ask("list_numbers")
    assert result["next_step"] == "No phone number yet: find_available_numbers, then buy_number."


@pytest.mark.parametrize(
    ("search", "field", "value"),
    [
        pytest.param({"area_code": "212"}, "area_code", "212", id="area-code"),
        pytest.param({"city": "Austin"}, "city", "Austin", id="city"),
        pytest.param({"state": "WA"}, "state", "WA", id="state"),
        pytest.param({"zip": "94607"}, "city", "Oakland", id="zip"),
        pytest.param({"country": "CA", "city": "Toronto"}, "area_code", "416", id="canada"),
    ],
)
async def test_numbers_on_offer_are_searched_by_place(assistant, rows_of, search, field, value) -> None:
    async with assistant() as ai:
        result = await ai.ask("find_available_numbers", **search)
    assert len(result["rows"]) == 10
    assert {row[field] for row in rows_of(result)} == {value}


async def test_a_place_without_numbers_is_told_to_search_wider(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("find_available_numbers", area_code="999", limit=3)
    assert result["rows"] == []
    assert "another area code" in result["next_step"]


async def test_a_number_is_bought_for_an_agent(assistant, sandbox) -> None:
    wanted = {"area_code": "212", "agent_id": "agt_orderline", "external_id": "crm-7"}
    async with assistant() as ai:
        preview = await ai.ask("buy_number", **wanted)
        done = await ai.ask("buy_number", **wanted, confirm=True)
    assert preview["what"] == (
        "Buy a US phone number with area code 212 for the agent 'Order Line': "
        'about $3.00 per 30 days, charged at once and not refunded. Also: external_id "crm-7".'
    )
    assert done["result"]["phone_number"].startswith("+1212")
    assert (done["result"]["agent_id"], done["result"]["external_id"]) == ("agt_orderline", "crm-7")
    assert "10DLC" in done["next_step"]
    assert "attach_number" not in done["next_step"]
    assert [charge.amount for charge in sandbox.context.account.balance.charges] == [3]


async def test_a_number_bought_for_nobody_is_to_be_attached(assistant) -> None:
    async with assistant() as ai:
        assert "attach_number" in (await ai.ask("buy_number", confirm=True))["next_step"]


async def test_a_number_can_be_bought_for_a_while(assistant, sandbox) -> None:
    until = sandbox.context.clock.now() + timedelta(days=1)
    async with assistant() as ai:
        done = await ai.ask("buy_number", country="CA", expires_at=until.isoformat(), confirm=True)
    assert (done["result"]["country"], done["result"]["outbound_sms"]) == ("CA", "enabled")
    assert done["result"]["expires_at"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_purchase_without_inventory_names_other_area_codes(assistant) -> None:
    async with assistant() as ai:
        message = await ai.refused("buy_number", area_code="999", confirm=True)
    assert "409 NO_INVENTORY" in message
    assert "Try one of: 415" in message
    assert "Nothing was done" in message


async def test_the_number_limit_is_explained(assistant, sandbox) -> None:
    sandbox.context.account.balance.amount += 100
    async with assistant(limits=Limits.parse("numbers=off,spend=off")) as ai:
        for _ in range(9):
            await ai.ask("buy_number", confirm=True, repeat=True)
        assert "VALIDATION_ERROR_NUMBER_LIMIT" in await ai.refused("buy_number", confirm=True, repeat=True)


async def test_an_unknown_agent_stops_a_purchase_at_the_preview(assistant, writes) -> None:
    async with assistant() as ai:
        message = await ai.refused("buy_number", agent_id="agt_nobody", confirm=True)
    assert "list_agents gives a valid agent_id" in message
    assert writes() == []


@pytest.mark.parametrize(
    "written",
    ["+14155550100", "(415) 555-0100", "415.555.0100", " +1 415 555 0100 "],
    ids=["e164", "parentheses", "dots", "spaces"],
)
async def test_a_number_is_released_by_naming_it(assistant, sandbox, written) -> None:
    async with assistant() as ai:
        preview = await ai.ask("release_number", number_id="num_frontdesk")
        assert "Release +14155550100" in preview["what"]
        assert "cannot be reclaimed" in preview["what"]
        done = await ai.ask("release_number", number_id="num_frontdesk", confirm=written)
    assert (done["result"]["phone_number"], done["result"]["status"]) == ("+14155550100", "released")
    assert sandbox.context.account.numbers == {}


async def test_a_number_is_found_where_the_api_cannot_show_a_single_one(assistant, answering) -> None:
    pages = [
        {"data": [{"id": f"num_{n}", "phoneNumber": f"+1415555{n:04}"} for n in range(100)], "hasMore": True},
        {"data": [{"id": "num_last", "phoneNumber": "+14155559999"}], "hasMore": False},
    ]

    def answer(request):
        if request.url.path != "/v1/numbers":
            return httpx.Response(405, json={"detail": "Method Not Allowed"})
        return httpx.Response(200, json=pages[int(request.url.params["offset"]) // 100])

    async with assistant(answering(answer)) as ai:
        assert "+14155559999" in (await ai.ask("release_number", number_id="num_last"))["what"]
        assert "list_numbers gives a valid number_id" in await ai.refused("release_number", number_id="num_none")


async def test_a_search_never_advises_an_argument_it_does_not_take(assistant, answering) -> None:
    """Numbers on offer have no pages; a higher limit or a narrower search shows more."""
    offered = {"data": [{"phoneNumber": "+12125550123"}], "hasMore": True, "total": 50}
    async with assistant(answering(offered)) as ai:
        result = await ai.ask("find_available_numbers", limit=1)
    assert "next_offset" not in result
