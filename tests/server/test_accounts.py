"""Each account has a line of its own, for as long as somebody uses it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.errors import KeyMissing
from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.access import OPERATOR, Caller
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.ledger.records import NewEntry
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.server import accounts as accounts_module
from agentphone_mcp.server.accounts import AccountPool
from tests.support import LIVE_KEY

RELAYS = Config(uses_caller_keys=True)


def caller(number: int) -> Caller:
    key = ApiKey(f"sk_test_caller_{number:04}")
    return Caller(f"account {key.account()}", key=key)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_module, "_IDLE_SECONDS", 0.05)


async def test_a_caller_is_given_the_same_connection_again_and_no_other_callers() -> None:
    async with AccountPool(RELAYS) as accounts:
        async with accounts.connected(caller(1)) as one, accounts.connected(caller(2)) as other:
            assert one.api is not other.api
            assert (one.caller.name, other.caller.name) == (caller(1).name, caller(2).name)
        both: list[Any] = []

        async def call() -> None:
            async with accounts.connected(caller(3)) as context:
                both.append(context.api)

        await asyncio.gather(call(), call())
        assert both[0] is both[1]
        async with accounts.connected(caller(1)) as again:
            assert again.api is one.api


async def test_the_operator_is_never_lent_where_callers_bring_their_own(answering) -> None:
    recorder = answering({"data": [], "total": 0})
    async with AccountPool(RELAYS, inner=recorder.transport) as accounts, accounts.connected(OPERATOR) as context:
        with pytest.raises(KeyMissing):
            await context.api.agents.list()
    assert recorder.requests == []


async def test_a_caller_of_the_operators_account_brings_no_key() -> None:
    config = Config(ApiKey(LIVE_KEY))
    async with (
        AccountPool(config) as accounts,
        accounts.connected(caller(1)) as context,
        accounts.connected(OPERATOR) as operators,
    ):
        assert context.api is operators.api


async def test_an_idle_connection_is_closed(hurried: None, eventually: Callable[..., Any]) -> None:
    async with AccountPool(RELAYS) as accounts:
        async with accounts.connected(caller(1)) as context:
            context.api.secrets.learn("whsec_0123456789")
            await asyncio.sleep(0.2)
            assert accounts.redact("whsec_0123456789") == "[secret removed]"
            async with accounts.connected(caller(1)) as again:
                assert again.api is context.api, "a connection in use is not closed"
        await eventually(lambda: accounts.redact("whsec_0123456789") == "whsec_0123456789")
        async with accounts.connected(caller(1)) as new:
            assert new.api is not context.api


@pytest.mark.attack("8", "who could hang up a running call is gone")
@pytest.mark.parametrize("spend", ["spend=10/day", "spend=off"])
async def test_a_connection_stays_for_as_long_as_it_may_have_to_hang_up_a_call(
    hurried: None, answering, eventually: Callable[..., Any], spend: str
) -> None:
    """Without a limit of dollars there is nothing to hang up."""
    key = caller(1).key
    assert key is not None
    config = Config(uses_caller_keys=True, limits=Limits.parse(spend))
    status = {"id": "call_1", "status": "in-progress"}
    call = NewEntry(key.account(), "place_call", "f", "", "Call.", cost=1_100_000, minute_cost=220_000)
    async with AccountPool(config, inner=answering(status).transport) as accounts:
        row = accounts.ledger.open().reserve(call, Limits(()), repeat=False, within=60)
        assert isinstance(row, int)
        accounts.ledger.open().settle(row, "done", ids={"id": "call_1"})
        connection = await accounts._connection(key)
        async with accounts.connected(caller(1)):
            await asyncio.sleep(0.1)
        if spend == "spend=off":
            await eventually(connection.closed.is_set)
            return
        await asyncio.sleep(0.2)
        assert connection.running_calls.may_have_any
        assert not connection.closed.is_set()


async def test_there_are_so_many_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_module, "_MOST_CONNECTIONS", 2)
    async with AccountPool(RELAYS) as accounts:
        async with accounts.connected(caller(1)) as first:
            pass
        async with accounts.connected(caller(2)) as second:
            pass
        async with accounts.connected(caller(3)), accounts.connected(caller(2)) as still:
            assert still.api is second.api
            with pytest.raises(Refused, match="too many accounts"):
                async with accounts.connected(caller(1)):
                    pass
        async with accounts.connected(caller(1)) as anew:
            assert anew.api is not first.api


async def test_whoever_gives_up_while_being_connected_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AccountPool(RELAYS) as accounts:
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(accounts.connected(caller(1)).__aenter__())
            await asyncio.sleep(0)
            leaving.cancel()
        async with accounts.connected(caller(1)) as context:
            assert context.caller.name == caller(1).name


async def test_a_connection_that_breaks_is_only_its_own_accounts(eventually: Callable[..., Any]) -> None:
    async def break_down() -> None:
        raise ConnectionError

    async with AccountPool(RELAYS) as accounts, accounts.connected(caller(1)) as one:
        async with accounts.connected(caller(2)) as broken:
            broken.live.tasks.start_soon(break_down)

        async def has_a_new_one() -> bool:
            async with accounts.connected(caller(2)) as another:
                return another.api is not broken.api

        await eventually(has_a_new_one)
        async with accounts.connected(caller(1)) as still:
            assert still.api is one.api


async def test_the_log_knows_the_secrets_of_all_who_are_connected(answering) -> None:
    async with (
        AccountPool(RELAYS) as accounts,
        accounts.connected(caller(1)) as one,
        accounts.connected(caller(2)) as two,
    ):
        one.api.secrets.learn("whsec_of_number_one")
        assert accounts.redact("whsec_of_number_one sk_test_caller_0002") == "[secret removed] [key removed]"
        assert two.api.secrets.redact("whsec_of_number_one") == "whsec_of_number_one"
