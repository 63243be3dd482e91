"""Answer a host's first messages before the SDK is imported; all others wait for it.

Only exactly known answers are given, and none after a message that could change the meaning of later ones.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from agentphone_mcp.api.parsing import is_list, is_object
from agentphone_mcp.server.stdio.surface import Surface

VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT = "io.modelcontextprotocol/clientInfo"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
_RESERVED = "io.modelcontextprotocol/"
# What is larger or deeper than any such message is; the SDK has limits of its own.
_MOST_CHARACTERS = 100_000
_MOST_BRACKETS = 150
_LARGEST_ID = 2**53
_CLIENT_TEXTS = {"name", "title", "version", "description", "websiteUrl"}

RequestId = int | str


@dataclass(frozen=True)
class Early:
    """Hold an answer that is given before the SDK is imported."""

    id: RequestId
    method: str
    result: dict[str, Any]


class PrecomputedAnswers:
    """Answer the messages of one session, in their order."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        # The first request of a session decides, for the SDK too.
        self._era: Literal["undecided", "handshake", "modern", "unknown"] = "undecided"
        self._used: set[RequestId] = set()

    def to(self, line: str) -> Early | None:
        """Answer a line, or leave it to the SDK."""
        if self._era == "unknown" or not line.strip():
            return None
        message = read_message(line)
        early = self._to(message) if message else None
        # A message that is left to the SDK may change what later ones mean.
        if early is None and (message is None or self._era == "undecided" or message["method"] == "initialize"):
            self._era = "unknown"
        return early

    def _to(self, message: dict[str, Any]) -> Early | None:
        request_id, method, params = message.get("id"), message["method"], message.get("params", {})
        if not is_id(request_id) or request_id in self._used:
            return None
        result = self._result(method, params)
        self._used.add(request_id)
        return None if result is None else Early(request_id, method, result)

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        surface = self._surface
        match self._era, method:
            case "undecided", "initialize" if _is_handshake(params):
                self._era = "handshake"
                requested = params["protocolVersion"]
                agreed = requested if requested in surface.handshakes else surface.handshakes[-1]
                return surface.initialize | {"protocolVersion": agreed}
            case "handshake", "tools/list" if params.keys() <= {"_meta"} and _is_plain_meta(params.get("_meta", {})):
                return surface.tools
            case "undecided" | "modern", "server/discover" | "tools/list" if self._is_modern(params):
                self._era = "modern"
                return surface.discover if method == "server/discover" else surface.modern_tools
            case _:
                return None

    def _is_modern(self, params: dict[str, Any]) -> bool:
        meta = params.get("_meta")
        if params.keys() != {"_meta"} or not is_object(meta) or meta.get(VERSION) != self._surface.modern:
            return False
        rest = {name: value for name, value in meta.items() if name not in (VERSION, CLIENT, CAPABILITIES)}
        is_known = CLIENT not in meta or _is_client(meta[CLIENT])
        return is_known and _are_capabilities(meta.get(CAPABILITIES)) and _is_plain_meta(rest)


def read_message(line: str) -> dict[str, Any] | None:
    """Read a request or a notification; None for what is neither, or what another parser might read otherwise."""
    is_odd = len(line) > _MOST_CHARACTERS or line.count("{") + line.count("[") > _MOST_BRACKETS
    # Half a character, as in \ud800, is refused by some parsers.
    if is_odd or "\\ud" in line.lower():
        return None
    try:
        message = json.loads(line, object_pairs_hook=_once_each, parse_float=_refuse, parse_constant=_refuse)
    except ValueError:
        return None
    if not is_object(message) or not message.keys() <= {"jsonrpc", "id", "method", "params"}:
        return None
    is_one = message.get("jsonrpc") == "2.0" and isinstance(message.get("method"), str)
    return message if is_one and is_object(message.get("params", {})) else None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Reject JSON objects with duplicate names."""
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name stands twice")
    return read


def _refuse(number: str) -> float:
    """Refuse fractions and infinities, which no such message has."""
    raise ValueError(f"{number} is no whole number")


def is_id(value: Any) -> TypeGuard[RequestId]:
    """Tell whether a request can be told from others by it, for us and the SDK alike."""
    if isinstance(value, str):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_ID


def _is_handshake(params: dict[str, Any]) -> bool:
    return (
        params.keys() <= {"protocolVersion", "capabilities", "clientInfo", "_meta"}
        and isinstance(params.get("protocolVersion"), str)
        and _are_capabilities(params.get("capabilities"))
        and _is_client(params.get("clientInfo"))
        and _is_plain_meta(params.get("_meta", {}))
    )


def _is_plain_meta(meta: Any) -> bool:
    """Tell whether it has at most a progress token, which is not used here, and the sender's own keys."""
    if not is_object(meta) or any(name.startswith(_RESERVED) or name == "progress_token" for name in meta):
        return False
    return "progressToken" not in meta or is_id(meta["progressToken"])


def _is_client(info: Any) -> bool:
    if not is_object(info) or not {"name", "version"} <= info.keys() <= _CLIENT_TEXTS | {"icons"}:
        return False
    return all(_are_icons(value) if name == "icons" else isinstance(value, str) for name, value in info.items())


def _are_icons(icons: Any) -> bool:
    def is_icon(icon: Any) -> bool:
        if not is_object(icon) or not {"src"} <= icon.keys() <= {"src", "mimeType", "sizes"}:
            return False
        sizes = icon.get("sizes", [])
        texts = [icon["src"], icon.get("mimeType", ""), *(sizes if is_list(sizes) else [None])]
        return all(isinstance(text, str) for text in texts)

    return is_list(icons) and all(map(is_icon, icons))


def _are_capabilities(capabilities: Any) -> bool:
    """Tell whether the ones that the protocol knows have its form; the server makes no use of them here."""
    if not is_object(capabilities):
        return False

    def is_known(name: str, value: Any) -> bool:
        match name:
            case "roots":
                return value in ({}, {"listChanged": True}, {"listChanged": False})
            case "experimental" | "extensions" | "sampling" | "elicitation":
                return is_object(value) and all(map(is_object, value.values()))
            case "tasks":
                return _is_tree(value)
            case _:
                return True

    return all(is_known(name, value) for name, value in capabilities.items())


def _is_tree(value: Any) -> bool:
    """Tell whether it is an object of objects, all the way down."""
    return is_object(value) and all(map(_is_tree, value.values()))
