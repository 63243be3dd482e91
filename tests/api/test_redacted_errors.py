"""Tests that only the network sees the key: no repr, log line, traceback, error or result does."""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.server.logs import log_to_stderr
from tests.api.conftest import Api, Network, Read
from tests.support import LIVE_KEY

READS = {
    "read": lambda api: api.agents.list(),
    "write": lambda api: api.calls.end("call_1"),
    "file": lambda api: api.calls.recording("call_1"),
}
ECHOES = {
    "detail": json.dumps({"detail": f"No such key: {LIVE_KEY}"}),
    "nested": json.dumps(
        {"error": {"message": f"Bearer {LIVE_KEY}", "details": [{"field": LIVE_KEY, "message": LIVE_KEY}]}}
    ),
    "code": json.dumps({"error": {"message": "no", "code": LIVE_KEY}}),
    "field-errors": json.dumps({"detail": [{"loc": ["header", LIVE_KEY], "msg": f"{LIVE_KEY} is wrong"}]}),
    "json-escapes": json.dumps({"detail": f"No such key: {LIVE_KEY}"}).replace("_", "\\u005f"),
    "web-page": f"<html>{LIVE_KEY}</html>",
}


def shown(error: BaseException) -> str:
    """Return everything that could be printed of an error."""
    fields = [repr(vars(each)) for each in (error, error.__cause__, error.__context__) if each is not None]
    return f"{error} {error!r} {error.args} {fields} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize("ask", [pytest.param(ask, id=name) for name, ask in READS.items()])
@pytest.mark.parametrize("status", [pytest.param(401, id="refused"), pytest.param(500, id="broken")])
@pytest.mark.parametrize("echo", [pytest.param(body, id=name) for name, body in ECHOES.items()])
async def test_an_error_that_echoes_the_key_does_not_show_it(read: Read, echo: str, status: int, ask: Any) -> None:
    with pytest.raises(ApiError) as refused:
        await read(lambda _: httpx.Response(status, text=echo), ask)
    assert LIVE_KEY not in shown(refused.value)


async def test_an_echo_in_utf_16_is_redacted_as_well(read: Read) -> None:
    """JSON may come in another encoding, in which the key has other bytes."""
    body = json.dumps({"detail": LIVE_KEY}).encode("utf-16")
    with pytest.raises(ApiError) as refused:
        await read(lambda _: httpx.Response(401, content=body), lambda api: api.agents.list())
    assert LIVE_KEY not in shown(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps({"id": "agent_1", "systemPrompt": f"Use {LIVE_KEY} wisely."}), id="plain"),
        pytest.param(
            json.dumps({"id": "agent_1", "systemPrompt": f"Use {LIVE_KEY} wisely."}).replace("_", "\\u005f"),
            id="escaped",
        ),
    ],
)
async def test_a_result_that_echoes_the_key_has_it_redacted(read: Read, body: str) -> None:
    body = body.replace('"id": "agent\\u005f1"', '"id": "agent_1"')
    agent = await read(lambda _: httpx.Response(200, text=body), lambda api: api.agents.get("agent_1"))
    assert agent.system_prompt == "Use [key removed] wisely."


async def test_a_live_transcript_that_echoes_the_key_has_it_redacted(read: Read) -> None:
    stream = f'event: turn\ndata: {{"role": "agent", "content": "my key is {LIVE_KEY}"}}\n\n'
    headers = {"Content-Type": "text/event-stream"}

    async def listen(api: ApiClient) -> list[Any]:
        async with api.calls.follow("call_1") as events:
            return [event async for event in events]

    (event,) = await read(lambda _: httpx.Response(200, headers=headers, text=stream), listen)
    assert event.turn.text == "my key is [key removed]"


async def test_a_redirect_that_spells_the_key_does_not_show_it(read: Read) -> None:
    location = {"Location": f"https://{LIVE_KEY}.evil.example/v1/agents"}
    with pytest.raises(ApiError) as refused:
        await read(lambda _: httpx.Response(302, headers=location), lambda api: api.agents.list())
    assert LIVE_KEY not in shown(refused.value)


@pytest.mark.parametrize(
    "exc",
    [
        pytest.param(httpx.ConnectError(f"cannot connect with {LIVE_KEY}"), id="no-connection"),
        pytest.param(httpx.ReadTimeout("timed out"), id="time-out"),
    ],
)
async def test_a_lost_connection_does_not_show_the_key(answering: Network, api_over: Api, exc: httpx.HTTPError) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        exc.request = request
        raise exc

    async with api_over(answering(broken)) as api:
        with pytest.raises(ApiError) as refused:
            await api.calls.end("call_1")
    assert LIVE_KEY not in f"{refused.value} {refused.value!r}"
    assert "authorization" not in exc.request.headers


def test_nothing_that_holds_the_key_shows_it() -> None:
    key = ApiKey(LIVE_KEY)
    client = ApiClient(Transport("https://api.agentphone.to", key))
    allowlist = Allowlist.for_base("https://api.agentphone.to", key)
    assert LIVE_KEY not in f"{key} {key!r} {[key]} {client} {client!r} {vars(client)} {allowlist!r}"


async def _echoing_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
    await writer.drain()


async def test_no_log_line_shows_the_key(loopback: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = "sk_sandbox_not_to_be_logged"
    async with loopback(_echoing_server) as url, ApiClient(Transport(url, ApiKey(key))) as api:
        await api.agents.list()
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    assert key not in caplog.text + "".join(str(record.args) for record in caplog.records)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Restore the logging of the process after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


@pytest.mark.usefixtures("own_logging")
def test_the_formatter_redacts_the_key_in_every_part_of_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("DEBUG", Secrets(ApiKey(LIVE_KEY)).redact)
    logger = logging.getLogger("somebody.elses")
    logger.info("the key is %s and %r", LIVE_KEY, {"key": LIVE_KEY})
    try:
        raise RuntimeError(LIVE_KEY)
    except RuntimeError:
        logger.exception("broken", stack_info=True)
    out, stderr = capsys.readouterr()
    assert not out
    assert LIVE_KEY not in stderr
    assert stderr.count("[key removed]") == 3
    assert "RuntimeError" in stderr


@pytest.mark.usefixtures("own_logging")
def test_a_log_line_shows_no_secret_that_was_learned_since(capsys: pytest.CaptureFixture[str]) -> None:
    """A request line has it URL-encoded, and a library may quote it in JSON."""
    secrets = Secrets(ApiKey(LIVE_KEY))
    log_to_stderr("DEBUG", secrets.redact)
    secrets.learn("whsec_a/b+c=1234")
    url = f"/v1/hooks?secret=whsec%5Fa%2fb%2Bc%3d1234&key={LIVE_KEY.replace('_', '%5f')}"
    logging.getLogger("requests").info("GET %s", url)
    logging.getLogger("answers").info("%r", '{"secret": "whsec_a\\/b\\u002bc=1234"}')
    stderr = capsys.readouterr().err
    assert "GET /v1/hooks?secret=[secret removed]&key=[key removed]" in stderr
    assert '{"secret": "[secret removed]"}' in stderr


@pytest.mark.usefixtures("own_logging")
def test_logging_keeps_what_is_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("WARNING", lambda text: text)
    logging.getLogger("quiet").info("not shown")
    logging.getLogger("loud").warning("shown")
    stderr = capsys.readouterr().err
    assert stderr.endswith("WARNING loud: shown\n")
    assert "not shown" not in stderr
