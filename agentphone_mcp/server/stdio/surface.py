"""Load the precomputed answers of the server, which are given before the SDK is imported."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from agentphone_mcp import __version__
from agentphone_mcp.features.instructions import without_lines_on
from agentphone_mcp.policy.access import Scope, included_scopes

SURFACE = Path(__file__).with_name("surface.json")
SERVER_INFO = "io.modelcontextprotocol/serverInfo"


@dataclass(frozen=True)
class Surface:
    """Hold the results that a server gives to every host alike.

    Attributes:
        handshakes: the protocol versions that `initialize` agrees on, the newest last.
        modern: the version that is spoken without a handshake.
        initialize: the result, but for the protocol version.
        discover: the result of `server/discover`.
        tools: the result of `tools/list` after a handshake.
        modern_tools: the same without one.
    """

    handshakes: list[str]
    modern: str
    initialize: dict[str, Any]
    discover: dict[str, Any]
    tools: dict[str, Any]
    modern_tools: dict[str, Any]


def load(toolsets: Collection[str], scope: Scope, *, cache: Path, file: Path = SURFACE) -> Surface | None:
    """Load the surface of such a server; None if it may differ from what the SDK would answer.

    The cache is the folder that remembers that the SDK answered differently; see `note_difference`.
    """
    try:
        golden = json.loads(file.read_text(encoding="utf-8"))
        if not all(map(_is_installed, golden["made_with"].items())) or _memory(cache, golden).exists():
            return None
        return select(golden, toolsets, scope)
    except (OSError, ValueError, LookupError):
        return None


def select(golden: dict[str, Any], toolsets: Collection[str], scope: Scope) -> Surface:
    """Select the part of the whole surface for a server with some toolsets and callers of a scope."""
    rows, scopes = golden["tools"], included_scopes(scope)
    shown = [row for row in rows if row["toolset"] in toolsets and row["scope"] in scopes]
    tools = [row["tool"] for row in shown]
    absent = {row["tool"]["name"] for row in rows} - {tool["name"] for tool in tools}
    info = golden["server"] | {"version": __version__}
    stamp = {"_meta": {SERVER_INFO: info}}
    about = {"instructions": without_lines_on(absent, golden["instructions"])}
    # What can be subscribed to are calls.
    subscribing = "with_calls" if "calls" in toolsets else "without_calls"
    return Surface(
        handshakes=golden["handshakes"],
        modern=golden["modern"],
        initialize=golden["initialize"][subscribing] | about | {"serverInfo": info},
        discover=golden["discover"][subscribing] | about | stamp,
        tools={"tools": tools},
        modern_tools=golden["modern_list"] | {"tools": tools} | stamp,
    )


def note_difference(cache: Path, method: str) -> None:
    """Log that the SDK answered a method differently, and have the next starts with these versions wait for it."""
    import logging

    from agentphone_mcp.system.state_files import open_unlinked

    logger = logging.getLogger(__name__)
    logger.warning("the SDK answers %s otherwise than was said before it was imported: the next start waits", method)
    try:
        memory = _memory(cache, json.loads(SURFACE.read_text(encoding="utf-8")))
        cache.mkdir(parents=True, exist_ok=True)
        with open(memory, "w", encoding="utf-8", opener=open_unlinked) as file:
            file.write(f"The SDK answered {method} otherwise than surface.json.\n")
    except OSError as exc:
        logger.warning("that cannot be written down for the next start: %s", exc)


def _memory(cache: Path, golden: dict[str, Any]) -> Path:
    made_with = "-".join(golden["made_with"].values())
    return cache / f"plain-start-{__version__}-{made_with}"


def _is_installed(package_and_version: tuple[str, str]) -> bool:
    """Return whether a package of exactly this version would be imported; asking its metadata takes 20 ms and more."""
    package, version = package_and_version
    spec = PathFinder.find_spec(package)
    if spec is None or spec.origin is None:
        return False
    return (Path(spec.origin).parents[1] / f"{package}-{version}.dist-info").is_dir()
