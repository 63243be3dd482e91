"""Tests of sign-up: requests carry no key, go only to the vendor, and the new key is not shown."""

import json
import logging

import httpx
import pytest

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.api.errors import ApiError, BadRequest, Conflict, OutcomeUnknown, Unreachable
from agentphone_mcp.api.sign_up import OpenedAccount, SignUpClient
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.sandbox import Sandbox
from tests.api.conftest import Network

NEW_KEY = "sk_live_brand_new_key_0077"
EMAIL = "grace@example.com"
MAILED = {"verification_id": "ver_1", "expires_at": "2026-11-20T09:30:00Z", "message": "Sent."}
OPENED = {
    "account_id": "acc_1",
    "agent_id": "agt_1",
    "number_id": "num_1",
    "phone_number": "+14155550112",
    "api_key": NEW_KEY,
}
SIGN_UP = Allowlist.for_sign_up(DEFAULT_BASE_URL)


async def test_an_email_and_a_code_open_an_account(sandbox: Sandbox) -> None:
    async with SignUpClient(sandbox.url) as client:
        mailed = await client.begin(EMAIL, "Concierge")
        (sign_up,) = sandbox.context.account.sign_ups.values()
        with pytest.raises(BadRequest, match="tries left: 2"):
            await client.finish(mailed.verification_id, f"{(int(sign_up.code) + 1) % 1_000_000:06}")
        opened = await client.finish(mailed.verification_id, sign_up.code)
        with pytest.raises(Conflict):
            await client.begin(EMAIL)
    assert opened.api_key == sandbox.key
    assert sandbox.context.account.agents[opened.agent_id or ""].name == "Concierge"
    assert not any(request.authorized for request in sandbox.requests)


async def test_no_credentials_go_along(answering: Network) -> None:
    recorder = answering(MAILED)
    async with SignUpClient(DEFAULT_BASE_URL, inner=recorder.transport) as client:
        await client.begin(EMAIL)
    (request,) = recorder.requests
    assert str(request.url) == "https://api.agentphone.to/v0/agent/sign-up"
    assert json.loads(request.content) == {"human_email": EMAIL}
    assert not {"authorization", "x-sub-account-id", "traceparent", "cookie"} & request.headers.keys()


@pytest.mark.parametrize(
    "base_url",
    ["http://api.agentphone.to", "https://api.evil.example", "https://api.agentphone.to.evil.example"],
    ids=["plain-http", "foreign", "look-alike"],
)
def test_sign_up_goes_nowhere_else(base_url: str) -> None:
    """The response holds a key, so the allowlist applies."""
    with pytest.raises(KeyRuleBroken):
        SignUpClient(base_url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.agentphone.to/v1/usage",
        "https://api.agentphone.to/v0/agent/%2e%2e/admin",
        "http://127.0.0.1/v0/agent/x",
    ],
    ids=["with-a-key-only", "out-of-it", "loopback"],
)
def test_sign_up_reaches_nothing_but_itself(url: str) -> None:
    assert not SIGN_UP.admits(httpx.URL(url))


async def test_a_key_never_goes_to_sign_up(answering: Network) -> None:
    recorder = answering(OPENED)
    transport = Transport(DEFAULT_BASE_URL, ApiKey(NEW_KEY), inner=recorder.transport, signs_up=True)
    with pytest.raises(ApiError):
        await transport.post("/v0/agent/verify", OpenedAccount, {})
    await transport.aclose()
    assert recorder.requests == []


async def test_neither_the_new_key_nor_the_email_is_shown(answering: Network, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = answering(OPENED)
    async with SignUpClient(DEFAULT_BASE_URL, inner=recorder.transport) as client:
        opened = await client.finish("ver_1", "123456")
    assert opened.api_key == NEW_KEY
    malformed = answering(OPENED | {"phone_number": {"is": NEW_KEY}})
    async with SignUpClient(DEFAULT_BASE_URL, inner=malformed.transport) as client:
        with pytest.raises(OutcomeUnknown) as unknown:
            await client.finish("ver_1", "123456")
    shown = f"{caplog.text} {opened!r} {unknown.value} {unknown.value.__cause__}"
    assert NEW_KEY not in shown
    assert EMAIL not in shown


async def test_what_is_not_said_of_an_account_loses_no_key(answering: Network) -> None:
    async with SignUpClient(DEFAULT_BASE_URL, inner=answering({"api_key": NEW_KEY}).transport) as client:
        assert (await client.finish("ver_1", "123456")).phone_number is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(httpx.ConnectError("no"), Unreachable, id="nobody-there"),
        pytest.param(httpx.ReadTimeout("late"), OutcomeUnknown, id="lost-answer"),
        pytest.param(httpx.Response(502, text="<html>"), OutcomeUnknown, id="broken-proxy"),
        pytest.param(httpx.Response(200, json={"api_key": ""}), OutcomeUnknown, id="no-key-in-it"),
        pytest.param(httpx.Response(307, headers={"Location": "https://evil.example"}), OutcomeUnknown, id="redirect"),
        pytest.param(httpx.Response(409, json={"detail": "known"}), Conflict, id="known"),
    ],
)
async def test_trouble_is_an_error_of_the_tree(
    answering: Network, answer: httpx.Response | Exception, kind: type[ApiError]
) -> None:
    def say(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    recorder = answering(say)
    async with SignUpClient(DEFAULT_BASE_URL, inner=recorder.transport) as client:
        with pytest.raises(ApiError) as failed:
            await client.finish("ver_1", "123456")
    assert type(failed.value) is kind
    assert len(recorder.requests) == 1
