"""Serve a sandbox over HTTP from its own thread, on loopback only."""

import asyncio
import socket
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentphone_mcp.sandbox.app import Sandbox
from agentphone_mcp.sandbox.http.api_versions import ApiVersion
from agentphone_mcp.sandbox.http.faults import Fault
from agentphone_mcp.system.sockets import listening

HOST = "127.0.0.1"
_GRACE = 0.3


@contextmanager
def running(
    *,
    speed: float = 1.0,
    port: int = 0,
    key: str | None = None,
    api_version: ApiVersion = "union",
    faults: Iterable[Fault | str] = (),
    state: Path | None = None,
    allow_remote_webhooks: bool = False,
) -> Generator[Sandbox, None, None]:
    """Serve a sandbox at `sandbox.url` until the block is left; the settings are those of `Sandbox`.

    Raises:
        CannotListen: an OSError, if `port` is in use. `Sandbox` may raise others.
    """
    listener = listening(HOST, port)
    try:
        sandbox = Sandbox(
            speed=speed,
            key=key,
            api_version=api_version,
            faults=faults,
            state=state,
            allow_remote_webhooks=allow_remote_webhooks,
        )
    except BaseException:
        listener.close()
        raise
    sandbox.url = f"http://{HOST}:{listener.getsockname()[1]}"
    service = _Service(sandbox, listener)
    service.start()
    try:
        yield sandbox
    finally:
        service.stop()


class _Service:
    """Run the server in a thread with an event loop. The socket listens before it starts, so no request fails."""

    def __init__(self, sandbox: Sandbox, listener: socket.socket) -> None:
        import uvicorn

        self._sandbox = sandbox
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._leaving = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="agentphone-sandbox", daemon=True)
        self._server = uvicorn.Server(
            uvicorn.Config(
                sandbox.app,
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

        sandbox.faults.disconnect = self._disconnect

    def _disconnect(self, client: Any) -> bool:
        """Abort the connection of a client; tell whether it was found."""
        for connection in list(self._server.server_state.connections):
            if connection.transport.get_extra_info("peername") == client:
                connection.transport.abort()
                return True
        return False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        serving = asyncio.create_task(self._server.serve([self._listener]))
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
        # Open transcript streams end with their calls, so that the server has nothing left to wait for.
        await self._sandbox.aclose()
        self._server.should_exit = True
        leaving.cancel()
        await asyncio.wait([serving], timeout=_GRACE)
        # The rest are clients that never finish their request or never read the answer.
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await serving
