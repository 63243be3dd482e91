"""A server hangs up what it placed once the limit of dollars is used up, and says so to the model."""

import anyio
import pytest

from agentphone_mcp.policy.limits import Limits
from tests.support import PATIENCE

CALL = {"agent_id": "agt_frontdesk", "to_number": "+14155550109", "confirm": True}
UNLIMITED, USED_UP = Limits.parse("spend=off"), Limits.parse("spend=0.01/day")
SAID = "hung up by the server, as the limit spend=$0.01/day"
attack = pytest.mark.attack("8", "a call is cut off and nobody says why")


@attack
async def test_the_next_server_hangs_up_and_tells_the_model(assistant, sandbox, ledger, writes) -> None:
    async with assistant(limits=UNLIMITED) as ai:
        call_id = (await ai.ask("place_call", **CALL))["result"]["id"]
    async with assistant(limits=USED_UP) as ai:
        followed = await ai.ask("wait_for_call", call_id=call_id)
        assert followed["ended"]
        assert SAID in followed["next_step"]
        assert "AGENTPHONE_LIMITS=spend" in followed["next_step"]
        assert SAID in (await ai.ask("get_call", call_id=call_id))["next_step"]
        again = await ai.ask("place_call", **CALL)
        assert again["replayed"]
        assert SAID in again["next_step"]
    assert SAID in ledger()[0].reason
    assert writes()[-1] == f"POST /v1/calls/{call_id}/end"
    assert len(sandbox.context.account.calls[call_id].turns) < 50


@attack
async def test_who_waits_for_a_placed_call_hears_why_another_server_hung_it_up(assistant, writes, eventually) -> None:
    async with assistant(limits=UNLIMITED) as ai, anyio.create_task_group() as tasks:

        async def run_another_server() -> None:
            async with assistant(limits=USED_UP) as other:
                await other.ask("list_agents")
                await anyio.sleep_forever()

        with anyio.fail_after(PATIENCE):
            placing = anyio.Event()
            told: dict = {}

            async def place() -> None:
                told.update(await ai.ask("place_call", **CALL, wait=True))
                placing.set()

            tasks.start_soon(place)
            await eventually(lambda: "POST /v1/calls" in writes())
            tasks.start_soon(run_another_server)
            await placing.wait()
        tasks.cancel_scope.cancel()
    assert SAID in told["followed"]["next_step"]
    assert len([line for line in writes() if line.endswith("/end")]) == 1


async def test_a_call_that_ends_by_itself_says_nothing_of_limits(assistant) -> None:
    async with assistant() as ai:
        told = await ai.ask("place_call", **CALL | {"to_number": "+14155559999"}, wait=True)
        call = await ai.ask("get_call", call_id=told["result"]["id"])
    assert told["followed"]["ended"]
    assert "hung up" not in str(told["followed"].get("next_step")) + str(call.get("next_step"))
