"""Hostile requests by their kind, each made from a seed alone: what was sent once can be sent again."""

import base64
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

from junk import CALL, COMMON, ENVELOPE, HELLO, LEGACY, MODERN, NEW, NO_METHODS, OLD, Junk, tools, written
from raw import Attack, Site

Header = tuple[str, str]
Era = Literal["legacy", "modern"]
_TOOLS = tools()
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_JSON = ("Content-Type", "application/json")
_BOTH = ("Accept", "application/json, text/event-stream")
# Characters that end a header and begin another, written as bytes of the line itself or in disguise.
_BREAKS = tuple(f"{end}X-Injected: 1" for end in ("\r\n", "\n", "\r", "%0d%0a", "\u010d\u010a"))
_FORGED = ("x", "0" * 32, "f" * 10_000, "é", "\x7f", "a b", "null", "../..", "'", "=?base64?eA==?=", "\0", "", *_BREAKS)


def head(verb: str, target: str, headers: Sequence[Header], version: str = "HTTP/1.1") -> bytes:
    """The head of a request, with nothing checked and nothing escaped."""
    lines = [f"{verb} {target} {version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Attacker:
    """Makes one attack; the same one for the same seed and site."""

    def __init__(self, seed: str, site: Site) -> None:
        self.random = Random(seed)
        self.junk = Junk(self.random)
        self.site = site
        self.era: Era = self.random.choice(("legacy", "modern"))

    @property
    def host(self) -> Header:
        """The right one."""
        return ("Host", f"{self.site.host}:{self.site.port}")

    def headers(self, message: Any = None) -> list[Header]:
        """What an honest client of the era would send with a message."""
        common = [self.host, _JSON, _BOTH, *self.site.headers]
        if self.era == "legacy":
            return [*common, ("Mcp-Session-Id", self.site.session), ("MCP-Protocol-Version", LEGACY)]
        method = message.get("method") if isinstance(message, dict) else "tools/list"
        params = message.get("params") if isinstance(message, dict) else None
        named = params.get(_NAMED.get(str(method), "")) if isinstance(params, dict) else None
        common += [("MCP-Protocol-Version", MODERN), ("Mcp-Method", _fit(method))]
        return common if named is None else [*common, ("Mcp-Name", _fit(named))]

    def message(self, method: str, params: Any) -> dict[str, Any]:
        """A request of the era."""
        if self.era == "modern" and isinstance(params, dict):
            params = {**params, "_meta": {**ENVELOPE, **_object(params.get("_meta"))}}
        message = {"jsonrpc": "2.0", "id": self.random.randrange(1, 1_000_000), "method": method, "params": params}
        if method.startswith("notifications/"):
            del message["id"]
        return message

    def post(self, body: bytes, headers: Sequence[Header], target: str = "", verb: str = "POST") -> bytes:
        """A request with a body, whose length is told as it is."""
        return head(verb, target or self.site.path, [*headers, ("Content-Length", str(len(body)))]) + body

    def send(self, message: Any) -> bytes:
        """A message with honest headers."""
        return self.post(written(message), self.headers(message))

    def good(self) -> dict[str, Any]:
        """A message with nothing wrong in it."""
        return self.message("tools/call", CALL) if self.random.random() < 0.7 else self.message("tools/list", {})

    def with_headers(self, *wrong: Header) -> bytes:
        """A good message with headers that replace those of the same names; of one name they all stay."""
        message = self.good()
        names = {name.lower() for name, _ in wrong}
        kept = [header for header in self.headers(message) if header[0].lower() not in names]
        return self.post(written(message), [*kept, *wrong])

    def pick(self, *options: Any) -> Any:
        """One of several."""
        return self.random.choice(options)


def hosts(at: Attacker) -> Attack:
    """Whoever rebinds a name to this machine, or comes from a web page."""
    right = at.host[1]
    strange = ("evil.example", f"evil.example:{at.site.port}", f"{right}@evil.example", f"evil.example, {right}", "")
    odd = ("localhost:1:2", "[::1", "[::1]:x", "127.0.0.1.evil.example", "\0", "é", "a" * 70_000, "127.1", "2130706433")
    origins = ("null", "https://evil.example", f"http://{right}.evil.example", "file://", "http://", "\0", "é" * 9, "")
    match at.random.randrange(5):
        case 0:
            message = at.good()
            return Attack(at.post(written(message), [header for header in at.headers(message) if header[0] != "Host"]))
        case 1:
            return Attack(at.with_headers(at.host, ("Host", at.pick(*strange, right))))
        case 2:
            return Attack(at.with_headers(("Origin", at.pick(*origins)), ("Origin", f"http://{right}")))
        case 3:
            return Attack(at.with_headers(("Origin", at.pick(*origins))))
    return Attack(at.with_headers(("Host", at.pick(*strange, *odd))))


def types(at: Attacker) -> Attack:
    """Content types and wishes that do not fit."""
    kinds = ("text/plain", "application/json; charset=utf-16", "application/jsonp", "APPLICATION/JSON", ";", "", "é")
    more = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=", "application/json," * 2_000, "*/*")
    accepts = ("", "*/*", "text/html", "application/json;q=0", "application/json", "text/event-stream", ",;=" * 5_000)
    names = {"Content-Type": (*kinds, *more), "Accept": accepts, "Content-Encoding": ("gzip", "br", "identity, gzip")}
    name = at.pick(*names)
    return Attack(at.with_headers((name, at.pick(*names[name]))))


def syntax(at: Attacker) -> Attack:
    """What is no JSON, or none that anybody would write."""
    whole = written(at.good())
    middle = at.random.randrange(1, len(whole))
    deep = at.pick(100_000, 1_000, 300)
    bodies = (
        whole[:middle],
        whole[:middle] + bytes([at.random.randrange(256)]) + whole[middle:],
        whole.replace(b'"id"', b'"id":7,"id"', 1).replace(b'"method"', b'"method":"ping","method"', 1),
        whole.replace(b'"call_past01"', at.pick(b"NaN", b"-Infinity", b"1e999", b"0" * 5_000, b"9" * 5_000)),
        whole.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + whole,
        whole + at.pick(whole, b"\0", b"]" * 9),
        b"[" * deep + b"]" * deep,
        b'{"a":' * deep + b"1" + b"}" * deep,
        whole.replace(b'"call_past01"', b"[" * deep + b"]" * deep),
        whole.replace(b'"call_past01"', b'{"a":' * deep + b"1" + b"}" * deep),
        whole.replace(b"past01", at.pick(b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\\x00", b"\x00")),
        at.pick(b"", b"null", b"true", b"1", b'""', b"[]", b"{}", b"\xff", b"NaN"),
    )
    return Attack(at.post(at.random.choice(bodies), at.headers(at.good())))


def sizes(at: Attacker) -> Attack:
    """Bodies of several megabytes, up to the limit and beyond it."""
    size = at.pick(100_000, 250_000, 270_000, 1_000_000, 4_300_000)
    filler = at.pick(
        "x" * size, [0] * (size // 3), {str(number): 1 for number in range(size // 13)}, "\0" * (size // 6)
    )
    where = at.pick("id", "method", "params", "jsonrpc", "extra", "argument", "cursor", "meta")
    message = at.good()
    match where:
        case "argument":
            message = at.message("tools/call", {"name": "get_call", "arguments": {"call_id": filler}})
        case "cursor":
            message = at.message("tools/list", {"cursor": filler})
        case "meta":
            message = at.message("tools/list", {"_meta": {"progressToken": filler}})
    return Attack(at.post(written({**message, where: filler}), at.headers(at.good())))


def batches(at: Attacker) -> Attack:
    """Several messages in one, which the protocol gave up."""
    many = [at.good() for _ in range(at.pick(0, 1, 2, 50))]
    return Attack(at.post(written([*many, *at.pick([], [1], [[]], [None], [HELLO])]), at.headers(at.good())))


def ids(at: Attacker) -> Attack:
    """Requests that are named as nobody would."""
    return Attack(at.send({**at.good(), "id": at.junk.id()}))


def methods(at: Attacker) -> Attack:
    """What is no method, or one of the other era, or is asked of a version that there is not."""
    wrong_era = OLD if at.era == "modern" else NEW
    method = at.pick(*NO_METHODS, *wrong_era, *wrong_era, at.junk.value())
    message = at.message("ping", wrong_era.get(str(method), {}))
    message |= {"method": method, "jsonrpc": at.pick("2.0", "2.0", "2.0", "1.0", 2)}
    headers = at.headers(message)
    if at.random.random() < 0.3:
        version = at.pick(
            "1999-01-01", "2024-11-05", "2026-07-29", "é", "2026-07-28 ", "0" * 9_000, "None", LEGACY, MODERN
        )
        headers = [(name, version if name == "MCP-Protocol-Version" else value) for name, value in headers]
    return Attack(at.post(written(message), headers))


def params(at: Attacker) -> Attack:
    """Each method with something wrong in what it takes."""
    known = COMMON | (OLD if at.era == "legacy" else NEW)
    method = at.pick(*known)
    message = at.message(method, known[method])
    return Attack(at.send({**message, "params": at.junk.spoiled(message["params"])}))


def calls(at: Attacker) -> Attack:
    """Each tool with arguments that are wrong, odd, or ids that lead elsewhere."""
    tool = at.random.choice(_TOOLS)
    arguments: Any = at.junk.arguments(tool["inputSchema"])
    if at.random.random() < 0.3:
        arguments = at.junk.spoiled(arguments)
    name = tool["name"] if at.random.random() < 0.95 else at.junk.value()
    return Attack(at.send(at.message("tools/call", {"name": name, "arguments": arguments})))


def headers(at: Attacker) -> Attack:
    """Headers that hold the end of one, or are told twice, or tell another thing than the body."""
    names = (
        "MCP-Protocol-Version",
        "Mcp-Session-Id",
        "Mcp-Method",
        "Mcp-Name",
        "Mcp-Param-Call-Id",
        "Mcp-Param-",
        "X-Odd",
    )
    name = at.pick(*names, "Last-Event-ID", "traceparent", "Cookie", "X-Forwarded-Host", "Forwarded", "User-Agent")
    value = at.pick(*_FORGED, *(f"tools/call{end}" for end in _BREAKS))
    honest = dict(at.headers({"method": "tools/call", "params": CALL})).get(name, "x")
    return Attack(at.with_headers((name, value), *at.pick([], [(name, honest)], [(name.lower(), value)])))


def sessions(at: Attacker) -> Attack:
    """Sessions that are nobody's, and streams that go on from what never was."""
    at.era = "legacy"
    verb = at.pick("POST", "GET", "GET", "DELETE")
    wrong = [("Mcp-Session-Id", at.pick(*_FORGED, at.site.session.upper(), at.site.session + "0"))]
    if verb == "GET" and at.random.random() < 0.3:
        wrong = [("Mcp-Session-Id", at.site.session)]
    if at.random.random() < 0.5:
        wrong.append(("Last-Event-ID", at.pick(*_FORGED)))
    if verb == "POST":
        return Attack(at.with_headers(*wrong))
    return Attack(head(verb, at.site.path, [at.host, _BOTH, *at.site.headers, *wrong]))


def credentials(at: Attacker) -> Attack:
    """Credentials that are none."""
    schemes = (
        "Bearer",
        "bearer ",
        "Bearer  ",
        "Basic eDp4",
        "Bearer a b",
        "Bearer " + "x" * 9_000,
        "Bearer é",
        "Digest",
    )
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    token = ("Authorization", at.pick(*schemes, f"Bearer {unsigned}.e30.", "Bearer sk_live_forged0000", *_BREAKS))
    keyed = ("X-API-Key", at.pick("sk_live_forged0000", "sk_test_" + "0" * 600, *_FORGED))
    return Attack(at.with_headers(*at.pick([token], [keyed], [token, token], [token, keyed])))


def states(at: Attacker) -> Attack:
    """What a server hands out to get it back, forged: states, answers of people, tokens, cursors."""
    token = base64.urlsafe_b64encode(at.random.randbytes(at.pick(1, 12, 64, 4_000))).decode()
    forged = at.pick(token, f"v1.{token}", at.junk.value(), token[:-1], "e30.e30.", "")
    answers = at.pick({"approved": {"action": "accept", "content": {"yes": True}}}, {"": {}}, at.junk.value(), [], None)
    buying = {"name": "buy_number", "arguments": {"agent_id": "agt_frontdesk", "confirm": True}}
    match at.random.randrange(4):
        case 0:
            return Attack(
                at.send(at.message("tools/call", {**buying, "requestState": forged, "inputResponses": answers}))
            )
        case 1:
            return Attack(at.send(at.message("tools/call", {**CALL, "_meta": {"progressToken": at.junk.id()}})))
        case 2:
            meta = {**ENVELOPE, at.pick(*ENVELOPE, "traceparent", "io.modelcontextprotocol/logLevel"): at.junk.value()}
            return Attack(at.send(at.message("tools/call", {**CALL, "_meta": meta})))
    method = at.pick("tools/list", "resources/list", "prompts/list", "resources/templates/list")
    return Attack(at.send(at.message(method, {"cursor": forged})))


def listening(at: Attacker) -> Attack:
    """Subscriptions to what is not there, to too much, and to nothing."""
    uris = [
        f"agentphone://calls/{at.pick('call_past01', 'call_none', at.junk.text())}" for _ in range(at.pick(0, 1, 300))
    ]
    wanted = at.pick({"resourceSubscriptions": uris}, {"resourceSubscriptions": at.junk.value()}, at.junk.value(), {})
    if at.era == "legacy":
        method = at.pick("resources/subscribe", "resources/unsubscribe")
        return Attack(at.send(at.message(method, {"uri": at.pick(*uris, at.junk.value())})))
    return Attack(at.send(at.message("subscriptions/listen", {"notifications": wanted})))


Kind = Callable[[Attacker], Attack]
MESSAGES: tuple[Kind, ...] = (hosts, types, syntax, sizes, batches, ids, methods, params, calls, headers, sessions)
MESSAGES += (credentials, states, listening)


def _fit(value: Any) -> str:
    """A header's value for one in the body, as the protocol encodes it."""
    text = value if isinstance(value, str) else str(value)[:100]
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'replace')).decode()}?="


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
