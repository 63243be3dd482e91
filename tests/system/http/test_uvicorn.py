"""Check what is used of uvicorn, and which protocol and event loop are chosen."""

import asyncio
import sys

import anyio
import pytest

from agentphone_mcp.server.http.serve import event_loop_options
from agentphone_mcp.system.http.protocol import protocol
from agentphone_mcp.system.http.timeouts import UvicornProtocol
from agentphone_mcp.system.http.timeouts_h11 import ClientTimeoutsH11
from agentphone_mcp.system.http.timeouts_httptools import ClientTimeoutsHttpTools
from tests.system.http.served import GET, Served


async def test_uvicorn_still_has_the_private_attributes_in_use(calm: Served) -> None:
    """These attributes are private, so a new version of uvicorn may lack them."""
    client = await calm.connect(GET)
    await client.answer(b"<0>")
    (connection,) = calm.protocols
    used = {*UvicornProtocol.__annotations__, "on_response_complete", "send_400_response"}
    assert used <= set(dir(connection))
    used = {"disconnected", "message_event", "response_complete", "response_started", "waiting_for_100_continue"}
    assert used <= set(dir(connection.cycle))


def test_the_faster_protocol_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert protocol() is ClientTimeoutsHttpTools
    monkeypatch.setitem(sys.modules, ClientTimeoutsHttpTools.__module__, None)
    assert protocol() is ClientTimeoutsH11


def test_the_faster_loop_is_used_where_it_is_installed() -> None:
    async def loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    used = anyio.run(loop, backend_options=event_loop_options())
    assert used.startswith("uvloop") == (sys.platform != "win32")
