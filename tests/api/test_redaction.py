"""Tests that a secret which was read once is redacted everywhere afterwards, however it is escaped."""

import json
from base64 import b64encode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import BadRequest
from agentphone_mcp.api.redaction import SECRET_REMOVED, Secrets
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.api.webhooks import Webhook
from tests.support import LIVE_KEY

SECRET = 'whsec_a/b+c=12"34'

ENCODED = pytest.mark.attack("3", "the key is shown in another encoding")
ENTITIES = {'"': "&quot;", "/": "&sol;", "_": "&lowbar;", "+": "&plus;", "=": "&equals;"}
ONE_CHARACTER = {
    "plain": lambda char: char,
    "percent": lambda char: f"%{ord(char):02x}",
    "percent-in-capitals": lambda char: f"%{ord(char):02X}",
    "percent-twice": lambda char: f"%25{ord(char):02x}",
    "json": lambda char: f"\\u{ord(char):04x}",
    "json-twice": lambda char: f"\\\\u{ord(char):04X}",
    "json-in-a-url": lambda char: f"%5Cu{ord(char):04x}",
    "url-in-json": lambda char: f"\\u0025{ord(char):02x}",
    "entity": lambda char: f"&#{ord(char)};",
    "entity-without-an-end": lambda char: f"&#0{ord(char)}" if not char.isdigit() else char,
    "entity-in-hex": lambda char: f"&#X{ord(char):04x};",
    "entity-by-name": lambda char: ENTITIES.get(char, char),
    "entity-in-html": lambda char: f"&amp;#{ord(char)};",
    "entity-in-a-url": lambda char: f"%26%23{ord(char)}%3B",
    "repr": lambda char: f"\\x{ord(char):02x}",
    "script": lambda char: f"\\u{{{ord(char):x}}}",
    "capital": str.upper,
}
WHOLE = {
    "plain": SECRET,
    "in-a-query": quote(SECRET, safe=""),
    "in-a-query-in-a-query": quote(quote(SECRET, safe=""), safe=""),
    "in-json": json.dumps(SECRET),
    "in-json-in-json": json.dumps(json.dumps({"secret": SECRET})),
    "with-escaped-slashes": json.dumps(SECRET).replace("/", "\\/"),
    "in-json-in-a-query": quote(json.dumps({"secret": SECRET})),
    "in-a-repr": repr(f"it's {SECRET}"),
}


@pytest.fixture
def secrets() -> Secrets:
    """Make `Secrets` that know a key and a secret."""
    secrets = Secrets(ApiKey(LIVE_KEY))
    secrets.learn(SECRET)
    return secrets


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE.keys())
def test_a_secret_is_redacted_however_it_is_escaped(secrets: Secrets, text: str) -> None:
    redact = secrets.redact(f"before {text} after")
    assert redact.startswith("before ")
    assert redact.endswith(" after")
    assert redact.count(SECRET_REMOVED) == 1
    assert "whsec" not in redact


@given(st.lists(st.sampled_from(list(ONE_CHARACTER.values())), min_size=len(SECRET), max_size=len(SECRET)))
def test_a_secret_is_redacted_in_any_mixture_of_escapes(spelled: list[Any]) -> None:
    secrets = Secrets()
    secrets.learn(SECRET)
    text = "".join(spell(char) for spell, char in zip(spelled, SECRET, strict=True))
    assert secrets.redact(f"a {text} b {text}") == f"a {SECRET_REMOVED} b {SECRET_REMOVED}"


@pytest.mark.parametrize(
    "text",
    ["nothing", "50% off", "C:\\new\\u0073 and 100%25 \\/ \\\\", "%77%68%73", "", "x" * 10_000 + "%41"],
    ids=["plain", "percent", "escapes", "half-a-secret", "empty", "long"],
)
def test_what_is_no_secret_stays_as_it_is(secrets: Secrets, text: str) -> None:
    assert secrets.redact(text) == text


def test_the_key_is_named_where_it_was(secrets: Secrets) -> None:
    assert (
        secrets.redact(f"Bearer {LIVE_KEY} {quote(LIVE_KEY).replace('_', '%5f')}")
        == "Bearer [key removed] [key removed]"
    )
    assert LIVE_KEY not in f"{secrets} {secrets!r}"


BEARER = f"Bearer {LIVE_KEY}"
IN_OTHER_WORDS = {
    "base64": b64encode(LIVE_KEY.encode()).decode(),
    "base64-of-the-header": b64encode(BEARER.encode()).decode(),
    "base64-of-basic-authorization": b64encode(f"me:{LIVE_KEY}".encode()).decode(),
    "base64-within-more": b64encode(json.dumps({"headers": {"Authorization": BEARER}, "ok": True}).encode()).decode(),
    "base64-without-padding": b64encode(LIVE_KEY.encode()).decode().rstrip("="),
    "base64-for-urls": urlsafe_b64encode(f"??>>{LIVE_KEY}".encode()).decode(),
    "base64-in-a-query": quote(b64encode(f">>>{LIVE_KEY}".encode()).decode(), safe=""),
    "capitals": LIVE_KEY.upper(),
    "one-capital": LIVE_KEY.replace("live", "Live"),
    "capitals-in-a-query": LIVE_KEY.upper().replace("_", "%5F"),
    "entities": LIVE_KEY.replace("_", "&#95;"),
    "entities-by-name": LIVE_KEY.replace("_", "&lowbar;"),
    "every-entity": "".join(f"&#x{ord(char):x};" for char in LIVE_KEY),
    "hexadecimal": LIVE_KEY.encode().hex(),
    "hexadecimal-in-capitals": LIVE_KEY.encode().hex().upper(),
    "repr-of-octets": "".join(f"\\x{ord(char):02x}" for char in LIVE_KEY),
    "script": "".join(f"\\u{{{ord(char):x}}}" for char in LIVE_KEY),
}


@ENCODED
@pytest.mark.parametrize("text", IN_OTHER_WORDS.values(), ids=IN_OTHER_WORDS.keys())
@pytest.mark.parametrize("around", ["{}", "before '{}' after", "İ {}, and {}"], ids=["alone", "within", "twice"])
def test_the_key_is_redacted_in_other_encodings(text: str, around: str) -> None:
    secrets = Secrets(ApiKey(LIVE_KEY))
    assert secrets.redact(around.replace("{}", text)) == around.replace("{}", "[key removed]")


@ENCODED
@given(st.binary(max_size=12), st.text("sk_live0042-~!+/", min_size=8, max_size=40), st.binary(max_size=12))
def test_no_base64_of_a_text_with_the_key_is_left(before: bytes, value: str, after: bytes) -> None:
    secrets = Secrets()
    secrets.learn(value)
    for encode in (b64encode, urlsafe_b64encode):
        assert secrets.redact(encode(before + value.encode() + after).decode()) == SECRET_REMOVED


@ENCODED
@pytest.mark.parametrize(
    "text",
    [
        "c2tfbGl2ZV9vZl9zb21lYm9keV9lbHNl",
        "AT&T &copy; &amp; &#115;&#107; &unknown; &fjlig; &#99999999; &#x110000;",
        "sk_live",
        "SK_LIVE_",
        "İstanbul" * 10,
        "a" * 5_000 + "=" * 100,
    ],
)
def test_what_only_looks_like_an_encoding_stays(secrets: Secrets, text: str) -> None:
    assert secrets.redact(text) == text


def test_secrets_that_overlap_are_redacted_whole() -> None:
    secrets = Secrets()
    secrets.learn("token-1234")
    secrets.learn("token-1234-and-more")
    assert secrets.redact("token-1234-and-more token-1234") == f"{SECRET_REMOVED} {SECRET_REMOVED}"
    assert secrets.redact("token%2d1234%2dand-more") == SECRET_REMOVED


def test_short_values_are_no_secrets() -> None:
    secrets = Secrets()
    for value in ("", "secret", "1234567"):
        secrets.learn(value)
    assert secrets.redact("The secret is 1234567.") == "The secret is 1234567."


def test_the_latest_thousand_are_known_and_the_key_for_good(secrets: Secrets) -> None:
    for number in range(999):
        secrets.learn(f"secret-{number:04}")
    secrets.learn(SECRET)
    secrets.learn("one-too-many")
    shown = secrets.redact(f"{LIVE_KEY} {SECRET} secret-0000 secret-0001")
    assert shown == f"[key removed] {SECRET_REMOVED} secret-0000 {SECRET_REMOVED}"


def test_threads_may_learn_at_once() -> None:
    secrets = Secrets()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: secrets.learn(f"secret-{number:04}"), range(500)))
    assert secrets.redact(" ".join(f"secret-{number:04}" for number in range(500))) == " ".join([SECRET_REMOVED] * 500)


@pytest.mark.parametrize(
    ("answer", "ask"),
    [
        pytest.param({"url": "https://x.example", "secret": SECRET}, lambda api: api.webhooks.get(), id="webhook"),
        pytest.param(
            {"url": "https://x.example", "secret": SECRET}, lambda api: api.webhooks.set("https://x.example"), id="new"
        ),
        pytest.param(
            {"accessToken": SECRET, "callId": "call_1"}, lambda api: api.calls.create_web("agt_1"), id="token"
        ),
    ],
)
async def test_the_client_learns_the_secrets_in_answers(answering: Any, api_over: Any, answer: Any, ask: Any) -> None:
    answers = [(200, answer), (400, {"detail": f"bad: {quote(SECRET, safe='')}" + "x" * 2_000})]
    payload = answering(lambda _: httpx.Response(answers[0][0], json=answers.pop(0)[1]))
    async with api_over(payload) as api:
        result = await ask(api)
        assert SECRET in (getattr(result, "secret", None), getattr(result, "access_token", None))
        assert api.secrets.redact(SECRET) == SECRET_REMOVED
        with pytest.raises(BadRequest) as refused:
            await api.agents.list()
    assert refused.value.detail.startswith(f"bad: {SECRET_REMOVED}xx")


def test_a_model_that_nobody_listens_to_keeps_its_secret() -> None:
    assert Webhook(url="https://x.example", secret=SECRET).secret == SECRET


async def test_two_clients_may_share_what_they_know(answering: Any) -> None:
    """A log has one formatter for any number of clients."""
    shared = Secrets(ApiKey(LIVE_KEY))
    inner = answering({"url": "https://x.example", "secret": SECRET}).transport
    async with ApiClient(Transport("https://api.agentphone.to", ApiKey(LIVE_KEY), inner=inner, secrets=shared)) as api:
        await api.webhooks.get()
    assert shared.redact(SECRET) == SECRET_REMOVED
