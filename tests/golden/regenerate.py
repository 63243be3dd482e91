"""Regenerate what is derived from the tools, for review: `python tests/golden/regenerate.py`.

tools.json is the whole surface that models and hosts see; the README has a table of the tools, and SANDBOX.md one of
the callees; surface.json in the package has the answers that describe the server, as the SDK gives them; ATTACKS.md
lists the tests of what once got past.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("tools.json")
README = ROOT / "README.md"
SANDBOX = ROOT / ".github/SANDBOX.md"
sys.path.append(str(ROOT))

from manifests.source.marked import replaced  # noqa: E402 - found by the line above
from tests import attacks  # noqa: E402

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "golden", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def surface() -> str:
    """Return all tools in their order, as indented JSON."""
    from agentphone_mcp.config.config import Config
    from agentphone_mcp.server.server import create_server

    tools = asyncio.run(create_server(Config()).list_tools())
    shown = [
        tool.model_dump(
            mode="json",
            by_alias=True,
            exclude_none=True,
            include={"name", "description", "input_schema", "output_schema", "annotations"},
        )
        for tool in tools
    ]
    return json.dumps(shown, ensure_ascii=False, indent=2) + "\n"


class Host:
    """Send lines to a server in this process, each after the answer to the one before, and keep the answers.

    It stands in for both streams of the server.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._is_answered = asyncio.Event()
        self.answers: list[dict[str, Any]] = []

    async def __aiter__(self) -> AsyncGenerator[str]:
        for line in self._lines:
            self._is_answered.clear()
            yield f"{line}\n"
            if '"id"' in line:
                await self._is_answered.wait()

    async def write(self, text: str) -> None:
        """Keep an answer."""
        self.answers.append(json.loads(text))
        self._is_answered.set()

    async def flush(self) -> None:
        """Do nothing, as nothing is buffered."""


async def answers_of_the_sdk(messages: list[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
    """Return what a server with these settings answers to these messages, one after the other."""
    from agentphone_mcp.config.config import Config
    from agentphone_mcp.server.server import create_server

    host = Host([json.dumps(message) for message in messages])
    await create_server(Config(**settings)).run_over(host)
    return host.answers


def request(number: int, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Make a JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": number, "method": method} | ({} if params is None else {"params": params})


async def precomputed() -> dict[str, Any]:
    """Return the content of surface.json: results of the SDK, without what depends on settings and version."""
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION

    from agentphone_mcp.features.instructions import INSTRUCTIONS
    from agentphone_mcp.features.tools.catalog import CATALOG

    hello = {"protocolVersion": HANDSHAKE_PROTOCOL_VERSIONS[-1], "capabilities": {}}
    hello["clientInfo"] = {"name": "golden", "version": "1"}
    initialize, discover = {}, {}
    for name, toolsets in (("with_calls", tuple(CATALOG)), ("without_calls", ("account",))):
        old = await answers_of_the_sdk([request(1, "initialize", hello)], toolsets=toolsets)
        new = await answers_of_the_sdk([request(1, "server/discover", {"_meta": MODERN})], toolsets=toolsets)
        initialize[name], discover[name] = old[0]["result"], new[0]["result"]
    server = initialize["with_calls"]["serverInfo"]
    varying = ("protocolVersion", "serverInfo", "instructions", "_meta")
    [listed] = await answers_of_the_sdk([request(1, "tools/list", {"_meta": MODERN})])
    tools = {tool["name"]: tool for tool in listed["result"].pop("tools")}
    return {
        "made_with": {name: version(name.replace("_", "-")) for name in ("mcp", "mcp_types")},
        "handshakes": list(HANDSHAKE_PROTOCOL_VERSIONS),
        "modern": LATEST_MODERN_VERSION,
        "server": {name: value for name, value in server.items() if name != "version"},
        "initialize": {name: _without(varying, result) for name, result in initialize.items()},
        "discover": {name: _without(varying, result) for name, result in discover.items()},
        "modern_list": _without(varying, listed["result"]),
        "instructions": INSTRUCTIONS,
        "tools": [
            {"toolset": toolset, "scope": declared.scope, "tool": tools[declared.name]}
            for toolset, all_declared in CATALOG.items()
            for declared in all_declared
        ],
    }


def _without(names: tuple[str, ...], result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in names}


def wire() -> str:
    """Return surface.json as compact JSON, as every start reads it."""
    return json.dumps(asyncio.run(precomputed()), ensure_ascii=False, separators=(",", ":")) + "\n"


def pages() -> dict[Path, str]:
    """Return each page with its table regenerated: the README's of the tools, the sandbox page's of the callees."""
    from agentphone_mcp.features.tools.catalog import CATALOG
    from agentphone_mcp.sandbox.data import callees

    tools = ["| toolset | tools |", "|---|---|"]
    tools += [f"| {name} | {'<br>'.join(_sentence(tool) for tool in declared)} |" for name, declared in CATALOG.items()]
    people = [line for line in (callees.__doc__ or "").splitlines() if line.startswith("|")]
    return {
        page: replaced(page.read_text(encoding="utf-8"), part, lines)
        for page, part, lines in ((README, "tools", tools), (SANDBOX, "callees", people))
    }


def _sentence(tool: Any) -> str:
    """Name a tool with its mark and the first sentence of its docstring."""
    first, _, _ = " ".join(tool.function.__doc__.split()).partition(". ")
    return f"`{tool.name}` {tool.mark}".strip() + f": {first.rstrip('.')}."


if __name__ == "__main__":
    from agentphone_mcp.server.stdio.surface import SURFACE

    GOLDEN.write_text(surface(), encoding="utf-8")
    SURFACE.write_text(wire(), encoding="utf-8")
    attacks.PAGE.write_text(attacks.page(), encoding="utf-8")
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
