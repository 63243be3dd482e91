"""Ask the user of a real host from a real server process, as in memory."""

from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import Implementation

from tests.support import COMMAND, ROOT

CALL = {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "confirm": True}


@pytest.fixture
def process(state: Path):
    """Start a server with a sandbox in a process of its own, and connect a host to it."""

    def process(mode: str, asks: Any = None) -> Client:
        settings = {
            "PYTHONPATH": str(ROOT),
            "AGENTPHONE_SANDBOX": "1",
            "AGENTPHONE_APPROVAL": "human",
            "AGENTPHONE_APPROVAL_TIMEOUT": "1",
            "AGENTPHONE_STATE": str(state),
        }
        server = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=settings)
        return Client(
            server, mode=mode, elicitation_callback=asks, client_info=Implementation(name="Desk", version="7")
        )

    return process


async def test_yes_no_and_a_repetition(process, person, ledger, mode: str) -> None:
    user = person("decline")
    async with process(mode, user) as client:
        refused = await client.call_tool("place_call", CALL)
        user._answer = person()._answer
        done = await client.call_tool("place_call", CALL)
        again = await client.call_tool("place_call", CALL)
    assert refused.is_error
    assert "said no" in refused.content[0].text
    assert done.structured_content["status"] == "done"
    assert again.structured_content["replayed"] is True
    assert len(user.questions) == 2
    assert [(row.outcome, row.approved_by, row.approved_how) for row in ledger()][1:] == [("done", "Desk 7", "person")]


async def test_a_host_that_cannot_ask(process, ledger, mode: str) -> None:
    async with process(mode) as client:
        refused = await client.call_tool("place_call", CALL)
    assert refused.is_error
    assert "this host cannot ask its user" in refused.content[0].text
    assert [row.outcome for row in ledger()] == ["refused"]


async def test_a_user_who_never_answers(process, nobody, ledger) -> None:
    async with process("legacy", nobody) as client:
        refused = await client.call_tool("place_call", CALL)
    assert "did not answer in time" in refused.content[0].text
    assert [row.outcome for row in ledger()] == ["refused"]
