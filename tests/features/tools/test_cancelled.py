"""Cancel a request: a write that was sent is completed, and one that was not sent never happens."""

from typing import Any

import anyio
import httpx

CALL = {"agent_id": "agt_1", "to_number": "+14155559999", "confirm": True}


class SlowApi:
    """Imitate an API whose reads or writes hang until they may answer."""

    def __init__(self) -> None:
        self.has_arrived, self.may_answer = anyio.Event(), anyio.Event()
        self.hangs = "POST"
        self.writes = 0
        self.transport = httpx.MockTransport(self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.writes += request.method == "POST"
        if request.method == self.hangs:
            self.has_arrived.set()
            await self.may_answer.wait()
        if request.method == "POST":
            return httpx.Response(201, json={"id": "call_1", "status": "ringing", "toNumber": "+14155559999"})
        number = {"id": "num_1", "phoneNumber": "+14155550100"}
        return httpx.Response(200, json={"id": "agt_1", "name": "Desk", "voiceMode": "hosted", "numbers": [number]})


class GivenUp:
    """Call a tool in a task of its own, which can be cancelled."""

    def __init__(self, client: Any, group: Any) -> None:
        self._scope = anyio.CancelScope()
        group.start_soon(self._call, client)

    async def _call(self, client: Any) -> None:
        with self._scope:
            await client.call_tool("place_call", CALL)

    async def cancel(self) -> None:
        """Cancel the call; the server knows of it when this returns."""
        self._scope.cancel()
        await anyio.wait_all_tasks_blocked()


async def test_a_write_under_way_is_seen_through(connect_to, ledger, eventually, mode: str) -> None:
    """`notifications/cancelled` comes too late: the ledger has its ids, and the next call replays it."""
    api = SlowApi()
    async with connect_to(api, mode=mode) as client:
        async with anyio.create_task_group() as group:
            call = GivenUp(client, group)
            await api.has_arrived.wait()
            await call.cancel()
            assert [row.outcome for row in ledger()] == ["pending"]
            api.may_answer.set()
            await eventually(lambda: ledger()[0].outcome == "done")
        again = (await client.call_tool("place_call", CALL)).structured_content
    assert (again["replayed"], again["result"]["id"]) == (True, "call_1")
    assert api.writes == 1
    assert (ledger()[0].ids or {})["id"] == "call_1"


async def test_a_host_that_leaves_loses_no_write(connect_to, ledger, mode: str) -> None:
    api = SlowApi()
    async with anyio.create_task_group() as group, connect_to(api, mode=mode) as client:
        call = GivenUp(client, group)
        await api.has_arrived.wait()
        group.start_soon(answer_when_all_wait, api)
        await call.cancel()
    assert [(row.outcome, (row.ids or {}).get("id")) for row in ledger()] == [("done", "call_1")]
    assert api.writes == 1


async def answer_when_all_wait(api: SlowApi) -> None:
    """Let the API answer when the host has left as far as it can."""
    for _ in range(5):
        await anyio.wait_all_tasks_blocked()
    api.may_answer.set()


async def test_what_was_cancelled_before_it_was_sent_is_not_done(connect_to, ledger, mode: str) -> None:
    """The action was still being described, so it does not block the next call."""
    api = SlowApi()
    api.hangs = "GET"
    async with connect_to(api, mode=mode) as client:
        async with anyio.create_task_group() as group:
            call = GivenUp(client, group)
            await api.has_arrived.wait()
            await call.cancel()
        api.may_answer.set()
        done = (await client.call_tool("place_call", CALL)).structured_content
    assert (done["status"], done.get("replayed")) == ("done", None)
    assert api.writes == 1
    assert [row.outcome for row in ledger()] == ["done"]


async def test_a_question_that_is_given_up_is_no_yes(assistant, nobody, writes, ledger, eventually) -> None:
    arguments: dict[str, Any] = CALL | {"agent_id": "agt_frontdesk"}
    async with (
        assistant(mode="legacy", asks=nobody, requires_human_approval=True) as ai,
        anyio.create_task_group() as group,
    ):
        group.start_soon(lambda: ai.client.call_tool("place_call", arguments))
        await eventually(lambda: bool(nobody.questions))
        group.cancel_scope.cancel()
    assert writes() == []
    assert [(row.outcome, row.reason) for row in ledger()] == [("refused", "a person was asked and has not answered")]
