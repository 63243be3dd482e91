"""A host that speaks raw lines to our command, and can keep the SDK out for as long as it likes."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agentphone_mcp.server.stdio.surface import load
from agentphone_mcp.variables import TOOLSETS
from tests.support import COMMAND, PATIENCE, ROOT, clean_environment

GATE = """\
import sys

class Gate:
    def find_spec(self, name, path=None, target=None):
        if name == "mcp":
            sys.meta_path.remove(self)
            import socket, subprocess
            # What strangers print must not reach the host, and what it says must not reach their children.
            print("printed", flush=False)
            subprocess.run([sys.executable, "-c", "import sys; print('by a child', sys.stdin.read())"], check=True)
            with socket.create_connection(("127.0.0.1", {port})) as gate:
                gate.recv(1)

sys.meta_path.insert(0, Gate())
"""


class Host:
    """One process of ours and the two ends of its pipes.

    Args:
        process: the server.
        gate: where the SDK waits to be let in.
    """

    def __init__(self, process: asyncio.subprocess.Process, gate: socket.socket) -> None:
        self.process = process
        self._gate = gate

    async def say(self, *lines: bytes | dict[str, Any]) -> None:
        """Write, and see it out of our hands."""
        for line in lines:
            self.process.stdin.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        # Whoever ended already hears no more.
        with suppress(ConnectionError):
            await self.process.stdin.drain()

    async def hear(self, count: int) -> list[Any]:
        """The next messages, each a line of its own."""
        async with asyncio.timeout(PATIENCE):
            return [json.loads(await self.process.stdout.readline()) for _ in range(count)]

    async def let_the_sdk_in(self) -> None:
        """Let the process import it; waits until it has come to that."""
        async with asyncio.timeout(PATIENCE):
            arrived, _ = await asyncio.get_running_loop().sock_accept(self._gate)
        arrived.send(b"!")
        arrived.close()

    async def end(self) -> tuple[list[Any], str]:
        """Say no more: what is still heard then, and what was logged."""
        async with asyncio.timeout(PATIENCE):
            rest, log = await self.process.communicate(b"")
        return [json.loads(line) for line in rest.splitlines()], log.decode()


Started = Callable[..., AbstractAsyncContextManager[Host]]


@pytest.fixture
def started(tmp_path: Path) -> Started:
    """Start our command as a host would, with these settings; the SDK is not imported before it is let in."""
    if load(TOOLSETS, "spend", cache=tmp_path) is None:
        pytest.skip("with another SDK than surface.json was made with, every start waits for it")

    @asynccontextmanager
    async def started(**settings: str) -> AsyncGenerator[Host]:
        with socket.socket() as gate:
            gate.bind(("127.0.0.1", 0))
            gate.listen()
            gate.setblocking(False)
            (tmp_path / "sitecustomize.py").write_text(GATE.format(port=gate.getsockname()[1]), encoding="utf-8")
            own = {"AGENTPHONE_KEYCHAIN": "off", "AGENTPHONE_STATE": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
            own["PYTHONPATH"] = os.pathsep.join((str(tmp_path), str(ROOT)))
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                env=clean_environment() | own | settings,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                limit=1 << 24,
            )
            try:
                yield Host(process, gate)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.communicate(b"")

    return started
