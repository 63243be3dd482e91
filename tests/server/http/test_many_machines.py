"""Two servers on one PostgreSQL, as on two machines: their caps are one, and what began at one ends at the other."""

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

CLIENTS = 16
KEY, NEW_KEY = "first " * 8, "second " * 8
BUY = {"area_code": "212", "confirm": True}
CALL = {"agent_id": "agt_frontdesk", "to_number": "+14155550101", "confirm": True}
MODES = {"modern": ("auto",), "legacy": ("legacy",), "both": ("auto", "legacy")}
ERAS = pytest.mark.parametrize("modes", MODES.values(), ids=MODES.keys())
YES = ElicitResult(action="accept", content={"allow": True})


async def nobody(*_: Any) -> ElicitResult:
    """A user who is asked nothing: the answers are sent by hand."""
    raise AssertionError


@pytest.fixture(autouse=True)
def _rich(sandbox: Any) -> None:
    """The account has money for more than one number."""
    sandbox.context.account.balance.amount = Decimal(100)


@pytest.fixture
def database(postgresql: Callable[[], str]) -> str:
    """An empty ledger for all servers."""
    return postgresql()


@pytest.fixture
def ledger(database: str) -> Callable[[], Counter[str]]:
    """How many rows of each outcome the ledger has."""

    def ledger() -> Counter[str]:
        opened = Ledger(database)
        counted = Counter(entry.outcome for entry in opened.entries())
        opened.close()
        return counted

    return ledger


@pytest.fixture
def replicas(starting: Any, database: str) -> Any:
    """Start two servers on that ledger."""

    @asynccontextmanager
    async def replicas(*different: dict[str, str], **settings: str) -> AsyncGenerator[list[Any]]:
        each = different or ({"AGENTPHONE_HTTP_STATE_KEY": KEY},) * 2
        async with AsyncExitStack() as stack:
            servers = [starting(AGENTPHONE_STATE=database, **settings, **own) for own in each]
            yield [await stack.enter_async_context(server) for server in servers]

    return replicas


@pytest.fixture
def crowd(dial: Any, bearer: Any) -> Any:
    """Connect sixteen clients, eight at each server; give what they were told when all of them called at once."""

    async def crowd(servers: Sequence[Any], modes: Sequence[str], tool: str, each: Sequence[Any]) -> list[Any]:
        async with AsyncExitStack() as stack:
            clients: list[Client] = []
            for n in range(CLIENTS):
                # Both servers have clients of both eras.
                server, mode = servers[n % 2], modes[n // 2 % len(modes)]
                clients.append(await stack.enter_async_context(dial(server.url, bearer("ada"), mode=mode)))
            calls = [client.call_tool(tool, one) for client, one in zip(clients, each, strict=True)]
            return await asyncio.gather(*calls)

    return crowd


def refusals(results: Sequence[CallToolResult]) -> list[str]:
    """The sentences of those that were refused."""
    return [result.content[0].text for result in results if result.is_error]


@ERAS
async def test_the_same_purchase_asked_for_at_both_is_made_once(replicas, crowd, writes, ledger, modes) -> None:
    """One request and one row; everybody else is told what came of it, wherever they asked."""
    async with replicas() as servers:
        results = await crowd(servers, modes, "buy_number", [BUY] * CLIENTS)
    assert refusals(results) == []
    told = [result.structured_content for result in results]
    assert writes() == ["POST /v1/numbers"]
    assert Counter(one.get("replayed") for one in told) == {None: 1, True: CLIENTS - 1}
    assert len({one["result"]["id"] for one in told}) == 1
    assert ledger() == {"done": 1}


@ERAS
async def test_a_cap_holds_for_both_together(replicas, crowd, writes, ledger, modes) -> None:
    """Of sixteen different calls five are placed, whichever servers they came to."""
    limits = "calls=5/hour,calls_to_one_number=off,spend=off"
    async with replicas(AGENTPHONE_LIMITS=limits) as servers:
        results = await crowd(servers, modes, "place_call", [CALL | {"prompt": f"Say {n}."} for n in range(CLIENTS)])
    assert writes() == ["POST /v1/calls"] * 5
    assert ["the limit calls=5/hour is reached" in said for said in refusals(results)] == [True] * 11
    assert ledger() == {"done": 5, "refused": 11}


async def test_a_cap_on_dollars_holds_for_both_together(replicas, crowd, writes, ledger) -> None:
    """Of purchases for three dollars each, ten dollars pay three."""
    async with replicas(AGENTPHONE_LIMITS="numbers=off,spend=10/day") as servers:
        results = await crowd(
            servers, MODES["both"], "buy_number", [BUY | {"external_id": f"{n}"} for n in range(CLIENTS)]
        )
    assert writes() == ["POST /v1/numbers"] * 3
    assert ["the limit spend=$10.00/day is reached" in said for said in refusals(results)] == [True] * 13
    assert ledger() == {"done": 3, "refused": 13}


async def ask(client: Client, answers: Any = None, state: str | None = None, **others: str) -> Any:
    """One round of a purchase, as a client that can ask its user sends it."""
    return await client.session.call_tool(
        "buy_number", BUY | others, input_responses=answers, request_state=state, allow_input_required=True
    )


async def asked(client: Client, **others: str) -> tuple[dict[str, ElicitResult], str]:
    """A user's yes to a purchase, and what it has to be sent back with."""
    question = await ask(client, **others)
    assert isinstance(question, InputRequiredResult), question
    assert question.request_state is not None
    return dict.fromkeys(question.input_requests or {}, YES), question.request_state


async def test_a_question_of_one_is_answered_at_the_other(replicas, dial, bearer, writes, ledger) -> None:
    """Once: the same yes counts nowhere again, and for nobody else."""
    async with (
        replicas(AGENTPHONE_APPROVAL="human") as (first, second),
        dial(first.url, bearer("ada"), elicitation_callback=nobody) as at_first,
        dial(second.url, bearer("ada"), elicitation_callback=nobody) as at_second,
        dial(second.url, bearer("ben"), elicitation_callback=nobody) as of_ben,
    ):
        yes, state = await asked(at_first)
        with pytest.raises(MCPError, match="Invalid or expired requestState"):
            await ask(of_ben, yes, state)
        assert writes() == []
        bought = await ask(at_second, yes, state)
        assert (bought.is_error, bought.structured_content["status"]) == (False, "done")
        for client in (at_first, at_second):
            again = (await ask(client, yes, state)).structured_content
            assert (again["replayed"], again["result"]["id"]) == (True, bought.structured_content["result"]["id"])
    assert writes() == ["POST /v1/numbers"]
    assert ledger() == {"done": 1}


async def test_two_answers_at_once_to_a_question_are_one(replicas, dial, bearer, writes, ledger) -> None:
    """Each replica gets the same yes at the same time."""
    async with (
        replicas(AGENTPHONE_APPROVAL="human") as (first, second),
        dial(first.url, bearer("ada"), elicitation_callback=nobody) as at_first,
        dial(second.url, bearer("ada"), elicitation_callback=nobody) as at_second,
    ):
        yes, state = await asked(at_first)
        told = await asyncio.gather(*(ask(client, yes, state) for client in (at_first, at_second) * 4))
    assert writes() == ["POST /v1/numbers"]
    assert sum(not one.is_error and "replayed" not in one.structured_content for one in told) == 1
    assert ledger() == {"done": 1}


async def test_replicas_with_other_keys_understand_nobodys_answers(replicas, dial, bearer, writes) -> None:
    """A server without a key of its own, and one with another; the log says why."""
    keys = {"AGENTPHONE_HTTP_STATE_KEY": KEY}, {"AGENTPHONE_HTTP_STATE_KEY": NEW_KEY}, {}
    async with replicas(*keys, AGENTPHONE_APPROVAL="human") as (first, *others):
        async with dial(first.url, bearer("ada"), elicitation_callback=nobody) as at_first:
            yes, state = await asked(at_first)
        for other in others:
            async with dial(other.url, bearer("ada"), elicitation_callback=nobody) as client:
                with pytest.raises(MCPError, match="Invalid or expired requestState"):
                    await ask(client, yes, state)
    assert all(any("requestState rejected on tools/call: unknown key" in line for line in one.log) for one in others)
    assert writes() == []


async def test_keys_are_changed_one_replica_after_the_other(replicas, dial, bearer, writes, tmp_path: Path) -> None:
    """The first key of a file seals, and all of them are understood: each order of restarts keeps the answers good."""
    phases = {"before": (KEY, NEW_KEY), "after": (NEW_KEY, KEY)}
    for name, keys in phases.items():
        (tmp_path / name).write_text("".join(f"{key}\n" for key in keys))
    files = [{"AGENTPHONE_HTTP_STATE_KEY_FILE": str(tmp_path / name)} for name in phases]
    async with (
        replicas(*files, AGENTPHONE_APPROVAL="human") as (before, after),
        dial(before.url, bearer("ada"), elicitation_callback=nobody) as at_before,
        dial(after.url, bearer("ada"), elicitation_callback=nobody) as at_after,
    ):
        for asking, answering, area_code in ((at_before, at_after, "212"), (at_after, at_before, "415")):
            yes, state = await asked(asking, area_code=area_code)
            bought = await ask(answering, yes, state, area_code=area_code)
            assert bought.structured_content["status"] == "done"
    assert writes() == ["POST /v1/numbers"] * 2
