"""Make requests that attack MCP and JSON-RPC, by kind."""

import base64
from typing import Any

from tests.server.http.attacker import ACCEPT_BOTH, Attacker, Kind, head
from tests.server.http.fuzz_values import (
    CALL,
    COMMON_METHODS,
    ENVELOPE,
    INITIALIZE,
    INVALID_METHODS,
    LEGACY,
    LEGACY_METHODS,
    MODERN,
    MODERN_METHODS,
    to_json,
    tools,
)
from tests.server.http.raw_http import Attack

_TOOLS = tools()
# Line breaks that would start another header, plain or encoded.
_BREAKS = tuple(f"{end}X-Injected: 1" for end in ("\r\n", "\n", "\r", "%0d%0a", "\u010d\u010a"))
_FORGED = ("x", "0" * 32, "f" * 10_000, "é", "\x7f", "a b", "null", "../..", "'", "=?base64?eA==?=", "\0", "", *_BREAKS)


def hosts(at: Attacker) -> Attack:
    """Use Hosts and Origins as in DNS rebinding."""
    right = at.host[1]
    strange = ("evil.example", f"evil.example:{at.site.port}", f"{right}@evil.example", f"evil.example, {right}", "")
    odd = ("localhost:1:2", "[::1", "[::1]:x", "127.0.0.1.evil.example", "\0", "é", "a" * 70_000, "127.1", "2130706433")
    origins = ("null", "https://evil.example", f"http://{right}.evil.example", "file://", "http://", "\0", "é" * 9, "")
    match at.random.randrange(5):
        case 0:
            message = at.valid_message()
            return Attack(at.post(to_json(message), [header for header in at.headers(message) if header[0] != "Host"]))
        case 1:
            return Attack(at.with_headers(at.host, ("Host", at.pick(*strange, right))))
        case 2:
            return Attack(at.with_headers(("Origin", at.pick(*origins)), ("Origin", f"http://{right}")))
        case 3:
            return Attack(at.with_headers(("Origin", at.pick(*origins))))
    return Attack(at.with_headers(("Host", at.pick(*strange, *odd))))


def types(at: Attacker) -> Attack:
    """Use content types and Accept headers that do not fit."""
    kinds = ("text/plain", "application/json; charset=utf-16", "application/jsonp", "APPLICATION/JSON", ";", "", "é")
    more = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=", "application/json," * 2_000, "*/*")
    accepts = ("", "*/*", "text/html", "application/json;q=0", "application/json", "text/event-stream", ",;=" * 5_000)
    names = {"Content-Type": (*kinds, *more), "Accept": accepts, "Content-Encoding": ("gzip", "br", "identity, gzip")}
    name = at.pick(*names)
    return Attack(at.with_headers((name, at.pick(*names[name]))))


def syntax(at: Attacker) -> Attack:
    """Send bodies that are no JSON, or unusual JSON."""
    whole = to_json(at.valid_message())
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
    return Attack(at.post(at.random.choice(bodies), at.headers(at.valid_message())))


def sizes(at: Attacker) -> Attack:
    """Send bodies of up to several megabytes, below and above the limit."""
    size = at.pick(100_000, 250_000, 270_000, 1_000_000, 4_300_000)
    filler = at.pick(
        "x" * size, [0] * (size // 3), {str(number): 1 for number in range(size // 13)}, "\0" * (size // 6)
    )
    where = at.pick("id", "method", "params", "jsonrpc", "extra", "argument", "cursor", "meta")
    message = at.valid_message()
    match where:
        case "argument":
            message = at.message("tools/call", {"name": "get_call", "arguments": {"call_id": filler}})
        case "cursor":
            message = at.message("tools/list", {"cursor": filler})
        case "meta":
            message = at.message("tools/list", {"_meta": {"progressToken": filler}})
    return Attack(at.post(to_json({**message, where: filler}), at.headers(at.valid_message())))


def batches(at: Attacker) -> Attack:
    """Send JSON-RPC batches, which MCP no longer has."""
    many = [at.valid_message() for _ in range(at.pick(0, 1, 2, 50))]
    return Attack(
        at.post(to_json([*many, *at.pick([], [1], [[]], [None], [INITIALIZE])]), at.headers(at.valid_message()))
    )


def ids(at: Attacker) -> Attack:
    """Use odd ids of requests."""
    return Attack(at.send({**at.valid_message(), "id": at.values.id()}))


def methods(at: Attacker) -> Attack:
    """Use unknown methods, those of the other era, and unknown versions."""
    wrong_era = LEGACY_METHODS if at.era == "modern" else MODERN_METHODS
    method = at.pick(*INVALID_METHODS, *wrong_era, *wrong_era, at.values.value())
    message = at.message("ping", wrong_era.get(str(method), {}))
    message |= {"method": method, "jsonrpc": at.pick("2.0", "2.0", "2.0", "1.0", 2)}
    headers = at.headers(message)
    if at.random.random() < 0.3:
        version = at.pick(
            "1999-01-01", "2024-11-05", "2026-07-29", "é", "2026-07-28 ", "0" * 9_000, "None", LEGACY, MODERN
        )
        headers = [(name, version if name == "MCP-Protocol-Version" else value) for name, value in headers]
    return Attack(at.post(to_json(message), headers))


def params(at: Attacker) -> Attack:
    """Send each method with one mutated parameter."""
    methods_of_era = COMMON_METHODS | (LEGACY_METHODS if at.era == "legacy" else MODERN_METHODS)
    method = at.pick(*methods_of_era)
    message = at.message(method, methods_of_era[method])
    return Attack(at.send({**message, "params": at.values.mutated(message["params"])}))


def calls(at: Attacker) -> Attack:
    """Call each tool with wrong or odd arguments, and with ids that lead elsewhere."""
    tool = at.random.choice(_TOOLS)
    arguments: Any = at.values.arguments(tool["inputSchema"])
    if at.random.random() < 0.3:
        arguments = at.values.mutated(arguments)
    name = tool["name"] if at.random.random() < 0.95 else at.values.value()
    return Attack(at.send(at.message("tools/call", {"name": name, "arguments": arguments})))


def headers(at: Attacker) -> Attack:
    """Send headers with line breaks, twice, or contradicting the body."""
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
    """Use sessions that do not exist, and resume streams that never were."""
    at.era = "legacy"
    verb = at.pick("POST", "GET", "GET", "DELETE")
    wrong = [("Mcp-Session-Id", at.pick(*_FORGED, at.site.session.upper(), at.site.session + "0"))]
    if verb == "GET" and at.random.random() < 0.3:
        wrong = [("Mcp-Session-Id", at.site.session)]
    if at.random.random() < 0.5:
        wrong.append(("Last-Event-ID", at.pick(*_FORGED)))
    if verb == "POST":
        return Attack(at.with_headers(*wrong))
    return Attack(head(verb, at.site.path, [at.host, ACCEPT_BOTH, *at.site.headers, *wrong]))


def credentials(at: Attacker) -> Attack:
    """Send invalid credentials."""
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
    """Forge what the server hands out: request states, answers of users, progress tokens, cursors."""
    token = base64.urlsafe_b64encode(at.random.randbytes(at.pick(1, 12, 64, 4_000))).decode()
    forged = at.pick(token, f"v1.{token}", at.values.value(), token[:-1], "e30.e30.", "")
    answers = at.pick(
        {"approved": {"action": "accept", "content": {"yes": True}}}, {"": {}}, at.values.value(), [], None
    )
    buying = {"name": "buy_number", "arguments": {"agent_id": "agt_frontdesk", "confirm": True}}
    match at.random.randrange(4):
        case 0:
            return Attack(
                at.send(at.message("tools/call", {**buying, "requestState": forged, "inputResponses": answers}))
            )
        case 1:
            return Attack(at.send(at.message("tools/call", {**CALL, "_meta": {"progressToken": at.values.id()}})))
        case 2:
            meta = {
                **ENVELOPE,
                at.pick(*ENVELOPE, "traceparent", "io.modelcontextprotocol/logLevel"): at.values.value(),
            }
            return Attack(at.send(at.message("tools/call", {**CALL, "_meta": meta})))
    method = at.pick("tools/list", "resources/list", "prompts/list", "resources/templates/list")
    return Attack(at.send(at.message(method, {"cursor": forged})))


def listening(at: Attacker) -> Attack:
    """Subscribe to resources that do not exist, to too many, and to none."""
    uris = [
        f"agentphone://calls/{at.pick('call_past01', 'call_none', at.values.text())}" for _ in range(at.pick(0, 1, 300))
    ]
    wanted = at.pick(
        {"resourceSubscriptions": uris}, {"resourceSubscriptions": at.values.value()}, at.values.value(), {}
    )
    if at.era == "legacy":
        method = at.pick("resources/subscribe", "resources/unsubscribe")
        return Attack(at.send(at.message(method, {"uri": at.pick(*uris, at.values.value())})))
    return Attack(at.send(at.message("subscriptions/listen", {"notifications": wanted})))


PROTOCOL_ATTACKS: tuple[Kind, ...] = (
    hosts,
    types,
    syntax,
    sizes,
    batches,
    ids,
    methods,
    params,
    calls,
    headers,
    sessions,
)


PROTOCOL_ATTACKS += (credentials, states, listening)
