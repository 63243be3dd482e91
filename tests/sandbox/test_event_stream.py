"""Check the published events, and the lines that a terminal shows of them."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from rich.console import Console

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.event_stream import EventStream, SandboxEvent
from agentphone_mcp.sandbox.terminal import format_line, show
from tests.sandbox.calling import Place


def kinds(events: list[SandboxEvent]) -> list[str]:
    return [event.kind for event in events]


async def test_a_call_is_told_from_its_ringing_to_its_end(sandbox: Sandbox, call_until_ended: Place) -> None:
    with sandbox.context.event_stream.subscribe(lambda: None) as subscriber:
        call = await call_until_ended(toNumber="+14155550104")
        published = [event for event in subscriber.take() if event.kind != "request"]
    assert kinds(published) == ["call", "call", "turn", "turn", "call", "balance"]
    assert [one.row["status"] for one in published if one.kind == "call"] == ["ringing", "in-progress", "completed"]
    spoken = [(one.row["role"], one.row["content"]) for one in published if one.kind == "turn"]
    assert spoken == [(data["role"], data["content"]) for name, data in call["events"] if name == "turn"]
    assert [one.number for one in published] == sorted(one.number for one in published)
    assert published[-1].row["balance"] == f"${sandbox.context.account.balance.amount:.2f}"


async def test_texts_webhooks_and_requests_are_told(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    with sandbox.context.event_stream.subscribe(lambda: None) as subscriber:
        await api.post("/v1/messages", json={"agent_id": "agt_frontdesk", "to_number": "+14155550177", "body": "Hi"})
        await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/nobody-listens"})
        await api.post("/v1/webhooks/test")
        await api.get("/v1/calls/nope", params={"limit": 5})
        published = subscriber.take()
    assert kinds(published) == ["message", "balance", "request", "request", "delivery", "request", "request"]
    assert (published[0].row["body"], published[0].row["conversation"]["participant"]) == ("Hi", "+14155550177")
    assert (published[4].row["success"], published[4].row["event"]) == (False, "agent.message")
    assert (published[-1].row["path"], published[-1].row["status"]) == ("/v1/calls/nope?limit=5", 404)


def test_a_slow_watcher_misses_the_oldest_and_is_told() -> None:
    event_stream = EventStream()
    with event_stream.subscribe(lambda: None, capacity=3) as slow, event_stream.subscribe(lambda: None) as quick:
        for count in range(10):
            event_stream.publish("request", {"count": count})
        seen = slow.take()
        assert len(quick.take()) == 10
        assert slow.take() == []
    assert kinds(seen) == ["dropped", "request", "request", "request"]
    assert [one.row["count"] for one in seen] == [7, 7, 8, 9]


def test_a_watcher_is_woken_once_until_it_looks() -> None:
    event_stream, woken = EventStream(), list[int]()
    with event_stream.subscribe(lambda: woken.append(1)) as subscriber:
        event_stream.publish("request", {})
        event_stream.publish("request", {})
        assert len(woken) == 1
        subscriber.take()
        event_stream.publish("request", {})
        event_stream.close()
        assert len(woken) == 3
    event_stream.publish("request", {})
    assert len(subscriber.take()) == 1


def test_secrets_are_cut_out_wherever_they_stand() -> None:
    event_stream = EventStream(key="sk_sandbox_abcdef123456")
    published = event_stream.redact(
        {"body": ["whsec_0123456789abcdef and sk_sandbox_abcdef123456"], "sk_sandbox_abcdef123456": 1}
    )
    assert published == {"body": ["whsec_…cdef and …3456"], "…3456": 1}


@pytest.mark.parametrize(
    ("kind", "row", "words"),
    [
        pytest.param(
            "request",
            {"method": "GET", "path": "/v1/calls", "status": 404},
            "GET      404         /v1/calls",
            id="request",
        ),
        pytest.param(
            "turn",
            {"role": "user", "callId": "call_00abcdef", "content": "Hi\x1b[31m\nred\u202e"},
            "user                 abcdef  Hi [31m red ",
            id="hostile-turn",
        ),
        pytest.param("balance", {"balance": "$4.98"}, "balance  $4.98       ", id="balance"),
        pytest.param("dropped", {"count": 7}, "...         7 lines left out", id="dropped"),
    ],
)
def test_a_happening_is_one_aligned_line(kind: Any, row: dict[str, Any], words: str) -> None:
    text = format_line(SandboxEvent(1, kind, {"at": "2026-01-02T03:04:05.000Z", **row})).plain
    assert words in text
    assert text.isprintable()


@asynccontextmanager
async def shown(sandbox: Sandbox, console: Console) -> AsyncIterator[None]:
    stop = threading.Event()
    showing = asyncio.create_task(asyncio.to_thread(show, sandbox, stop, console))
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        stop.set()
        await showing


async def test_a_terminal_shows_the_date_when_it_changes(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    written = io.StringIO()
    async with shown(sandbox, Console(file=written, _environ={})):
        while "Ctrl+C" not in written.getvalue():
            await sandbox.context.clock.sleep(1)
        await api.post("/__sandbox/clock", json={"advance": 3 * 86_400})
        day = sandbox.context.clock.now().astimezone().date()
        for _ in range(2):
            await api.get("/v1/usage")
        while written.getvalue().count("/v1/usage") < 2:
            await sandbox.context.clock.sleep(1)
    assert written.getvalue().splitlines().count(f"{day}") == 1


@pytest.mark.parametrize(
    ("is_terminal", "encoding"),
    [pytest.param(True, "utf-8", id="terminal"), pytest.param(False, "cp1252", id="piped-on-windows")],
)
async def test_a_terminal_shows_what_happens(
    sandbox: Sandbox, call_until_ended: Place, is_terminal: bool, encoding: str
) -> None:
    written = io.BytesIO()
    console = Console(file=io.TextIOWrapper(written, encoding), force_terminal=is_terminal, width=40, _environ={})
    sandbox.url = "http://127.0.0.1:8787"
    async with shown(sandbox, console):
        while b"Ctrl+C" not in written.getvalue():
            await sandbox.context.clock.sleep(1)
        await call_until_ended(toNumber="+14155550104", initialGreeting="こんにちは")
        while b"balance" not in written.getvalue():
            await sandbox.context.clock.sleep(1)
    said = written.getvalue().decode(encoding)
    assert ("\x1b[" in said) is is_terminal
    for words in (sandbox.key, "/v1/calls", "in-progress", "I am not interested, don't call me again.", "completed"):
        assert words in said
    assert ("こんにちは" in said) is is_terminal
    assert said.count(sandbox.key) == 1
