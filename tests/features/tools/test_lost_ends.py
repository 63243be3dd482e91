"""Settle a deletion whose answer was lost: it is done if the object is gone, and failed if it is there."""

import pytest

from agentphone_mcp.sandbox import Fault

DESTROYING = {
    "release_number": ({"number_id": "num_frontdesk", "confirm": "+14155550100"}, "/v1/numbers/num_frontdesk"),
    "delete_agent": ({"agent_id": "agt_frontdesk", "confirm": "Front Desk"}, "/v1/agents/agt_frontdesk"),
    "delete_contact": ({"contact_id": "con_ada", "confirm": "+14155550142"}, "/v1/contacts/con_ada"),
    "delete_webhook": ({"confirm": "https://example.com/hook"}, "/v1/webhooks"),
}


@pytest.mark.parametrize("tool", DESTROYING)
@pytest.mark.parametrize(("drop", "outcome"), [("after", "done"), ("before", "failed")])
async def test_a_lost_end_is_settled_at_the_next_start(
    assistant, sandbox, ledger, eventually, tool: str, drop: str, outcome: str
) -> None:
    arguments, path = DESTROYING[tool]
    async with assistant() as ai:
        await ai.ask("set_webhook", url="https://example.com/hook")
        sandbox.faults.rules.append(Fault("DELETE", path, drop=drop))
        assert (await ai.ask(tool, **arguments))["status"] == "unknown"
    async with assistant():
        await eventually(lambda: ledger()[-1].outcome == outcome)


@pytest.mark.parametrize("tool", DESTROYING)
async def test_what_was_not_destroyed_can_be_destroyed_at_once(assistant, sandbox, writes, ledger, tool: str) -> None:
    arguments, path = DESTROYING[tool]
    async with assistant() as ai:
        await ai.ask("set_webhook", url="https://example.com/hook")
        sandbox.requests.clear()
        sandbox.faults.rules.append(Fault("DELETE", path, drop="before"))
        await ai.ask(tool, **arguments)
        assert (await ai.ask(tool, **arguments))["status"] == "done"
    assert writes() == [f"DELETE {path}"] * 2
    assert [row.outcome for row in ledger() if row.tool == tool] == ["failed", "done"]


@pytest.mark.parametrize("url", ["https://example.org/hook", "https://example.com/hook"], ids=["another", "the-same"])
@pytest.mark.parametrize(("drop", "outcome"), [("after", "done"), ("before", "failed")])
async def test_a_lost_replacement_of_a_webhook_is_settled_at_the_next_start(
    assistant, sandbox, ledger, eventually, url: str, drop: str, outcome: str
) -> None:
    async with assistant() as ai:
        await ai.ask("set_webhook", url="https://example.com/hook")
        sandbox.faults.rules.append(Fault("POST", "/v1/webhooks", drop=drop))
        assert (await ai.ask("set_webhook", url=url, confirm="https://example.com/hook"))["status"] == "unknown"
    async with assistant():
        await eventually(lambda: ledger()[-1].outcome == outcome)
