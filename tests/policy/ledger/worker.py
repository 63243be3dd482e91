"""Be one of many processes: read a job from stdin, wait for a line, execute the job, and print its outcome."""

import json
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import anyio

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.features.tools.lookups import call_duration, look_up
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.destinations import Destinations
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.pricing import Cost
from agentphone_mcp.policy.reconciliation import Reconciler


def purchase(api: ApiClient, arguments: dict[str, Any]) -> tuple[Action, Any]:
    """Describe a purchase and its write."""
    action = Action("Buy", "list_numbers", tool="buy_number", arguments=arguments, cost=Cost.of(3))
    return action, lambda: api.numbers.buy("US", external_id=arguments["external_id"])


def call(api: ApiClient, arguments: dict[str, Any]) -> tuple[Action, Any]:
    """Describe a call and its write."""
    number = arguments["to_number"]
    action = Action(
        "Call", "list_calls", tool="place_call", arguments=arguments, to_number=number, cost=Cost.of_call(0.22)
    )
    return action, lambda: api.calls.place("agt_frontdesk", number, system_prompt=arguments["prompt"])


async def execute(job: dict[str, Any], api: ApiClient, handle: LedgerHandle) -> dict[str, Any]:
    """Prepare a job, wait for a line on stdin, and then execute it."""
    reconciler = Reconciler(job["account"], handle, partial(look_up, api), partial(call_duration, api))
    gate = Gate(Policy(Limits.parse(job["limits"]), Destinations()), reconciler)
    action, write = (purchase if job["action"] == "buy" else call)(api, job["arguments"])
    say("ready")
    sys.stdin.readline()
    try:
        outcome = await gate.execute(action, True, write)
    except (Refused, ApiError) as exc:
        return {"refused": str(exc)}
    return outcome.model_dump(mode="json")


async def main() -> None:
    """Answer each line of stdin with a line."""
    say("started")
    async with AsyncExitStack() as stack:
        apis: dict[str, ApiClient] = {}
        state, handle = "", LedgerHandle("")
        for line in sys.stdin:
            job = json.loads(line)
            if job["url"] not in apis:
                apis[job["url"]] = await stack.enter_async_context(ApiClient(Transport(job["url"], ApiKey(job["key"]))))
            if job["state"] != state:
                handle.close()
                state, handle = job["state"], LedgerHandle(job["state"])
            say(json.dumps(await execute(job, apis[job["url"]], handle)))


def say(line: str) -> None:
    """Write an answer to stdout."""
    print(line, flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    anyio.run(main)
