"""Keep the keys, connections, secrets and ledger rows of callers with their own keys apart."""

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.policy.ledger.ledger import Ledger
from tests.server.http.serving import app_server, running

RELAY = HttpSettings(auth="relay")
CALLERS = 8
CONNECTION = "connection"


def key_of(number: int) -> str:
    return f"sk_test_caller_{number:02}_of_many"


class TaggingProtocol(H11Protocol):
    """Adds the connection to the scope of each request; ports are used again, connections are not."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app = partial(self.add_connection, self.app)

    async def add_connection(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, CONNECTION: self}, receive, send)


class Exchange:
    """An AgentPhone of many accounts: each has an agent named after its key, and a secret that is its own.

    Attributes:
        requests: key -> what was requested with it, as `METHOD path`.
        connections: a connection -> the keys that came over it.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[str, list[str]] = defaultdict(list)
        self.connections: defaultdict[Any, set[str]] = defaultdict(set)
        self.together = asyncio.Event()
        self.waiting = 0

    async def answer(self, request: Request) -> Response:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        self.requests[key].append(f"{request.method} {request.url.path}")
        self.connections[request.scope[CONNECTION]].add(key)
        number = key.split("_")[3]
        if request.url.path.endswith("/stream"):
            return StreamingResponse(self.speak(number), media_type="text/event-stream")
        answers: dict[str, Any] = {
            "GET /v1/agents": {"data": [self.agent(number)], "total": 1},
            f"GET /v1/agents/agt_{number}": self.agent(number),
            f"GET /v1/numbers/num_{number}": self.agent(number)["numbers"][0],
            f"GET /v1/calls/call_{number}": {"id": f"call_{number}", "status": "in-progress"},
            f"GET /v1/calls/call_{number}/transcript": {"transcript": []},
            "POST /v1/calls/web": {"callId": f"call_{number}", "accessToken": f"token-of-{key}"},
            "POST /v1/messages": {"id": f"msg_{number}", "status": "queued"},
        }
        return JSONResponse(answers.get(f"{request.method} {request.url.path}", {"data": [], "total": 0}))

    def agent(self, number: str) -> dict[str, Any]:
        """Return the account's agent, whose prompt quotes the secrets of all accounts."""
        prompt = " ".join(f"token-of-{key_of(other)}" for other in range(CALLERS))
        return {
            "id": f"agt_{number}",
            "name": f"Agent of {number}",
            "systemPrompt": prompt,
            "voiceMode": "hosted",
            "numbers": [{"id": f"num_{number}", "phoneNumber": f"+141555501{number}"}],
        }

    async def speak(self, number: str) -> AsyncGenerator[bytes]:
        """Let all callers speak at the same moment."""
        self.waiting += 1
        if self.waiting == CALLERS:
            self.together.set()
        await self.together.wait()
        for event, data in (
            ("turn", {"role": "user", "content": f"I am {number}"}),
            ("ended", {"status": "completed"}),
        ):
            yield f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()


@pytest.fixture
async def exchange() -> AsyncGenerator[tuple[Exchange, str]]:
    accounts = Exchange()
    app = Starlette(routes=[Route("/{path:path}", accounts.answer, methods=["GET", "POST", "PATCH", "DELETE"])])
    async with running(app_server(app, http=TaggingProtocol)) as url:
        yield accounts, url


async def use_everything(client: Any, number: str) -> str:
    """Use everything that stores something: an overview, a secret, a text, a live call, a resource."""
    results: list[Any] = []
    for tool, arguments in (
        ("account_overview", {}),
        ("create_web_call", {"agent_id": f"agt_{number}", "confirm": True}),
        ("get_agent", {"agent_id": f"agt_{number}"}),
        (
            "send_message",
            {"to_number": "+14155550199", "body": "Hello", "agent_id": f"agt_{number}", "confirm": True},
        ),
        ("wait_for_call", {"call_id": f"call_{number}", "max_seconds": 600}),
    ):
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, result.content[0].text
        results.append(result.structured_content)
    results.append((await client.read_resource(f"agentphone://agents/agt_{number}")).contents[0].text)
    return json.dumps(results)


@pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
async def test_callers_at_once_each_use_their_own_key_and_see_their_own_account(
    hosting, dial, exchange, state, mode: str
) -> None:
    accounts, address = exchange
    settings = {"api_key": None, "uses_caller_keys": True, "base_url": address, "timeout": 300.0}

    async def connect_and_use_everything(url: str, number: int) -> str:
        async with dial(url, {"X-API-Key": key_of(number)}, mode=mode) as client:
            return await use_everything(client, f"{number:02}")

    async with hosting(RELAY, **settings) as url, asyncio.timeout(600):
        outputs = await asyncio.gather(*(connect_and_use_everything(url, number) for number in range(CALLERS)))
    assert accounts.requests.keys() == {key_of(number) for number in range(CALLERS)}
    for number, output in enumerate(outputs):
        number_text = f"{number:02}"
        requests = accounts.requests[key_of(number)]
        ids = {match for path in requests for match in re.findall(r"(?:agt|call|num|msg)_(\d\d)", path)}
        assert ids == {number_text}, "what was requested with a key is about its own account"
        assert sum(path == "POST /v1/messages" for path in requests) == 1
        assert set(re.findall(r"I am (\d\d)", output)) == {number_text}
        # Of the secrets in a prompt, each caller's own is redacted, and no other; a preview shows how it begins.
        assert output.count("[secret removed]") >= 2
        assert not re.search(rf"token-of-{key_of(number)}\b", output)
        assert f"token-of-{key_of((number + 1) % CALLERS)}" in output
    assert all(len(keys) == 1 for keys in accounts.connections.values()), "a connection carries one key"
    ledger = Ledger(str(state))
    rows = ledger.entries()
    ledger.close()
    assert Counter(entry.account for entry in rows) == dict.fromkeys({entry.account for entry in rows}, 2)
    assert len({entry.account for entry in rows}) == CALLERS
