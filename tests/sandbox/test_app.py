"""Check the key, the log of requests, and answers to unknown paths."""

import httpx
import pytest
from starlette.requests import Request
from starlette.routing import Route

from agentphone_mcp.sandbox import Sandbox


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("Bearer sk_live_somebody_elses", id="another-key"),
        pytest.param("Bearer", id="no-key"),
        pytest.param("Basic c2s6", id="another-scheme"),
        pytest.param("Bearer schlüssel", id="not-ascii"),
    ],
)
async def test_a_request_without_the_key_is_refused(
    api: httpx.AsyncClient, sandbox: Sandbox, authorization: str
) -> None:
    answer = await api.get("/v1/agents", headers={"Authorization": authorization.encode()})
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid or missing API key."})
    assert not sandbox.requests[-1].authorized


async def test_a_refused_write_changes_nothing(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await api.post("/v1/numbers", json={}, headers={"Authorization": ""})
    assert list(sandbox.context.account.numbers) == ["num_frontdesk"]


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        pytest.param("GET", "/v1/nothing", 404, "Not Found", id="unknown-path"),
        pytest.param("GET", "/v2", 404, "Not Found", id="outside-v1"),
        pytest.param("GET", "/v1/agents/", 404, "Not Found", id="trailing-slash"),
        pytest.param("PUT", "/v1/agents", 405, "Method Not Allowed", id="wrong-method"),
    ],
)
async def test_what_no_route_serves_is_answered_in_json(
    api: httpx.AsyncClient, method: str, path: str, status: int, detail: str
) -> None:
    answer = await api.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


async def test_a_handler_that_breaks_is_answered_with_500(api: httpx.AsyncClient, sandbox: Sandbox) -> None:

    async def broken(_: Request) -> None:
        raise RuntimeError("a bug")

    sandbox.app.router.routes.append(Route("/v1/broken", broken))
    answer = await api.get("/v1/broken")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal server error."})
    assert sandbox.requests[-1].status == 500
    assert (await api.get("/v1/usage")).status_code == 200


async def test_a_write_whose_body_never_arrived_is_not_carried_out(sandbox: Sandbox) -> None:
    parts = iter(
        [{"type": "http.request", "body": b'{"country": "US"}', "more_body": True}, {"type": "http.disconnect"}]
    )
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return next(parts)

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/numbers",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {sandbox.key}".encode())],
    }
    await sandbox.app(scope, receive, send)  # type: ignore[arg-type] - a scope of plain dicts is one
    assert not sent
    assert list(sandbox.context.account.numbers) == ["num_frontdesk"]


def test_a_key_looks_like_a_sandbox_key_unless_one_is_given() -> None:
    assert Sandbox().key.startswith("sk_sandbox_")
    assert Sandbox().key != Sandbox().key
    assert Sandbox(key="mine").key == "mine"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/v1/agents", {}, id="answered"),
        pytest.param("/v1/agents/agt_nobody", {}, id="not-found"),
        pytest.param("/v1/agents", {"Authorization": ""}, id="without-the-key"),
        pytest.param("/v1/nothing", {}, id="no-route"),
    ],
)
async def test_every_answer_has_an_id_of_its_own(api: httpx.AsyncClient, sandbox: Sandbox, path, headers) -> None:
    answers = [await api.get(path, headers={"X-Request-Id": "mine", **headers}) for _ in range(2)]
    named = [answer.headers["X-Request-Id"] for answer in answers]
    assert named == [request.request_id for request in sandbox.requests]
    assert len({"mine", *named}) == 3
