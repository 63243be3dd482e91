"""The watch over running calls goes on whatever fails."""

from typing import Any

import anyio
import pytest

from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.server.hang_ups import keep_within_limit
from tests.support import PATIENCE


class Calls:
    """Stand in for the running calls: each check fails or answers in turn, and then all is seen."""

    def __init__(self, *checks: Any) -> None:
        self.pauses: list[float] = []
        self.is_over = anyio.Event()
        self._checks = list(checks)

    async def check(self) -> float:
        """Fail, or say when the next check is due."""
        result = self._checks.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    async def wait(self, seconds: float) -> None:
        """Go on at once, until there are no more checks."""
        self.pauses.append(seconds)
        if not self._checks:
            self.is_over.set()
            await anyio.sleep_forever()


@pytest.mark.attack("8", "the watch ends with the first failure")
async def test_a_failing_ledger_or_a_fault_of_ours_is_tried_again_and_logged_once(caplog) -> None:
    calls: Any = Calls(LedgerUnavailable("the ledger", "the disk is full"), ValueError("a fault"), 3.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_within_limit, calls)
        with anyio.fail_after(PATIENCE):
            await calls.is_over.wait()
        tasks.cancel_scope.cancel()
    assert calls.pauses == [10, 10, 3]
    assert [record.levelname for record in caplog.records if record.name.endswith("hang_ups")] == ["WARNING"]
