"""A session from its first line on, with the SDK in this process, which comes when the test says so."""

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from agentphone_mcp import __version__
from agentphone_mcp.config.config import Config
from agentphone_mcp.server.server import create_server
from agentphone_mcp.server.stdio.early_answers import PrecomputedAnswers
from agentphone_mcp.server.stdio.early_session import EarlySession
from agentphone_mcp.server.stdio.surface import SURFACE, Surface, load, note_difference, select
from agentphone_mcp.variables import TOOLSETS
from tests.support import HELLO, PATIENCE

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
GOLDEN = json.loads(SURFACE.read_text(encoding="utf-8"))
KNOWN = select(GOLDEN, TOOLSETS, "spend")


class FakeChannel:
    """A channel to a host in this process.

    Args:
        fails: how many of the first things that are written fail.
    """

    def __init__(self, fails: int = 0) -> None:
        self._said: Queue[str | None] = Queue()
        self._heard: list[dict[str, Any]] = []
        self._more = threading.Condition()
        self._fails = fails
        self.lines = iter(self._said.get, None)

    def write(self, text: str) -> None:
        with self._more:
            if self._fails:
                self._fails -= 1
                self._more.notify_all()
                raise BrokenPipeError
            self._heard.append(json.loads(text))
            self._more.notify_all()

    def write_at_once(self, text: str) -> bool:
        """Leave it to the way that may wait, which is what Windows always takes."""
        return False

    def say(self, *messages: dict[str, Any] | None) -> None:
        """Say something; None is the end."""
        for message in messages:
            self._said.put(None if message is None else json.dumps(message) + "\n")

    def wait_for_failures(self) -> None:
        with self._more:
            assert self._more.wait_for(lambda: not self._fails, PATIENCE)

    def heard(self, count: int) -> list[dict[str, Any]]:
        with self._more:
            assert self._more.wait_for(lambda: len(self._heard) >= count, PATIENCE)
            return list(self._heard)


def begun(
    *said: dict[str, Any] | None, heard: int, known: Surface = KNOWN, fails: int = 0
) -> tuple[FakeChannel, EarlySession]:
    """Say these first lines, and wait until so much was heard."""
    channel = FakeChannel(fails)
    session = EarlySession(channel, PrecomputedAnswers(known), pytest.fail)
    channel.say(*said)
    session.start()
    channel.heard(heard)
    return channel, session


async def to_the_end(
    channel: FakeChannel, session: EarlySession, *late: dict[str, Any], count: int
) -> list[dict[str, Any]]:
    """Let the SDK come, say what is left, and leave when so much was heard: all that was."""
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(create_server(Config()).run_over(session))
        channel.say(*late)
        await asyncio.to_thread(channel.heard, count)
        channel.say(None)
    return channel.heard(count)


def test_with_another_sdk_or_surface_a_start_goes_the_plain_way(tmp_path: Path) -> None:
    for name, written in {
        "mine": json.dumps(GOLDEN),
        "another": json.dumps(GOLDEN | {"made_with": {"mcp": "2.999.0"}}),
        "not-installed": json.dumps(GOLDEN | {"made_with": {"no_such_package": "1"}}),
        "broken": "{",
        "of-another-form": "{}",
    }.items():
        (tmp_path / name).write_text(written, encoding="utf-8")
    found = {file.name: load(TOOLSETS, "spend", cache=tmp_path, file=file) for file in tmp_path.iterdir()}
    assert {name: surface is not None for name, surface in found.items()} == {
        "mine": True,
        "another": False,
        "not-installed": False,
        "broken": False,
        "of-another-form": False,
    }
    assert load(TOOLSETS, "spend", cache=tmp_path, file=tmp_path / "missing") is None


def test_a_difference_is_remembered_for_these_versions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = tmp_path / "not" / "yet" / "there"
    assert load(TOOLSETS, "spend", cache=cache) == KNOWN
    note_difference(cache, "tools/list")
    assert "the SDK answers tools/list otherwise" in caplog.text
    assert load(TOOLSETS, "spend", cache=cache) is None
    [memory] = cache.iterdir()
    assert __version__ in memory.name
    memory.rename(cache / memory.name.replace(__version__, "0.0.1"))
    assert load(TOOLSETS, "spend", cache=cache) == KNOWN


def test_a_difference_that_cannot_be_remembered_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    note_difference(tmp_path / "file", "initialize")
    assert "cannot be written down" in caplog.text


async def test_a_difference_is_told_by_its_method_and_the_host_hears_one_answer() -> None:
    channel, differs = FakeChannel(), list[str]()
    session = EarlySession(channel, PrecomputedAnswers(replace(KNOWN, tools={"tools": []})), differs.append)
    channel.say(HELLO, LIST)
    session.start()
    assert channel.heard(2)[1]["result"] == {"tools": []}
    heard = await to_the_end(channel, session, PING, count=3)
    assert [message["id"] for message in heard] == [0, 1, 2]
    assert differs == ["tools/list"]


async def test_the_sdk_hears_of_no_cancellation_that_came_too_late() -> None:
    """It would heed it, where whoever has answered does not; one of what waits it has to know of."""
    late, timely = (
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}} for number in ("1", 2)
    )
    _, session = begun(HELLO, LIST, PING, late, timely, None, heard=2)
    assert [json.loads(line) async for line in session] == [HELLO, LIST, PING, timely]


async def test_an_id_that_is_used_again_is_answered_again() -> None:
    channel, session = begun(HELLO, LIST, heard=2)
    heard = await to_the_end(channel, session, PING, LIST, {**LIST, "id": 3}, count=5)
    assert sorted(message["id"] for message in heard) == [0, 1, 1, 2, 3]


@pytest.mark.parametrize("odd", [[1], {"1": 1}, True, None], ids=["list", "object", "truth", "null"])
async def test_an_id_that_is_none_keeps_no_later_message_from_the_sdk(odd: Any) -> None:
    """The SDK takes it for a notification, or says what is wrong; the session goes on."""
    channel, session = begun(HELLO, {"jsonrpc": "2.0", "id": odd, "method": "ping"}, heard=1)
    heard = await to_the_end(channel, session, PING, count=2)
    assert 2 in [message.get("id") for message in heard]


async def test_of_two_answers_to_one_id_the_one_that_was_said_is_dropped() -> None:
    channel, session = begun(HELLO, LIST, {**PING, "id": 1}, {**LIST, "id": 5}, heard=0)
    assert [message["id"] for message in channel.heard(3)] == [0, 1, 5]
    for result in ({}, KNOWN.tools):
        await session.write(json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}))
    await session.write(json.dumps({"jsonrpc": "2.0", "id": 8, "result": {}}))
    assert channel.heard(5)[3:] == [{"jsonrpc": "2.0", "id": number, "result": {}} for number in (1, 8)]
    channel.say(None)


async def test_what_the_sdk_breaks_off_at_the_end_is_no_difference() -> None:
    channel, session = begun(HELLO, LIST, None, heard=2)
    assert [json.loads(line)["id"] async for line in session] == [0, 1]
    broken_off = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "Connection closed"}}
    await session.write(json.dumps(broken_off))
    assert [message["id"] for message in channel.heard(2)] == [0, 1]


async def test_the_sdk_has_a_moment_for_the_last_question_before_the_end() -> None:
    channel, begun = FakeChannel(), list[str]()
    session = EarlySession(channel, PrecomputedAnswers(KNOWN), pytest.fail)
    channel.say(PING, None)
    session.start()
    async with asyncio.timeout(PATIENCE):
        async for line in session:
            asyncio.get_running_loop().call_soon(begun.append, line)
    assert [json.loads(line) for line in begun] == [PING]


async def test_a_request_of_the_servers_own_is_no_answer() -> None:
    """It may bear an id that the host has used as well."""
    channel, session = begun(HELLO, heard=1)
    await session.write('{"jsonrpc":"2.0","id":0,"method":"ping"}\n')
    assert channel.heard(2)[1]["method"] == "ping"
    channel.say(None)


async def test_a_host_that_did_not_hear_the_first_answer_gets_the_sdks() -> None:
    channel, session = begun(HELLO, heard=0, fails=1)
    # Otherwise the SDK's own write could meet the error.
    channel.wait_for_failures()
    heard = await to_the_end(channel, session, LIST, count=2)
    assert [message["id"] for message in heard] == [0, 1]


async def test_nothing_is_answered_early_once_the_sdk_is_there() -> None:
    channel, session = begun(HELLO, heard=1, known=replace(KNOWN, tools={"tools": []}))
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(create_server(Config()).run_over(session))
        channel.say(PING)
        await asyncio.to_thread(channel.heard, 2)
        channel.say(LIST)
        listed = (await asyncio.to_thread(channel.heard, 3))[2]
        channel.say(None)
    assert len(listed["result"]["tools"]) > 30
