"""Run the watch over an account's running calls, in the background of its connection."""

import logging

from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.running_calls import RunningCalls

_AFTER_FAILURE = 10.0
"""Seconds until the ledger is tried again."""

logger = logging.getLogger(__name__)


async def keep_within_limit(calls: RunningCalls) -> None:
    """Hang up running calls whenever the limit of dollars is used up, for as long as the connection lasts."""
    is_failing = False
    while True:
        # A ledger that keeps failing is logged once as a warning, then at debug level.
        level = logging.DEBUG if is_failing else logging.WARNING
        is_failing, pause = True, _AFTER_FAILURE
        try:
            pause = await calls.check()
            is_failing = False
        except LedgerUnavailable as exc:
            logger.log(level, "running calls cannot be held to the limit: %s", exc)
        except Exception:
            logger.log(level, "running calls could not be held to the limit", exc_info=True)
        await calls.wait(pause)
