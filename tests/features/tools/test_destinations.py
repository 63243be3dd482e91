"""Restrict whom the tools reach: countries, recipients and quiet hours, for calls, texts and transfers alike."""

from typing import Any

import pytest

from agentphone_mcp.policy.destinations import Destinations, parse_countries, parse_recipients

LONDON, SAM, ADA = "+442079460958", "+14155559999", "+14155550142"
CALL = ("place_call", {"agent_id": "agt_frontdesk", "prompt": "Ask."})
TEXT = ("send_message", {"agent_id": "agt_frontdesk", "body": "Hi"})
BOTH = pytest.mark.parametrize(("tool", "arguments"), [CALL, TEXT], ids=["call", "text"])
TRANSFERS = pytest.mark.parametrize(
    ("tool", "arguments"),
    [("create_agent", {"name": "New"}), ("update_agent", {"agent_id": "agt_frontdesk"})],
    ids=["create", "update"],
)
RULES = pytest.mark.parametrize(
    ("rules", "number", "variable"),
    [
        pytest.param(Destinations(), LONDON, "AGENTPHONE_ALLOWED_COUNTRIES", id="default-countries"),
        pytest.param(Destinations(), "+18765551234", "AGENTPHONE_ALLOWED_COUNTRIES", id="jamaica"),
        pytest.param(
            Destinations(countries=parse_countries("GB")), SAM, "AGENTPHONE_ALLOWED_COUNTRIES", id="other-countries"
        ),
        pytest.param(
            Destinations(recipients=parse_recipients(ADA)), SAM, "AGENTPHONE_ALLOWED_RECIPIENTS", id="recipients"
        ),
    ],
)
NEVER = pytest.mark.parametrize(
    "number",
    ["911", "+1911", "112", "999", "988", "+19005551234", "+449098790000", "+1900-555-1234", "tel:911"],
    ids=["us", "us-with-code", "europe", "britain", "crisis", "premium", "british-premium", "dashes", "as-a-link"],
)


@BOTH
@RULES
async def test_who_may_not_be_reached_is_not(
    assistant, writes, ledger, rules: Destinations, number: str, variable: str, tool: str, arguments: dict[str, Any]
) -> None:
    async with assistant(destinations=rules) as ai:
        assert variable in await ai.refused(tool, **arguments, to_number=number)
        assert ledger() == []
        message = await ai.refused(tool, **arguments, to_number=number, confirm=True)
        assert await ai.refused(tool, **arguments, to_number=number, confirm=True, repeat=True) == message
    assert writes() == []
    assert [(row.tool, row.outcome, row.reason, row.to_number) for row in ledger()] == [
        (tool, "refused", message, number)
    ] * 2


@TRANSFERS
@RULES
async def test_calls_are_transferred_to_nobody_who_may_not_be_called(
    assistant, writes, rules: Destinations, number: str, variable: str, tool: str, arguments: dict[str, Any]
) -> None:
    async with assistant(destinations=rules) as ai:
        assert variable in await ai.refused(tool, **arguments, transfer_number=number)
    assert writes() == []


@NEVER
async def test_emergency_and_premium_numbers_are_refused_everywhere(assistant, writes, number: str) -> None:
    anywhere = Destinations(countries=None)
    async with assistant(destinations=anywhere) as ai:
        for tool, arguments in (CALL, TEXT):
            await ai.refused(tool, **arguments, to_number=number)
            await ai.refused(tool, **arguments, to_number=number, confirm=True)
        await ai.refused("create_agent", name="New", transfer_number=number)
        await ai.refused("update_agent", agent_id="agt_frontdesk", transfer_number=number)
    assert writes() == []


@BOTH
async def test_nobody_is_reached_in_their_quiet_hours(
    assistant, writes, a_clock, quiet_from_one, tool: str, arguments: dict[str, Any]
) -> None:
    """The local time of the callee counts: New York sleeps before California."""
    rules = Destinations(quiet_hours=quiet_from_one, now=a_clock)
    async with assistant(destinations=rules) as ai:
        assert "AGENTPHONE_QUIET_HOURS" in await ai.refused(tool, **arguments, to_number="+12125559999", confirm=True)
        preview = await ai.ask(tool, **arguments, to_number=SAM)
        assert "local time Fri 12:00 (America/Los_Angeles)" in preview["what"]
        a_clock.pass_(minutes=61)
        assert "AGENTPHONE_QUIET_HOURS" in await ai.refused(tool, **arguments, to_number=SAM, confirm=True)
        assert writes() == []
        a_clock.pass_(hours=19)
        assert (await ai.ask(tool, **arguments, to_number=SAM, confirm=True))["status"] == "done"
    assert len(writes()) == 1


@TRANSFERS
async def test_a_transfer_number_can_be_kept_at_any_hour(
    assistant, writes, a_clock, quiet_from_one, tool: str, arguments: dict[str, Any]
) -> None:
    a_clock.pass_(hours=2)
    async with assistant(destinations=Destinations(quiet_hours=quiet_from_one, now=a_clock)) as ai:
        yes = {"confirm": "Front Desk"}
        await ai.ask(tool, **arguments, transfer_number=SAM, **yes if tool == "update_agent" else {})
        await ai.ask("update_agent", agent_id="agt_frontdesk", transfer_number="", **yes)
    assert len(writes()) == 2
