"""Connect to one account, and count the requests that use the connection."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import httpx

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.pacing import Pace
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.api.responses import slowest_write
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.config.config import Config
from agentphone_mcp.features.completion import Completer
from agentphone_mcp.features.context import ToolContext
from agentphone_mcp.features.live.transcripts import LiveTranscripts
from agentphone_mcp.features.recordings import RecordingSlots
from agentphone_mcp.features.tools.lookups import call_duration, longest_call, look_up
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.reconciliation import Reconciler
from agentphone_mcp.policy.running_calls import RunningCalls
from agentphone_mcp.server.hang_ups import keep_within_limit


@dataclass
class AccountConnection:
    """Hold the connection to one account and the number of requests that use it."""

    context: ToolContext
    running_calls: RunningCalls
    users: int = 0
    idle_since: float = field(default_factory=anyio.current_time)
    closed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_idle(self) -> bool:
        """Tell whether no request uses it, no client follows a call on it, and no call runs that it may hang up."""
        return not self.users and self.context.live.is_idle and not self.running_calls.may_have_any


@asynccontextmanager
async def connected(
    config: Config,
    account: str,
    secrets: Secrets,
    key: ApiKey | None,
    ledger: LedgerHandle,
    inner: httpx.AsyncBaseTransport | None,
    recordings: RecordingSlots,
) -> AsyncGenerator[AccountConnection]:
    """Connect an account for as long as the block lasts, by `inner` or the network; without a key no request works."""
    api = ApiClient(
        Transport(
            config.base_url,
            key,
            sub_account=config.sub_account,
            timeout=config.timeout,
            inner=inner,
            secrets=secrets,
            send_traceparent=config.send_traceparent,
            # Where callers bring their own keys, an account has one caller.
            pace=Pace(config.requests_per_minute, is_shared=config.is_shared and not config.uses_caller_keys),
        )
    )
    async with api, anyio.create_task_group() as tasks:
        reconciler = Reconciler(
            account, ledger, partial(look_up, api), partial(call_duration, api), partial(longest_call, api)
        )
        policy = _policy(config)
        running_calls = RunningCalls(policy.limits, reconciler, api.calls.end, policy.seconds_to_write)
        if key and not config.read_only:
            # Entries that an earlier run left unresolved, and those of this one, in the background.
            tasks.start_soon(reconciler.keep_reconciling)
            if running_calls.limit is not None:
                tasks.start_soon(keep_within_limit, running_calls)
        live = LiveTranscripts(api, tasks)
        yield AccountConnection(
            ToolContext(api, Gate(policy, reconciler), config.prices, Completer(api), live, recordings=recordings),
            running_calls,
        )
        tasks.cancel_scope.cancel()


def _policy(config: Config) -> Policy:
    return Policy(
        limits=config.limits,
        destinations=config.destinations,
        ai_disclosure=config.ai_disclosure,
        requires_human_approval=config.requires_human_approval,
        seconds_to_answer=config.approval_timeout,
        seconds_to_write=slowest_write(config.timeout),
        is_shared=config.is_shared,
    )
