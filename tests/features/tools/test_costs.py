"""Reserve the price of five minutes for a call, and release what it did not need."""

import pytest

from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.pricing import PriceList, cost_of_seconds

CALL = {"agent_id": "agt_frontdesk", "confirm": True}
SAM, BUSY = "+14155559999", "+14155550101"


@pytest.fixture
def over(sandbox, eventually):
    """Wait until every call of the account is over."""

    async def over() -> None:
        calls = sandbox.context.account.calls.values()
        await eventually(lambda: all(call.ended_at for call in calls))

    return over


@pytest.mark.parametrize(
    ("agent", "rates", "estimate"),
    [
        pytest.param({}, "", 1_100_000, id="hosted"),
        pytest.param({"voiceMode": "webhook"}, "", 650_000, id="webhook"),
        pytest.param({"denoisingMode": "noise-and-background-speech-cancellation"}, "", 1_125_000, id="denoised"),
        pytest.param({}, "hosted_minute=0.50", 2_500_000, id="other-rates"),
    ],
)
async def test_a_call_reserves_five_minutes_by_its_rate(assistant, sandbox, ledger, agent, rates, estimate) -> None:
    sandbox.context.account.agents["agt_frontdesk"].settings.update(agent)
    async with assistant(prices=PriceList.parse(rates)) as ai:
        await ai.ask("set_webhook", url="https://example.com/hook")
        await ai.ask("place_call", **CALL, to_number=SAM)
    [row] = [row for row in ledger() if row.tool == "place_call"]
    assert (row.cost, row.minute_cost) == (estimate, estimate // 5)


async def test_the_limit_on_money_frees_what_a_call_did_not_need(assistant, sandbox, ledger, over) -> None:
    async with assistant(limits=Limits.parse("spend=1.50/day")) as ai:
        first = (await ai.ask("place_call", **CALL, to_number=SAM))["result"]["id"]
        await over()
        assert (await ai.ask("place_call", **CALL, to_number="+14155559998"))["status"] == "done"
    seconds = sandbox.context.account.calls[first].seconds
    assert seconds > 0
    row = ledger()[0]
    assert (row.cost, row.minute_cost) == (cost_of_seconds(220_000, seconds), None)


async def test_while_a_call_goes_on_its_estimate_counts(assistant, sandbox, writes) -> None:
    async with assistant(limits=Limits.parse("spend=1.50/day")) as ai:
        await ai.ask("place_call", **CALL, to_number="+14155550109")
        refused = await ai.refused("place_call", **CALL, to_number=SAM)
    assert "the limit spend=$1.50/day is reached" in refused
    assert "about $1.10 so far" in refused
    assert "AGENTPHONE_LIMITS" in refused
    assert len(writes()) == 1


async def test_a_call_nobody_answered_cost_nothing(assistant, ledger, over, eventually) -> None:
    async with assistant() as ai:
        await ai.ask("place_call", **CALL, to_number=BUSY)
        await over()
    async with assistant():
        await eventually(lambda: ledger()[0].minute_cost is None)
    assert ledger()[0].cost == 0


async def test_a_number_and_a_text_cost_what_the_rates_say(assistant, ledger) -> None:
    async with assistant(prices=PriceList.parse("number_per_30_days=2,text=0.05")) as ai:
        preview = await ai.ask("buy_number", area_code="212")
        await ai.ask("buy_number", area_code="212", confirm=True)
        await ai.ask("send_message", agent_id="agt_frontdesk", to_number=SAM, body="x" * 161, confirm=True)
    assert "about $2.00" in preview["what"]
    assert [(row.cost, row.minute_cost) for row in ledger()] == [(2_000_000, None), (100_000, None)]
