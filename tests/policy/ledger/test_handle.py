"""A ledger handle opens its ledger only for actions, and one in memory is forgotten."""

from pathlib import Path
from typing import Any

import anyio

from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.location import IN_MEMORY
from agentphone_mcp.policy.ledger.records import NewEntry
from agentphone_mcp.policy.limits import Limits

TEXT = NewEntry(account="a" * 16, tool="send_message", fingerprint="f" * 64, target="+14155559999", summary="Text Ada")


async def test_reading_opens_no_ledger(connect: Any, state: Path) -> None:
    async with connect() as client:
        for tool in ("account_overview", "list_calls", "list_contacts"):
            assert not (await client.call_tool(tool, {})).is_error
    assert not await anyio.Path(state).exists()


async def test_a_ledger_in_memory_works_and_is_forgotten() -> None:
    handle = LedgerHandle(IN_MEMORY)
    assert not handle.may_exist
    row = await handle.run(lambda ledger: ledger.reserve(TEXT, Limits(()), repeat=False, within=60))
    await handle.run(lambda ledger: ledger.settle(row, "done", ids={"id": "msg_1"}))
    (entry,) = await handle.run(Ledger.entries)
    assert (entry.outcome, entry.ids) == ("done", {"id": "msg_1"})
    handle.close()
    assert await LedgerHandle(IN_MEMORY).run(Ledger.entries) == []


def test_no_secret_is_written_down(tmp_path: Path) -> None:
    handle = LedgerHandle(str(tmp_path), redact=lambda text: text.replace("whsec_1234", "[secret removed]"))
    handle.open().refuse(NewEntry(**vars(TEXT) | {"summary": "Text whsec_1234"}), "the API said whsec_1234")
    handle.close()
    assert b"whsec_1234" not in (tmp_path / "ledger.sqlite3").read_bytes()
