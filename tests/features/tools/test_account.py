"""Show the account at a glance, and what it used."""

from datetime import datetime, timedelta
from decimal import Decimal

import httpx
import pytest


async def test_an_overview_shows_agents_numbers_webhook_and_usage(assistant, rows_of) -> None:
    async with assistant() as ai:
        seen = await ai.ask("account_overview")
    assert [agent["name"] for agent in seen["agents"]["data"]] == ["Front Desk", "Order Line"]
    assert [number["phone_number"] for number in rows_of(seen["numbers"])] == ["+14155550100"]
    assert seen["webhook"]["is_set"] is False
    assert seen["usage"] == {
        "plan": "free",
        "limits": {"numbers": 10},
        "numbers_used": 1,
        "messages": {"30d": 3},
        "calls": {"30d": 1},
        "minutes_30d": 0.7,
    }
    assert "next_step" not in seen


async def test_an_overview_says_of_each_agent_which_numbers_it_has(assistant, answering, rows_of) -> None:
    """The model need not look up among the numbers which agent can call."""
    held = [{"id": "num_1", "phoneNumber": "+14155550100", "agentId": "agt_1", "status": "active"}]
    answers = {
        "/v1/agents": {"data": [{"id": "agt_1", "numbers": held}, {"id": "agt_2", "numbers": []}]},
        "/v1/numbers": {"data": held},
        "/v1/webhooks": None,
        "/v1/usage": {},
    }
    async with assistant(answering(lambda request: httpx.Response(200, json=answers[request.url.path]))) as ai:
        seen = await ai.ask("account_overview")
    assert rows_of(seen["numbers"]) == [{"id": "num_1", "phone_number": "+14155550100", "agent_id": "agt_1"}]
    assert seen["agents"]["data"] == [{"id": "agt_1", "numbers": ["+14155550100"]}, {"id": "agt_2"}]


async def test_an_overview_hides_the_webhooks_secret(assistant, sandbox) -> None:
    """Its last four characters are enough to tell two secrets apart."""
    async with assistant() as ai:
        await ai.ask("set_webhook", url="https://example.com/hook")
        seen = await ai.ask("account_overview")
    secret = sandbox.context.account.webhook.secret
    assert seen["webhook"]["secret_ends_in"] == secret[-4:]
    assert secret not in str(seen)


async def test_an_overview_of_an_account_without_agents_says_how_to_begin(assistant, sandbox) -> None:
    sandbox.context.account.agents.clear()
    async with assistant() as ai:
        assert "create_agent" in (await ai.ask("account_overview"))["next_step"]


async def test_an_overview_of_an_account_without_numbers_says_how_to_get_one(assistant, sandbox) -> None:
    sandbox.context.account.numbers.clear()
    async with assistant() as ai:
        assert "buy_number" in (await ai.ask("account_overview"))["next_step"]


async def test_an_overview_says_how_to_see_the_agents_it_left_out(assistant, sandbox) -> None:
    async with assistant() as ai:
        for number in range(21):
            await ai.ask("create_agent", name=f"Agent {number}")
        seen = await ai.ask("account_overview")
    assert (len(seen["agents"]["data"]), seen["agents"]["next_offset"]) == (20, 20)


async def test_the_usage_summary_counts_activity(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("get_usage")
    assert result.pop("limits") == {
        "numbers": 10,
        "messages_per_month": 1000,
        "voice_minutes_per_month": 500,
        "max_call_minutes": 30,
        "concurrent_calls": 5,
    }
    assert result == {
        "plan": "free",
        "numbers_used": 1,
        "messages": {"24h": 3, "7d": 3, "30d": 3, "all": 3},
        "calls": {"24h": 0, "7d": 1, "30d": 1, "all": 1},
        "minutes_30d": 0.7,
    }


async def test_deliveries_are_counted_where_there_were_any(assistant, answering) -> None:
    stats = {"totalWebhookDeliveries": 7, "failedWebhookDeliveries": 0}
    async with assistant(answering({"stats": stats})) as ai:
        some = await ai.ask("get_usage")
    async with assistant(answering({"stats": stats | {"totalWebhookDeliveries": 0}})) as ai:
        none = await ai.ask("get_usage")
    assert some == {"webhook_deliveries": 7, "failed_webhook_deliveries": 0}
    assert none == {}


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        pytest.param({"period": "daily"}, 7, id="a-week-of-days"),
        pytest.param({"period": "daily", "days": 365}, 365, id="a-year-of-days"),
        pytest.param({"period": "monthly"}, 3, id="three-months"),
        pytest.param({"period": "monthly", "months": 24}, 24, id="two-years"),
        pytest.param({"period": "by_number"}, 1, id="each-number"),
        pytest.param({"period": "by_agent"}, 2, id="each-agent"),
    ],
)
async def test_usage_comes_in_rows_by_period(assistant, arguments, rows) -> None:
    async with assistant() as ai:
        result = await ai.ask("get_usage", **arguments)
    assert len(result["rows"]) == rows
    assert result.keys() - {"since", "until"} == {"columns", "rows"}


async def test_usage_by_agent_says_from_when_to_when_it_counts(assistant) -> None:
    """An agent's row counts 30 days; rows of days and months carry their own dates."""
    async with assistant() as ai:
        result = await ai.ask("get_usage", period="by_agent")
        days = await ai.ask("get_usage", period="daily")
    since, until = (datetime.fromisoformat(result[name]) for name in ("since", "until"))
    assert until - since == timedelta(days=30)
    assert "since" not in days


async def test_usage_by_agent_names_the_agent_and_its_seconds(assistant, rows_of) -> None:
    async with assistant() as ai:
        row = rows_of(await ai.ask("get_usage", period="by_agent"))[0]
    assert (row["agent_name"], row["calls"], row["seconds"]) == ("Front Desk", 1, 42)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"period": "yearly"}, id="unknown-period"),
        pytest.param({"period": "daily", "days": 0}, id="no-days"),
        pytest.param({"period": "daily", "days": 366}, id="too-many-days"),
        pytest.param({"period": "monthly", "months": 25}, id="too-many-months"),
    ],
)
async def test_an_impossible_period_is_refused_before_any_request(assistant, sandbox, arguments) -> None:
    async with assistant() as ai:
        assert "get_usage was not run" in await ai.refused("get_usage", **arguments)
    assert sandbox.requests == []


async def test_an_empty_balance_is_explained_with_the_remedy(assistant, sandbox) -> None:
    sandbox.context.account.balance.amount = Decimal(0)
    async with assistant() as ai:
        message = await ai.refused("buy_number", confirm=True)
    assert "402 INSUFFICIENT_BALANCE" in message
    assert "top up" in message
