"""Check the server in its thread."""

import socket
import threading
import time

import httpx
import httpx_sse
import pytest

from agentphone_mcp.sandbox import Sandbox, running
from agentphone_mcp.system.sockets import CannotListen, listening
from tests.sandbox.clients import bearer


def test_a_running_sandbox_answers_on_loopback_only(served: Sandbox) -> None:
    assert served.url.startswith("http://127.0.0.1:")
    assert httpx.get(served.url + "/v1/usage", trust_env=False).status_code == 401


def test_answers_over_one_connection_are_not_held_back() -> None:
    """Nagle's algorithm would hold each back for some 40 ms; asyncio switches it off only for a named protocol."""
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_two_sandboxes_share_nothing() -> None:
    with running() as one, running() as other:
        assert one.url != other.url
        answer = httpx.get(other.url + "/v1/usage", headers=bearer(one), trust_env=False)
        assert answer.status_code == 401


def test_a_taken_port_is_told_clearly() -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}"), running(port=port):
            pass
    assert issubclass(CannotListen, OSError)


def test_a_port_can_be_used_again_at_once() -> None:
    with running() as first:
        port = int(first.url.rpartition(":")[2])
        httpx.get(first.url, trust_env=False)
    with running(port=port) as second:
        assert second.url == first.url
        assert httpx.get(second.url, trust_env=False).status_code == 200


def test_leaving_cuts_open_streams_and_ends_the_thread() -> None:
    heard: list[str] = []
    connected = threading.Event()

    def listen(sandbox: Sandbox, path: str) -> None:
        with (
            httpx.Client(base_url=sandbox.url, headers=bearer(sandbox), trust_env=False, timeout=60) as http,
            httpx_sse.connect_sse(http, "GET", path) as stream,
        ):
            for event in stream.iter_sse():
                heard.append(event.event)
                connected.set()

    with running() as sandbox:
        wanted = {"agentId": "agt_frontdesk", "toNumber": "+14155550123"}
        call = httpx.post(sandbox.url + "/v1/calls", json=wanted, headers=bearer(sandbox), trust_env=False).json()
        listener = threading.Thread(target=listen, args=(sandbox, f"/v1/calls/{call['id']}/transcript/stream"))
        listener.start()
        assert connected.wait(5)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 10
    listener.join(5)
    assert heard == ["connected"]
    assert all(thread.name != "agentphone-sandbox" for thread in threading.enumerate())


def test_half_a_request_does_not_hold_the_sandbox_up() -> None:
    with running() as sandbox, socket.socket() as client:
        client.connect(("127.0.0.1", int(sandbox.url.rpartition(":")[2])))
        client.sendall(b"POST /v1/numbers HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 100\r\n\r\n{")
        assert httpx.get(sandbox.url, trust_env=False).status_code == 200
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 10
    assert [request.path for request in sandbox.requests] == ["/"]
