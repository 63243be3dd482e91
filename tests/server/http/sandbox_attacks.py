"""Make requests that attack the sandbox: with and without its key, of other sites, without end, and of odd values."""

from typing import Any

from tests.server.http.attacker import Attacker, Header, Kind, head
from tests.server.http.fuzz_values import IDS, to_json
from tests.server.http.raw_http import Attack

JSON = ("Content-Type", "application/json")
# Neither the clock nor faults: the first takes long, the second are the errors that would be looked for.
WRITES: dict[str, dict[str, Any]] = {
    "/v1/agents": {"name": "Desk", "voiceMode": "hosted", "systemPrompt": "Be brief."},
    "/v1/contacts": {"name": "Ada", "phoneNumber": "+14155550177", "notes": "x"},
    "/v1/calls": {"agentId": "agt_frontdesk", "toNumber": "+14155550101"},
    "/v1/messages": {"number_id": "num_frontdesk", "to_number": "+14155550177", "body": "Hello"},
    "/v1/numbers": {"country": "US", "areaCode": "415"},
    "/v0/agent/sign-up": {"human_email": "eve@example.com", "agent_name": "Eve"},
    "/v0/agent/verify": {"verification_id": "ver_0", "otp_code": "000000"},
    "/__sandbox/calls": {"from": "+14155550177", "to": "+14155550100", "says": ["Hello?"]},
    "/__sandbox/messages": {"from": "+14155550177", "to": "+14155550100", "body": "Hello"},
    "/__sandbox/balance": {"balance": "25.00"},
    "/__sandbox/registration": {"numberId": "num_frontdesk"},
}
READS = (
    *(
        "/",
        "/__sandbox/view",
        "/__sandbox/events",
        "/__sandbox/mails",
        "/__sandbox/requests",
        "/__sandbox/page/page.js",
    ),
    *("/v1/usage", "/v1/agents", "/v1/numbers", "/v1/calls", "/v1/contacts", "/v1/webhooks", "/v1/usage/daily"),
    *(f"/v1/{kind}/{known}" for kind in ("agents", "calls", "contacts", "conversations") for known in IDS[:3]),
)
_WRONG_KEYS = (
    "",
    "Bearer",
    "Bearer sk_sandbox_0",
    "Basic YTpi",
    "Bearer é",
    "Bearer " + "x" * 9_000,
    "bearer  \t",
    "\0",
)


def _lines(at: Attacker, *more: Header, has_key: bool = True) -> list[Header]:
    return [at.host, JSON, *(at.site.headers if has_key else ()), *more]


def _body(at: Attacker) -> tuple[str, bytes]:
    path = at.pick(*WRITES)
    return path, to_json(at.values.mutated(WRITES[path]) if at.random.random() < 0.8 else at.values.value())


def fields(at: Attacker) -> Attack:
    """Send odd values with the key."""
    path, body = _body(at)
    return Attack(at.post(body, _lines(at), path))


def strangers(at: Attacker) -> Attack:
    """Ask for everything without the key, with a wrong one, or with a wrong token of the page."""
    wrong = at.pick([], [("Authorization", at.pick(*_WRONG_KEYS))], [("Authorization", "Bearer " + "0" * 32)])
    if at.random.random() < 0.5:
        path, body = _body(at)
        return Attack(at.post(body, _lines(at, *wrong, has_key=False), path))
    token = at.pick(
        "", f"?token={'0' * 32}", "?token=%00", "?token=%C3%A9", f"?token={'x' * 9_000}", "?token=a&token=b"
    )
    return Attack(head("GET", at.pick(*READS) + token, _lines(at, *wrong, has_key=False)))


def other_sites(at: Attacker) -> Attack:
    """Come from other sites, or under other names, as a browser does after DNS rebinding."""
    right = at.host[1]
    hosts = ("evil.example", f"{right}.evil.example", "", "127.1", "localhost:1:2", "[::1", "0.0.0.0", right.upper())
    origins = ("null", "https://evil.example", f"http://{right}.evil.example", "file://", "http://127.0.0.1:1", "")
    odd = at.pick([("Origin", at.pick(*origins))], [("Host", at.pick(*hosts))], [("Sec-Fetch-Site", "cross-site")])
    kept = [line for line in _lines(at, has_key=at.random.random() < 0.5) if line[0] != odd[0][0]]
    path, body = _body(at)
    if at.random.random() < 0.5:
        return Attack(head("GET", at.pick(*READS), [*kept, *odd]))
    return Attack(at.post(body, [*kept, *odd], path))


def bodies(at: Attacker) -> Attack:
    """Send bodies that are long, never end, or are no JSON."""
    path = at.pick(*WRITES, "/", "/nowhere", "/__sandbox/reset")
    lines = _lines(at, has_key=at.random.random() < 0.5)
    match at.random.randrange(4):
        case 0:
            return Attack(at.post(b"x" * at.pick(20_000, 300_000, 2_000_000), lines, path))
        case 1:
            deep = at.pick(b"[", b'{"a":') * at.pick(100, 20_000)
            return Attack(at.post(deep, lines, path))
        case 2:
            length = at.pick("9" * 5_000, str(2**63), "300000000", "1000001", "16385")
            return Attack(head("POST", path, [*lines, ("Content-Length", length)]) + b"x" * 1_000, owed=False)
        case _:
            chunk = b"4000\r\n" + b"[" * 0x4000 + b"\r\n"
            start = head("POST", path, [*lines, ("Transfer-Encoding", "chunked")])
            return Attack(start + chunk * at.pick(1, 3, 80), owed=False)


def sign_ups(at: Attacker) -> Attack:
    """Begin sign-ups that nobody finishes, and guess codes."""
    number = at.random.randrange(10**9)
    if at.random.random() < 0.7:
        email = at.pick(f"eve{number}@example.com", f"{'x' * 64}@{'y' * 200}.example", at.values.text())
        body: dict[str, Any] = {"human_email": email, "agent_name": at.pick("Eve", "x" * 200, at.values.text())}
        return Attack(at.post(to_json(body), _lines(at, has_key=False), "/v0/agent/sign-up"))
    guess = {"verification_id": at.pick("ver_0", f"ver_{number:016x}"), "otp_code": f"{number % 10**6:06}"}
    return Attack(at.post(to_json(guess), _lines(at, has_key=False), "/v0/agent/verify"))


SANDBOX_ATTACKS: tuple[Kind, ...] = (fields, strangers, other_sites, bodies, sign_ups)
