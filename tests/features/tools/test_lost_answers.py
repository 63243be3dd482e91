"""Find an action again whose answer was lost, and never do it twice, whatever is asked for next."""

from decimal import Decimal
from typing import Any

import anyio
import pytest

from agentphone_mcp.sandbox import Fault
from agentphone_mcp.sandbox.data.models import Account

BUY = {"area_code": "212", "confirm": True}
CALL = {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "prompt": "Confirm the visit.", "confirm": True}
TEXT = {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "body": "See you.", "confirm": True}
WEB = {"agent_id": "agt_frontdesk", "confirm": True}
SPENDING = {
    "buy_number": (BUY, "POST", "/v1/numbers", BUY | {"area_code": "415"}),
    "place_call": (CALL, "POST", "/v1/calls", CALL | {"prompt": "Something else."}),
    "send_message": (TEXT, "POST", "/v1/messages", TEXT | {"body": "See you soon."}),
    "create_web_call": (WEB, "POST", "/v1/calls/web", WEB | {"metadata": {"from": "the site"}}),
}
EACH = pytest.mark.parametrize("tool", SPENDING)
# A web call's token works once and is not replayed.
EACH_REPLAYED = pytest.mark.parametrize("tool", ["buy_number", "place_call", "send_message"])


@pytest.fixture
def lose(sandbox):
    """Let the answer to the next write of a tool be lost, before or after it is done."""

    def lose(tool: str, drop: str = "after", **also: Any) -> None:
        _, method, path, _ = SPENDING[tool]
        sandbox.faults.rules.append(Fault(method, path, **{"drop": drop} | also))

    return lose


@pytest.fixture
def blind(sandbox):
    """Let the API answer no reads of a path for now, so that look-ups fail."""

    def blind(path: str) -> Fault:
        fault = Fault("GET", path, status=500, times=None)
        sandbox.faults.rules.append(fault)
        return fault

    return blind


def things(account: Account) -> int:
    """Count numbers, calls and texts."""
    texts = sum(len(conversation.messages) for conversation in account.conversations.values())
    return len(account.numbers) + len(account.calls) + texts


@EACH
async def test_a_lost_answer_is_reported_and_then_found(assistant, sandbox, writes, lose, ledger, tool: str) -> None:
    arguments, method, path, _ = SPENDING[tool]
    before = things(sandbox.context.account)
    lose(tool)
    async with assistant() as ai:
        assert (await ai.ask(tool, **arguments))["status"] == "unknown"
        assert [row.outcome for row in ledger()] == ["unknown"]
        result = await ai.ask(tool, **arguments)
    assert writes() == [f"{method} {path}"]
    assert things(sandbox.context.account) == before + 1
    assert (result["status"], result["replayed"]) == ("done", True)
    [row] = ledger()
    assert row.outcome == "done"
    made = (row.ids or {})["id"]
    account = sandbox.context.account
    texts = {text.id for conversation in account.conversations.values() for text in conversation.messages}
    assert made in account.numbers or made in account.calls or made in texts


@EACH
async def test_wording_it_anew_does_it_no_second_time(assistant, writes, lose, tool: str) -> None:
    """Another text, goal or area code would reach the same person twice."""
    arguments, _, _, otherwise = SPENDING[tool]
    lose(tool)
    async with assistant() as ai:
        await ai.ask(tool, **arguments)
        messages = [await ai.refused(tool, **otherwise) for _ in range(2)]
    assert len(writes()) == 1
    for message in messages:
        assert "Nothing was done now: something like it was done" in message
        assert "though its answer was lost" in message
        assert "add repeat=true" in message


@EACH
@pytest.mark.parametrize("drop", ["after", "before"])
async def test_while_it_cannot_be_told_it_is_not_done_again(
    assistant, sandbox, writes, lose, blind, ledger, tool: str, drop: str
) -> None:
    arguments, _, _, otherwise = SPENDING[tool]
    lose(tool, drop)
    blind("/v1/calls")
    blind("/v1/numbers")
    blind("/v1/numbers/*/messages")
    sandbox.context.account.balance.amount = Decimal(1_000)
    async with assistant() as ai:
        await ai.ask(tool, **arguments)
        for wanted in (arguments, otherwise, arguments):
            result = await ai.ask(tool, **wanted)
            assert (result["status"], result["replayed"]) == ("unknown", True)
            assert "look with list_" in result["next_step"]
            assert "repeat=true" in result["next_step"]
        assert len(writes()) == 1
        assert [row.outcome for row in ledger()] == ["unknown"]
        assert (await ai.ask(tool, **arguments, repeat=True))["status"] in ("done", "unknown")
    assert len(writes()) == 2


@EACH
async def test_what_never_went_through_stays_unresolved(assistant, writes, lose, ledger, tool: str) -> None:
    """That the API does not show it yet is no proof; a person decides."""
    arguments = SPENDING[tool][0]
    lose(tool, "before")
    async with assistant() as ai:
        await ai.ask(tool, **arguments)
        assert (await ai.ask(tool, **arguments))["status"] == "unknown"
        assert len(writes()) == 1
        assert (await ai.ask(tool, **arguments, repeat=True))["status"] == "done"
    assert sorted(row.outcome for row in ledger()) == ["done", "unknown"]


@pytest.mark.parametrize("minutes", [0, 11, 61], ids=["at-once", "later", "an-hour-later"])
@pytest.mark.parametrize("restarted", [False, True], ids=["same-server", "restarted"])
@pytest.mark.parametrize("first_looks", [False, True], ids=["blindly", "looking"])
async def test_a_lost_purchase_is_made_once_by_any_sequence(
    assistant, sandbox, writes, lose, wait, ledger, eventually, minutes: int, restarted: bool, first_looks: bool
) -> None:
    lose("buy_number")
    sandbox.context.account.balance.amount = Decimal(1_000)
    attempts: list[dict[str, Any]] = [
        {"area_code": "212"},
        {"area_code": "415"},
        {"area_code": "646", "agent_id": "agt_frontdesk"},
        {"agent_id": "agt_orderline"},
        {},
        {"country": "CA"},
    ]

    async def try_them(ai: Any) -> None:
        for attempt in attempts:
            if first_looks:
                await ai.ask("list_numbers")
                assert (await ai.ask("buy_number", **attempt))["status"] == "needs_confirmation"
            result = await ai.client.call_tool("buy_number", attempt | {"confirm": True})
            assert result.is_error or result.structured_content["replayed"], attempt

    async with assistant() as ai:
        assert (await ai.ask("buy_number", **BUY))["status"] == "unknown"
        if not restarted:
            wait(minutes)
            await try_them(ai)
    if restarted:
        async with assistant():
            await eventually(lambda: ledger()[0].outcome == "done")
        wait(minutes)
        async with assistant() as ai:
            await try_them(ai)
    assert writes() == ["POST /v1/numbers"]


@pytest.mark.parametrize(
    ("tool", "otherwise"),
    [
        pytest.param("place_call", CALL | {"to_number": "+14155559998"}, id="call"),
        pytest.param("send_message", TEXT | {"to_number": "+14155559998"}, id="text"),
    ],
)
async def test_somebody_else_can_be_reached_meanwhile(assistant, writes, lose, tool: str, otherwise: Any) -> None:
    lose(tool)
    async with assistant() as ai:
        await ai.ask(tool, **SPENDING[tool][0])
        result = await ai.ask(tool, **otherwise)
    assert result["status"] == "done"
    assert "replayed" not in result
    assert len(writes()) == 2


@EACH_REPLAYED
async def test_the_same_within_ten_minutes_is_done_once(assistant, sandbox, writes, wait, tool: str) -> None:
    sandbox.context.account.balance.amount = Decimal(1_000)
    arguments = SPENDING[tool][0]
    async with assistant() as ai:
        first = await ai.ask(tool, **arguments)
        result = await ai.ask(tool, **arguments)
        assert (result["replayed"], result["result"]) == (True, first["result"])
        assert "repeat=true" in result["next_step"]
        wait(9)
        assert (await ai.ask(tool, **arguments))["replayed"] is True
        assert len(writes()) == 1
        wait(2)
        assert "replayed" not in await ai.ask(tool, **arguments)
    assert len(writes()) == 2


@EACH_REPLAYED
async def test_the_same_at_the_same_time_is_done_once(assistant, writes, lose, tool: str) -> None:
    results: list[dict[str, Any]] = []
    lose(tool, None, delay=0.3)
    async with assistant() as ai, anyio.create_task_group() as group:

        async def ask() -> None:
            results.append(await ai.ask(tool, **SPENDING[tool][0]))

        for _ in range(3):
            group.start_soon(ask)
    assert len(writes()) == 1
    assert {result["status"] for result in results} == {"done"}
    assert [result.get("replayed") for result in results].count(True) == 2
    assert len({result["result"]["id"] for result in results}) == 1


@pytest.mark.parametrize("first", ["lost", "other"])
async def test_an_unresolved_action_is_not_forgotten_over_what_was_done_beside_it(
    assistant, sandbox, writes, lose, blind, first: str
) -> None:
    sandbox.context.account.balance.amount = Decimal(1_000)
    blind("/v1/numbers")
    lost, other = BUY, BUY | {"area_code": "415"}
    lose("buy_number", "after" if first == "lost" else None, delay=0.2)
    lose("buy_number", None if first == "lost" else "after", delay=0.2)
    async with assistant() as ai:
        async with anyio.create_task_group() as group:
            for arguments in (lost, other):
                group.start_soon(lambda given=arguments: ai.ask("buy_number", **given))
        assert len(writes()) == 2
        result = await ai.ask("buy_number", area_code="646", confirm=True)
    assert result["status"] == "unknown"
    assert len(writes()) == 2


@EACH
@pytest.mark.parametrize("status", [402, 409, 422, 429])
async def test_what_the_api_refused_can_be_tried_again_at_once(
    assistant, sandbox, writes, ledger, tool: str, status: int
) -> None:
    arguments, method, path, _ = SPENDING[tool]
    after = {"retry_after": 60} if status == 429 else {}
    sandbox.faults.rules.append(Fault(method, path, status=status, **after))
    async with assistant() as ai:
        await ai.refused(tool, **arguments)
        assert [row.outcome for row in ledger()] == ["failed"]
        assert (await ai.ask(tool, **arguments))["status"] == "done"
    assert len(writes()) == 2
    assert [row.outcome for row in ledger()] == ["failed", "done"]
