"""Check the usage counts."""

import httpx
import pytest

from tests.sandbox.calling import Place


async def test_the_account_starts_with_a_little_history(api: httpx.AsyncClient) -> None:
    usage = (await api.get("/v1/usage")).json()
    assert usage["plan"]["numberLimit"] == usage["plan"]["limits"]["numbers"] == 10
    assert usage["numbers"] == {"used": 1, "limit": 10, "remaining": 9}
    stats = usage["stats"]
    assert (stats["totalMessages"], stats["totalCalls"], stats["callsLast24h"], stats["callsLast7d"]) == (3, 1, 0, 1)
    assert (stats["messagesLast30d"], stats["callsLast30d"], stats["minutesLast30d"]) == (3, 1, 0.7)
    assert usage["periodStart"] < usage["periodEnd"]


async def test_usage_counts_what_is_done(api: httpx.AsyncClient, call_until_ended: Place) -> None:
    await call_until_ended(toNumber="+14155559999")
    await api.post("/v1/messages", json={"agent_id": "agt_frontdesk", "to_number": "+14155550142", "body": "Hi"})
    stats = (await api.get("/v1/usage")).json()["stats"]
    assert (stats["totalCalls"], stats["callsLast24h"], stats["totalMessages"]) == (2, 1, 4)
    assert stats["minutesLast30d"] > 0.7


@pytest.mark.parametrize(
    ("path", "query", "rows"),
    [
        pytest.param("daily", {}, 7, id="a-week"),
        pytest.param("daily", {"days": 1}, 1, id="today"),
        pytest.param("monthly", {}, 3, id="a-quarter"),
        pytest.param("monthly", {"months": 24}, 24, id="two-years"),
    ],
)
async def test_usage_is_told_by_period(api: httpx.AsyncClient, path: str, query: dict[str, int], rows: int) -> None:
    data = (await api.get(f"/v1/usage/{path}", params=query)).json()["data"]
    periods = [row["date" if path == "daily" else "month"] for row in data]
    assert len(set(periods)) == rows
    assert periods == sorted(periods)


async def test_daily_usage_adds_up(api: httpx.AsyncClient) -> None:
    data = (await api.get("/v1/usage/daily", params={"days": 30})).json()["data"]
    assert (sum(day["calls"] for day in data), sum(day["messages"] for day in data)) == (1, 3)


async def test_usage_is_told_by_number(api: httpx.AsyncClient) -> None:
    (row,) = (await api.get("/v1/usage/by-number")).json()["data"]
    assert (row["numberId"], row["agentName"], row["messages"], row["calls"]) == ("num_frontdesk", "Front Desk", 3, 1)


async def test_usage_of_a_deleted_agent_is_an_orphan(api: httpx.AsyncClient) -> None:
    await api.delete("/v1/agents/agt_frontdesk")
    orders, desk = (await api.get("/v1/usage/by-agent", params={"period": "7d"})).json()["data"]
    assert (orders["agentName"], orders["calls"], orders["isOrphan"]) == ("Order Line", 0, False)
    assert (desk["agentId"], desk["calls"], desk["messages"], desk["totalSeconds"], desk["isOrphan"]) == (
        "agt_frontdesk",
        1,
        3,
        42,
        True,
    )
