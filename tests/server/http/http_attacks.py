"""Make requests that attack the HTTP layer: invalid HTTP, and connections that end too early."""

from tests.server.http.attacker import Attacker, Kind, head
from tests.server.http.fuzz_values import to_json
from tests.server.http.raw_http import Attack


def verbs(at: Attacker) -> Attack:
    """Use HTTP methods that the server does not support."""
    verb = at.pick("GET", "HEAD", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "post", "A" * 5_000, "PRI")
    preflight = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")]
    message = at.valid_message()
    lines = [*at.headers(message), *at.pick([], preflight)]
    if at.random.random() < 0.5:
        return Attack(at.post(to_json(message), lines, verb=verb))
    return Attack(head(verb, at.site.path, lines))


def targets(at: Attacker) -> Attack:
    """Use paths that lead elsewhere, and targets that are no paths."""
    path, here = at.site.path, f"http://{at.host[1]}"
    near = (
        f"{path}/",
        f"{path}//",
        f"/{path}",
        f"{path}/..{path}",
        f"/.{path}",
        f"{path}%00",
        f"{path};a",
        path.upper(),
    )
    away = ("/", "/..", "/../../etc/passwd", "/%2e%2e/", "/\\", "/%ff", "/é", "/.well-known/oauth-protected-resource")
    forms = (
        "*",
        f"{here}{path}",
        "http://evil.example" + path,
        "//evil.example" + path,
        "evil.example:80",
        "",
        "?",
        "#",
    )
    odd = (
        f"{path}?{'a=1&' * 9_000}",
        f"{path}?\0",
        f"{path}#x",
        f"{path} x",
        f"/{'a/' * 20_000}",
        "/health",
        "/metrics",
    )
    target = at.pick(*near, *away, *forms, *odd)
    message = at.valid_message()
    return Attack(
        at.post(to_json(message), at.headers(message), target or " ", at.pick("POST", "POST", "GET", "OPTIONS"))
    )


def versions(at: Attacker) -> Attack:
    """Use other versions of HTTP, and other protocols."""
    message = at.valid_message()
    body = to_json(message)
    lines = [*at.headers(message), ("Content-Length", str(len(body)))]
    upgrade = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", at.pick("h2c", "websocket"))]
    version = at.pick("HTTP/1.0", "HTTP/0.9", "HTTP/2", "HTTP/1.1 ", "http/1.1", "HTTP/9.9", "", "HTTP/1.1")
    raw = (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00" + at.random.randbytes(200),
        b"\r\n" * 99,
    )
    if at.random.random() < 0.3:
        return Attack(at.random.choice(raw) + at.random.randbytes(60), owed=False)
    return Attack(head("POST", at.site.path, [*lines, *at.pick([], upgrade)], version) + body)


def pipelines(at: Attacker) -> Attack:
    """Pipeline several requests, some of them valid."""
    count = at.pick(2, 5, 30)
    requests = [at.send(at.valid_message()) for _ in range(count)]
    if at.random.random() < 0.5:
        requests.insert(at.random.randrange(count), at.random.randbytes(at.pick(10, 3_000)))
    return Attack(b"".join(requests), answers=count)


def left(at: Attacker) -> Attack:
    """Open connections, send part of a request, and leave them open."""
    whole = at.send(at.valid_message())
    return Attack(whole[: at.pick(0, 1, 20, whole.index(b"\r\n\r\n") + 2, len(whole) - 1, len(whole))], ending="left")


def cuts(at: Attacker) -> Attack:
    """Reset connections in the middle of a request or of its response."""
    waiting = {"name": "wait_for_call", "arguments": {"call_id": "call_past01", "max_seconds": 5}}
    message = at.pick(at.valid_message(), at.valid_message(), at.message("tools/call", waiting))
    if at.era == "modern" and at.random.random() < 0.2:
        message = at.message(
            "subscriptions/listen", {"notifications": {"resourceSubscriptions": ["agentphone://account"]}}
        )
    whole = at.send(message)
    if at.random.random() < 0.5:
        return Attack(whole, ending=at.pick("cut-answer", "cut"))
    return Attack(whole[: at.random.randrange(len(whole))], ending="cut")


def framing(at: Attacker) -> Attack:
    """Send lengths and chunks that are wrong or contradict each other, as in request smuggling."""
    message = at.valid_message()
    body, lines = to_json(message), at.headers(message)
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    hidden = b"0\r\n\r\n" + at.send(at.valid_message())
    lengths = (
        len(body) + 5,
        len(body) - 5,
        0,
        -1,
        10**30,
        f"+{len(body)}",
        f"{len(body)}, {len(body)}",
        "0x10",
        "",
        "é",
    )
    codings = ("chunked", "chunked, chunked", "gzip, chunked", "xchunked", "identity", "chunked;a=1", " chunked", "\0")
    endings = (
        b"0\r\n\r\n",
        b"0\r\nX-Injected: 1\r\n\r\n",
        b"",
        b"zz\r\n",
        b"-1\r\n\r\n",
        b"f" * 40 + b"\r\n",
        b"0;" + b"a" * 99_999,
    )
    match at.random.randrange(4):
        case 0:
            return Attack(
                head("POST", at.site.path, [*lines, ("Content-Length", str(at.pick(*lengths)))]) + body, owed=False
            )
        case 1:
            both = [("Content-Length", str(at.pick(len(body), 4))), ("Transfer-Encoding", at.pick(*codings))]
            return Attack(head("POST", at.site.path, [*lines, *both]) + at.pick(body, chunk + hidden), owed=False)
        case 2:
            twice = [("Content-Length", str(len(body))), ("Content-Length", str(at.pick(len(body), 1, 10**9)))]
            return Attack(head("POST", at.site.path, [*lines, *twice]) + body, owed=False)
    coded = head("POST", at.site.path, [*lines, ("Transfer-Encoding", at.pick(*codings))])
    return Attack(coded + at.pick(chunk, b"1;x=y\r\n{\r\n", b"5\r\nab\r\n", b"") + at.pick(*endings), owed=False)


def endless(at: Attacker) -> Attack:
    """Send heads that are very long or never end."""
    start = head("POST", at.site.path, at.headers(at.valid_message()))[:-2]
    many = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(at.pick(100, 5_000, 50_000)))
    long = b"X-Long: " + b"a" * at.pick(9_000, 70_000, 2_000_000)
    folded = b"X-Folded: a\r\n" + b" b\r\n" * at.pick(10, 10_000)
    nameless = at.pick(b": x\r\n", b"no colon\r\n", b"a b: c\r\n", b"X-A : b\r\n", b"\0: x\r\n", b"X: \0\r\n")
    ended = at.pick(b"", b"\r\n", b"\r\nContent-Length: 0\r\n\r\n")
    return Attack(start + at.pick(many, long, folded, nameless) + ended, owed=False)


HTTP_ATTACKS: tuple[Kind, ...] = (verbs, targets, versions, pipelines, left, cuts, framing, endless)
