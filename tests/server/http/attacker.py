"""Make requests with valid or invalid parts, all from one seed."""

import base64
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

from tests.server.http.fuzz_values import (
    CALL,
    ENVELOPE,
    LEGACY,
    MODERN,
    FuzzValues,
    to_json,
)
from tests.server.http.raw_http import Attack, Site

Header = tuple[str, str]
Era = Literal["legacy", "modern"]
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_JSON = ("Content-Type", "application/json")
ACCEPT_BOTH = ("Accept", "application/json, text/event-stream")


def head(verb: str, target: str, headers: Sequence[Header], version: str = "HTTP/1.1") -> bytes:
    """Return the head of a request, with nothing checked or escaped."""
    lines = [f"{verb} {target} {version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Attacker:
    """Makes one attack, the same one for the same seed and site."""

    def __init__(self, seed: str, site: Site) -> None:
        self.random = Random(seed)
        self.values = FuzzValues(self.random)
        self.site = site
        self.era: Era = self.random.choice(("legacy", "modern"))

    @property
    def host(self) -> Header:
        return ("Host", f"{self.site.host}:{self.site.port}")

    def headers(self, message: Any = None) -> list[Header]:
        """Return the headers that a real client of the era sends with a message."""
        common = [self.host, _JSON, ACCEPT_BOTH, *self.site.headers]
        if self.era == "legacy":
            return [*common, ("Mcp-Session-Id", self.site.session), ("MCP-Protocol-Version", LEGACY)]
        method = message.get("method") if isinstance(message, dict) else "tools/list"
        params = message.get("params") if isinstance(message, dict) else None
        named = params.get(_NAMED.get(str(method), "")) if isinstance(params, dict) else None
        common += [("MCP-Protocol-Version", MODERN), ("Mcp-Method", _fit(method))]
        return common if named is None else [*common, ("Mcp-Name", _fit(named))]

    def message(self, method: str, params: Any) -> dict[str, Any]:
        if self.era == "modern" and isinstance(params, dict):
            params = {**params, "_meta": {**ENVELOPE, **_object(params.get("_meta"))}}
        message = {"jsonrpc": "2.0", "id": self.random.randrange(1, 1_000_000), "method": method, "params": params}
        if method.startswith("notifications/"):
            del message["id"]
        return message

    def post(self, body: bytes, headers: Sequence[Header], target: str = "", verb: str = "POST") -> bytes:
        return head(verb, target or self.site.path, [*headers, ("Content-Length", str(len(body)))]) + body

    def send(self, message: Any) -> bytes:
        """Return a message with valid headers."""
        return self.post(to_json(message), self.headers(message))

    def valid_message(self) -> dict[str, Any]:
        return self.message("tools/call", CALL) if self.random.random() < 0.7 else self.message("tools/list", {})

    def with_headers(self, *wrong: Header) -> bytes:
        message = self.valid_message()
        names = {name.lower() for name, _ in wrong}
        kept = [header for header in self.headers(message) if header[0].lower() not in names]
        return self.post(to_json(message), [*kept, *wrong])

    def pick(self, *options: Any) -> Any:
        return self.random.choice(options)


Kind = Callable[[Attacker], Attack]


def _fit(value: Any) -> str:
    """Encode a value of the body as a header, as MCP does."""
    text = value if isinstance(value, str) else str(value)[:100]
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'replace')).decode()}?="


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
