"""Run two servers on one PostgreSQL: they share limits and replays, and answer each other's confirmations."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitResult, InputRequiredResult

from agentphone_mcp.policy.ledger.ledger import Ledger

pytestmark = pytest.mark.slow  # two servers, a load balancer and a PostgreSQL for each test

CLIENTS = 16
KEY, NEW_KEY = "first " * 8, "second " * 8
BUY = {"area_code": "212", "confirm": True}
CALL = {"agent_id": "agt_frontdesk", "to_number": "+14155550101", "confirm": True}
MODES = {"modern": ("auto",), "legacy": ("legacy",), "both": ("auto", "legacy")}
ERAS = pytest.mark.parametrize("modes", MODES.values(), ids=MODES)
ACCEPTED = ElicitResult(action="accept", content={"allow": True})


async def never_asked(*_: Any) -> ElicitResult:
    """Stand for a user; the answers are sent by hand."""
    raise AssertionError


@pytest.fixture(autouse=True)
def _rich(sandbox: Any) -> None:
    sandbox.context.account.balance.amount = Decimal(100)


@pytest.fixture
def database(postgresql: Callable[[], str]) -> str:
    return postgresql()


@pytest.fixture
def ledger(database: str) -> Callable[[], Counter[str]]:
    def ledger() -> Counter[str]:
        opened = Ledger(database)
        counted = Counter(entry.outcome for entry in opened.entries())
        opened.close()
        return counted

    return ledger


@pytest.fixture
def replicas(starting: Any, database: str) -> Any:
    @asynccontextmanager
    async def replicas(*environments: dict[str, str], **settings: str) -> AsyncGenerator[list[Any]]:
        each = environments or ({"AGENTPHONE_HTTP_STATE_KEY": KEY},) * 2
        async with AsyncExitStack() as stack:
            servers = [starting(AGENTPHONE_STATE=database, **settings, **own) for own in each]
            yield [await stack.enter_async_context(server) for server in servers]

    return replicas


@pytest.fixture
def call_at_once(dial: Any, bearer: Any) -> Any:
    """Connect sixteen clients, eight at each server, and let all of them call at once."""

    async def call_at_once(servers: Sequence[Any], modes: Sequence[str], tool: str, each: Sequence[Any]) -> list[Any]:
        async with AsyncExitStack() as stack:
            clients: list[Client] = []
            for n in range(CLIENTS):
                # Each server has clients of all modes.
                server, mode = servers[n % 2], modes[n // 2 % len(modes)]
                clients.append(await stack.enter_async_context(dial(server.url, bearer("ada"), mode=mode)))
            calls = [client.call_tool(tool, arguments) for client, arguments in zip(clients, each, strict=True)]
            return await asyncio.gather(*calls)

    return call_at_once


def refusals(results: Sequence[CallToolResult]) -> list[str]:
    return [result.content[0].text for result in results if result.is_error]


@ERAS
async def test_the_same_purchase_at_both_is_made_once(replicas, call_at_once, writes, ledger, modes) -> None:
    async with replicas() as servers:
        results = await call_at_once(servers, modes, "buy_number", [BUY] * CLIENTS)
    assert refusals(results) == []
    outcomes = [result.structured_content for result in results]
    assert writes() == ["POST /v1/numbers"]
    assert Counter(outcome.get("replayed") for outcome in outcomes) == {None: 1, True: CLIENTS - 1}
    assert len({outcome["result"]["id"] for outcome in outcomes}) == 1
    assert ledger() == {"done": 1}


@ERAS
async def test_a_limit_of_calls_holds_for_both_together(replicas, call_at_once, writes, ledger, modes) -> None:
    limits = "calls=5/hour,calls_to_one_number=off,spend=off"
    async with replicas(AGENTPHONE_LIMITS=limits) as servers:
        results = await call_at_once(
            servers, modes, "place_call", [CALL | {"prompt": f"Say {n}."} for n in range(CLIENTS)]
        )
    assert writes() == ["POST /v1/calls"] * 5
    assert ["the limit calls=5/hour is reached" in message for message in refusals(results)] == [True] * 11
    assert ledger() == {"done": 5, "refused": 11}


async def test_a_limit_of_dollars_holds_for_both_together(replicas, call_at_once, writes, ledger) -> None:
    async with replicas(AGENTPHONE_LIMITS="numbers=off,spend=10/day") as servers:
        results = await call_at_once(
            servers, MODES["both"], "buy_number", [BUY | {"external_id": f"{n}"} for n in range(CLIENTS)]
        )
    assert writes() == ["POST /v1/numbers"] * 3
    assert ["the limit spend=$10.00/day is reached" in message for message in refusals(results)] == [True] * 13
    assert ledger() == {"done": 3, "refused": 13}


async def buy(client: Client, given: Any = None, state: str | None = None, **others: str) -> Any:
    """Send one round of a purchase, as a client that can ask its user does."""
    return await client.session.call_tool(
        "buy_number", BUY | others, input_responses=given, request_state=state, allow_input_required=True
    )


async def ask_and_accept(client: Client, **others: str) -> tuple[dict[str, ElicitResult], str]:
    """Return the user's answers to a confirmation, and the state to send them back with."""
    question = await buy(client, **others)
    assert isinstance(question, InputRequiredResult), question
    assert question.request_state is not None
    return dict.fromkeys(question.input_requests or {}, ACCEPTED), question.request_state


async def test_a_confirmation_from_one_is_answered_at_the_other(replicas, dial, bearer, writes, ledger) -> None:
    async with (
        replicas(AGENTPHONE_APPROVAL="human") as (first, second),
        dial(first.url, bearer("ada"), elicitation_callback=never_asked) as at_first,
        dial(second.url, bearer("ada"), elicitation_callback=never_asked) as at_second,
        dial(second.url, bearer("ben"), elicitation_callback=never_asked) as as_ben,
    ):
        answers, state = await ask_and_accept(at_first)
        with pytest.raises(MCPError, match="Invalid or expired requestState"):
            await buy(as_ben, answers, state)
        assert writes() == []
        bought = await buy(at_second, answers, state)
        assert (bought.is_error, bought.structured_content["status"]) == (False, "done")
        for client in (at_first, at_second):
            again = (await buy(client, answers, state)).structured_content
            assert (again["replayed"], again["result"]["id"]) == (True, bought.structured_content["result"]["id"])
    assert writes() == ["POST /v1/numbers"]
    assert ledger() == {"done": 1}


async def test_simultaneous_answers_at_both_count_once(replicas, dial, bearer, writes, ledger) -> None:
    async with (
        replicas(AGENTPHONE_APPROVAL="human") as (first, second),
        dial(first.url, bearer("ada"), elicitation_callback=never_asked) as at_first,
        dial(second.url, bearer("ada"), elicitation_callback=never_asked) as at_second,
    ):
        answers, state = await ask_and_accept(at_first)
        results = await asyncio.gather(*(buy(client, answers, state) for client in (at_first, at_second) * 4))
    assert writes() == ["POST /v1/numbers"]
    assert sum(not result.is_error and "replayed" not in result.structured_content for result in results) == 1
    assert ledger() == {"done": 1}


async def test_replicas_with_other_keys_refuse_the_answers(replicas, dial, bearer, writes) -> None:
    keys = {"AGENTPHONE_HTTP_STATE_KEY": KEY}, {"AGENTPHONE_HTTP_STATE_KEY": NEW_KEY}, {}
    async with replicas(*keys, AGENTPHONE_APPROVAL="human") as (first, *others):
        async with dial(first.url, bearer("ada"), elicitation_callback=never_asked) as at_first:
            answers, state = await ask_and_accept(at_first)
        for other in others:
            async with dial(other.url, bearer("ada"), elicitation_callback=never_asked) as client:
                with pytest.raises(MCPError, match="Invalid or expired requestState"):
                    await buy(client, answers, state)
    assert all(
        any("requestState rejected on tools/call: unknown key" in line for line in other.log) for other in others
    )
    assert writes() == []


async def test_keys_are_rotated_one_replica_after_the_other(replicas, dial, bearer, writes, tmp_path: Path) -> None:
    """The first key seals and all of them open, so that each order of restarts works."""
    phases = {"before": (KEY, NEW_KEY), "after": (NEW_KEY, KEY)}
    for name, keys in phases.items():
        (tmp_path / name).write_text("".join(f"{key}\n" for key in keys))
    files = [{"AGENTPHONE_HTTP_STATE_KEY_FILE": str(tmp_path / name)} for name in phases]
    async with (
        replicas(*files, AGENTPHONE_APPROVAL="human") as (before, after),
        dial(before.url, bearer("ada"), elicitation_callback=never_asked) as at_before,
        dial(after.url, bearer("ada"), elicitation_callback=never_asked) as at_after,
    ):
        for asking, answering, area_code in ((at_before, at_after, "212"), (at_after, at_before, "415")):
            answers, state = await ask_and_accept(asking, area_code=area_code)
            bought = await buy(answering, answers, state, area_code=area_code)
            assert bought.structured_content["status"] == "done"
    assert writes() == ["POST /v1/numbers"] * 2
