"""Keep whoever has no key from the sandbox's account, and from its memory."""

import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox, authentication, running
from agentphone_mcp.sandbox.authentication import LARGEST_BODY, LARGEST_BODY_WITHOUT_KEY, watch_token
from agentphone_mcp.sandbox.routes.sign_up import MOST_SIGN_UPS, OWNERS_EMAIL
from tests.sandbox.clients import bearer, in_process

ENDLESS = pytest.mark.attack("19", "bodies without end and without a key")
WATCHED = pytest.mark.attack("19", "another user of the machine looks at the sandbox's page")
REBOUND = pytest.mark.attack("19", "a web page of another site reaches the sandbox")
UNBOUNDED = pytest.mark.attack("19", "what needs no key grows without bound")
SHOWN = ("/__sandbox/view", "/__sandbox/events")


@pytest.fixture
async def stranger(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(sandbox, headers={}) as client:
        yield client


class Endless:
    """A body of megabytes that counts how much of it was asked for."""

    def __init__(self) -> None:
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.given < 50_000_000:
            self.given += 65_536
            yield bytes(65_536)


@ENDLESS
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/contacts", 401),
        ("/__sandbox/reset", 401),
        ("/v0/agent/sign-up", 413),
        ("/v0/agent/verify", 413),
        ("/", 413),
        ("/nowhere", 413),
    ],
)
async def test_a_body_without_end_is_not_read(stranger: httpx.AsyncClient, path: str, status: int) -> None:
    body = Endless()
    answer = await stranger.post(path, content=body)
    assert answer.status_code == status
    assert body.given <= LARGEST_BODY_WITHOUT_KEY + 2 * 65_536


@ENDLESS
async def test_a_body_without_end_is_not_read_with_the_key_either(api: httpx.AsyncClient) -> None:
    body = Endless()
    assert (await api.post("/v1/contacts", content=body)).status_code == 413
    assert body.given <= LARGEST_BODY + 2 * 65_536


@ENDLESS
async def test_half_open_connections_are_bounded_and_others_served() -> None:
    with running() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        halves = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        for half in halves:
            half.sendall(b"POST /v1/calls HTTP/1.1\r\nContent-Length: 9\r\n")
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            assert (await http.get(sandbox.url + "/v1/usage", headers=bearer(sandbox))).status_code == 200
        halves[0].settimeout(60)
        with suppress(ConnectionResetError):
            assert halves[0].recv(1) == b"", "it was closed, and not answered"
        for half in halves:
            half.close()


@WATCHED
@pytest.mark.parametrize("path", SHOWN)
@pytest.mark.parametrize("token", ["", "0" * 32, "é"])
async def test_nothing_is_shown_without_the_token_of_the_link(
    stranger: httpx.AsyncClient, path: str, token: str
) -> None:
    for answer in (
        await stranger.get(path, params={"token": token}),
        await stranger.get(path, headers={"Authorization": f"Bearer {token}".encode()}),
    ):
        assert answer.status_code == 401
        assert "Open the link that the sandbox printed" in answer.text
        assert "Front Desk" not in answer.text


@WATCHED
async def test_the_token_of_the_link_opens_the_page_and_nothing_else(
    sandbox: Sandbox, stranger: httpx.AsyncClient
) -> None:
    token = watch_token(sandbox.key)
    assert sandbox.page_url.endswith(f"/#token={token}")
    assert token not in sandbox.key
    assert (await stranger.get("/__sandbox/view", params={"token": token})).status_code == 200
    watcher = {"Authorization": f"Bearer {token}"}
    assert (await stranger.get("/__sandbox/view", headers=watcher)).status_code == 200
    for path in ("/v1/usage", "/__sandbox/mails", "/__sandbox/requests", "/__sandbox/faults"):
        assert (await stranger.get(path, headers=watcher)).status_code == 401
        assert (await stranger.get(path, params={"token": token})).status_code == 401


@WATCHED
async def test_a_code_is_seen_by_nobody_without_the_token_or_the_key(stranger: httpx.AsyncClient) -> None:
    """With the code of a sign-up anybody on the machine got the sandbox's key."""
    begun = (await stranger.post("/v0/agent/sign-up", json={"human_email": "eve@example.com"})).json()
    for path in ("/", *SHOWN, "/__sandbox/mails", "/__sandbox/requests"):
        assert "eve@example.com" not in (await stranger.get(path)).text
    tried = {"verification_id": begun["verification_id"], "otp_code": "000000"}
    answers = [(await stranger.post("/v0/agent/verify", json=tried)).status_code for _ in range(4)]
    assert set(answers) <= {400, 200}
    assert answers[-1] != 200


@REBOUND
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/v0/agent/sign-up", "/v0/agent/verify", "/v1/contacts", "/__sandbox/reset", "/"])
async def test_pages_of_other_sites_reach_no_path(
    api: httpx.AsyncClient, sandbox: Sandbox, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await api.post(path, json={"human_email": "eve@example.com"}, headers=headers)
    assert answer.status_code == status
    assert not sandbox.context.account.sign_ups
    assert not sandbox.requests


@UNBOUNDED
async def test_sign_ups_that_nobody_finishes_are_bounded(sandbox: Sandbox, stranger: httpx.AsyncClient) -> None:
    sign_ups = sandbox.context.account.sign_ups
    for number in range(MOST_SIGN_UPS + 20):
        body = {"human_email": f"eve{number}@example.com"}
        assert (await stranger.post("/v0/agent/sign-up", json=body)).status_code == 200
    assert len(sign_ups) == MOST_SIGN_UPS
    last = list(sign_ups.values())[-1]
    verified = {"verification_id": last.id, "otp_code": last.code}
    assert (await stranger.post("/v0/agent/verify", json=verified)).json()["api_key"] == sandbox.key
    await sandbox.context.clock.advance(3_600)
    assert (await stranger.post("/v0/agent/sign-up", json={"human_email": "ann@example.com"})).status_code == 200
    assert [each.email for each in sign_ups.values()] == [last.email, "ann@example.com"]
    assert (await stranger.post("/v0/agent/sign-up", json={"human_email": OWNERS_EMAIL})).status_code == 409


@UNBOUNDED
async def test_requests_without_the_key_leave_little_in_the_log(sandbox: Sandbox, stranger: httpx.AsyncClient) -> None:
    """Ten thousand are kept, and each could bring a query of kilobytes."""
    for path in ("/v1/usage", "/nowhere"):
        await stranger.get(
            f"{path}/{'x' * 9_000}", params={"x": "y" * 9_000}, headers={"X-Sub-Account-Id": "z" * 9_000}
        )
    for row in sandbox.requests:
        assert len(row.path) + len(str(row.query)) + len(row.sub_account or "") < 400


@UNBOUNDED
async def test_long_queries_count_as_bodies_do(
    api: httpx.AsyncClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "LOG_BYTES", 1_000)
    for _ in range(3):
        await api.get("/v1/agents", params={"x": "y" * 600})
    assert len(sandbox.requests) == 1


@UNBOUNDED
async def test_an_email_has_a_length(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/v0/agent/sign-up", json={"human_email": f"eve@{'x' * 260}.example"})
    assert answer.status_code == 422
    with anyio.fail_after(60):
        assert (await stranger.post("/v0/agent/sign-up", content=b"[" * 10_000)).status_code == 422
