"""Let the user who started a server on loopback in, and no other user of the machine."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

import anyio
import httpx
import pytest
import uvicorn
from starlette.datastructures import Headers

from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.access import OPERATOR
from agentphone_mcp.server.http import serve as serving
from agentphone_mcp.server.http.auth.base import Forbidden, LoopbackAuth
from agentphone_mcp.server.http.auth.local_token import LocalTokenAuth, local_token_file, read_local_token
from agentphone_mcp.system.http.connection import Connection
from tests.server.http.middleware.requests import ACCEPT, LIST
from tests.support import HELLO, PATIENCE

pytestmark = pytest.mark.attack("15", "another user of the machine reaches what is meant for one")
ENDS = ("127.0.0.1", 50_000), ("127.0.0.1", 8_000)
POSIX = pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
NOBODY = 65_534
AS_ROOT = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can be another user, and only Linux tells"
)


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


async def exchange_as(user: int, url: str, body: bytes) -> bytes:
    """Send a request over a connection of a user, and read the answer."""
    address = httpx.URL(url)
    before = os.geteuid()
    os.seteuid(user)
    try:
        raw = socket.socket()
    finally:
        os.seteuid(before)
    raw.connect((address.host, address.port or 0))
    head = f"POST /mcp HTTP/1.1\r\nHost: {address.host}:{address.port}\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in ACCEPT.items()) + "Content-Type: application/json\r\n\r\n"
    raw.sendall(head.encode() + body)
    raw.setblocking(False)
    with raw, anyio.fail_after(PATIENCE):
        await anyio.wait_readable(raw)
        return raw.recv(65_536)


@AS_ROOT
async def test_another_user_cannot_connect_and_so_not_spend(hosting) -> None:
    """With the settings as they are, everybody on the machine could."""
    async with hosting() as url:
        refused = await exchange_as(NOBODY, url, json.dumps(HELLO).encode())
        assert refused.startswith(b"HTTP/1.1 403 "), refused
        assert b"another user made this connection" in refused
        own = await exchange_as(0, url, json.dumps(HELLO).encode())
        assert own.startswith(b"HTTP/1.1 200 "), own


@AS_ROOT
@pytest.mark.parametrize("path", ["/sse", "/messages/?session_id=0", "/mcp/"])
async def test_another_user_gets_no_further_at_other_paths(hosting, path: str) -> None:
    async with hosting(HttpSettings(transport="sse")) as url:
        address = httpx.URL(url)
        os.seteuid(NOBODY)
        try:
            raw = socket.socket()
        finally:
            os.seteuid(0)
        with raw, anyio.fail_after(PATIENCE):
            raw.connect((address.host, address.port or 0))
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n\r\n".encode())
            await anyio.wait_readable(raw)
            assert raw.recv(65_536).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("owner", [None, 4_711])
async def test_who_is_not_known_to_be_the_operator_is_refused(owner: int | None) -> None:
    """None is who sent a request and closed: the system no longer tells who it was."""
    asked: list[object] = []

    def find(*ends: object) -> int | None:
        asked.append(ends)
        return owner

    auth, connection = LoopbackAuth(find), Connection(*ENDS)
    for _ in range(2):
        with pytest.raises(Forbidden, match="another user"):
            await auth.authenticate(Headers(), connection)
    assert asked == [ENDS], "the system is asked once for each connection"


async def test_a_connection_whose_ends_are_not_known_is_refused() -> None:
    with pytest.raises(Forbidden):
        await LoopbackAuth(lambda *_: os.geteuid()).authenticate(Headers(), Connection())


def test_it_is_said_at_the_start_where_the_system_tells_no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(serving, "owner_finder", lambda _: None)
    monkeypatch.setattr(serving.anyio, "run", lambda *_, **__: None)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        serving.serve(uvicorn.Server(uvicorn.Config(lambda *_: None)), HttpSettings(port=0), said.append)
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert said[0].startswith("Serving on http://127.0.0.1:")
    assert said[1].startswith("Every user of this machine can connect and act with your key")
    assert "--http-auth local" in said[1]


async def test_the_token_of_this_machine_is_made_once_and_lets_its_bearer_in(hosting, dial) -> None:
    async with hosting(HttpSettings(auth="local")) as url:
        token = read_local_token()
        assert token is not None
        assert token.startswith("apmcp_")
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            without = await http.post(f"{url}/mcp", json=LIST, headers=ACCEPT)
            wrong = await http.post(f"{url}/mcp", json=LIST, headers=ACCEPT | {"Authorization": f"Bearer {token}x"})
        assert (without.status_code, wrong.status_code) == (401, 401)
        assert without.text == wrong.text
        async with dial(url, {"Authorization": f"Bearer {token}"}) as client:
            assert {"buy_number", "list_numbers"} <= {tool.name for tool in (await client.list_tools()).tools}
    assert await LocalTokenAuth().authenticate(Headers({"Authorization": f"Bearer {token}"})) is OPERATOR


@POSIX
def test_the_file_of_the_token_is_the_users_alone() -> None:
    LocalTokenAuth()
    assert local_token_file().stat().st_mode & 0o777 == 0o600
    assert local_token_file().parent.stat().st_mode & 0o777 == 0o700


@POSIX
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_token_that_others_may_know_or_have_written_is_not_used(mode: int) -> None:
    LocalTokenAuth()
    local_token_file().chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        LocalTokenAuth()


@POSIX
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    LocalTokenAuth()
    moved = local_token_file().rename(tmp_path / "elsewhere")
    local_token_file().symlink_to(moved)
    with pytest.raises(ConfigError, match="it is a link"):
        LocalTokenAuth()


@POSIX
def test_a_pipe_in_its_place_is_no_file() -> None:
    local_token_file().parent.mkdir(parents=True)
    os.mkfifo(local_token_file(), 0o600)
    with pytest.raises(ConfigError, match="it is not a file"):
        LocalTokenAuth()


@pytest.mark.parametrize("text", ["", "apmcp_short", "sk_live_0123456789012345678901234567890123456789"])
def test_a_file_without_a_token_is_said_to_have_none(text: str) -> None:
    local_token_file().parent.mkdir(parents=True)
    local_token_file().write_text(text)
    local_token_file().chmod(0o600)
    with pytest.raises(ConfigError, match="holds no token"):
        LocalTokenAuth()


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"allowed_hosts": ("phone.example",)}])
def test_the_token_of_this_machine_is_for_this_machine(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="AGENTPHONE_HTTP_AUTH: everybody"):
        HttpSettings(auth="local", **settings)
