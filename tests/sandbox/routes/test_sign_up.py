"""Check the sign-up without a key: a mailed code gives an agent, a number and the key."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.authentication import watch_token
from agentphone_mcp.sandbox.data.persistence import load
from agentphone_mcp.sandbox.event_stream import SandboxEvent
from agentphone_mcp.sandbox.http.faults import parse
from agentphone_mcp.sandbox.routes.numbers import NUMBER_LIMIT
from agentphone_mcp.sandbox.routes.sign_up import OWNERS_EMAIL, TRIES, VALID_FOR
from agentphone_mcp.sandbox.terminal import format_line
from tests.sandbox.clients import in_process

NEW = "grace@example.com"


@pytest.fixture
def speed() -> float:
    """Use real time, so that no code expires on a slow machine."""
    return 1


@pytest.fixture
async def stranger(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(sandbox, headers={}) as client:
        yield client


async def signed_up(stranger: httpx.AsyncClient, email: str = NEW, **more: str) -> dict[str, Any]:
    answer = await stranger.post("/v0/agent/sign-up", json={"human_email": email, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def mailed(api: httpx.AsyncClient) -> dict[str, Any]:
    return (await api.get("/__sandbox/mails")).json()["data"][0]


async def verified(stranger: httpx.AsyncClient, mail: dict[str, Any], code: str | None = None) -> httpx.Response:
    given = {"verification_id": mail["verificationId"], "otp_code": code or mail["code"]}
    return await stranger.post("/v0/agent/verify", json=given)


def wrong(mail: dict[str, Any]) -> str:
    return f"{(int(mail['code']) + 1) % 1_000_000:06}"


async def test_a_mailed_code_gives_an_agent_a_number_and_the_key(
    stranger: httpx.AsyncClient, api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    started = await signed_up(stranger, agent_name="Concierge")
    mail = await mailed(api)
    assert (mail["to"], mail["verificationId"]) == (NEW, started["verification_id"])
    assert mail["expiresAt"] == started["expires_at"]
    opened = (await verified(stranger, mail)).json()
    assert opened.keys() == {"account_id", "agent_id", "number_id", "phone_number", "api_key"}
    assert opened["api_key"] == sandbox.key
    agent = (await api.get(f"/v1/agents/{opened['agent_id']}")).json()
    assert (agent["name"], agent["voiceMode"]) == ("Concierge", "hosted")
    assert [number["phoneNumber"] for number in agent["numbers"]] == [opened["phone_number"]]
    assert (await api.get(f"/v1/numbers/{opened['number_id']}")).json()["agentId"] == opened["agent_id"]
    assert str(sandbox.context.account.balance.amount) == "5.00"


async def test_the_code_is_told_to_those_who_watch(
    stranger: httpx.AsyncClient, api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    with sandbox.context.event_stream.subscribe(lambda: None) as subscriber:
        started = await stranger.post("/v0/agent/sign-up", json={"human_email": NEW})
        published: list[SandboxEvent] = subscriber.take()
    mail = await mailed(api)
    assert [one.kind for one in published] == ["mail", "request"]
    assert format_line(published[0]).plain.endswith(f"to {NEW}: Your AgentPhone verification code is {mail['code']}.")
    shown = (await stranger.get("/__sandbox/view", params={"token": watch_token(sandbox.key)})).json()
    assert [(one["to"], mail["code"] in one["body"]) for one in shown["mails"]] == [(NEW, True)]
    assert mail["code"] not in started.text
    assert (await stranger.get("/__sandbox/mails")).status_code == 401


@pytest.mark.parametrize("email", [OWNERS_EMAIL, "Owner@Example.COM"], ids=["same", "other-case"])
async def test_an_email_that_has_an_account_is_refused(stranger: httpx.AsyncClient, email: str) -> None:
    answer = await stranger.post("/v0/agent/sign-up", json={"human_email": email})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EMAIL_ALREADY_REGISTERED")


async def test_a_verified_email_has_an_account(stranger: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    await signed_up(stranger)
    earlier = await mailed(api)
    await signed_up(stranger)
    assert (await verified(stranger, earlier)).status_code == 404
    assert (await verified(stranger, await mailed(api))).status_code == 200
    assert (await stranger.post("/v0/agent/sign-up", json={"human_email": NEW.upper()})).status_code == 409


async def test_wrong_codes_are_counted_and_then_the_right_one_is_too_late(
    stranger: httpx.AsyncClient, api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await signed_up(stranger)
    mail = await mailed(api)
    said = [(await verified(stranger, mail, wrong(mail))).json()["detail"] for _ in range(TRIES)]
    assert [words.partition("; ")[2] for words in said] == [
        "tries left: 2.",
        "tries left: 1.",
        "sign up again for a new one.",
    ]
    late = await verified(stranger, mail)
    assert (late.status_code, late.json()["error"]["code"]) == (400, "TOO_MANY_ATTEMPTS")
    assert len(sandbox.context.account.agents) == 2


async def test_a_code_is_good_once(stranger: httpx.AsyncClient, api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await signed_up(stranger)
    mail = await mailed(api)
    await verified(stranger, mail)
    again = await verified(stranger, mail)
    assert (again.status_code, sandbox.key in again.text) == (409, False)
    assert len(sandbox.context.account.agents) == 3


async def test_a_code_expires_by_the_sandboxs_clock(
    stranger: httpx.AsyncClient, api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await signed_up(stranger)
    await sandbox.context.clock.advance(VALID_FOR / timedelta(seconds=1))
    late = await verified(stranger, await mailed(api))
    assert (late.status_code, late.json()["error"]["code"]) == (400, "VERIFICATION_EXPIRED")


async def test_an_account_that_is_full_keeps_the_code_good(
    stranger: httpx.AsyncClient, api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await api.post("/__sandbox/balance", json={"balance": 100})
    bought = [(await api.post("/v1/numbers", json={})).json()["id"] for _ in range(NUMBER_LIMIT - 1)]
    await signed_up(stranger)
    mail = await mailed(api)
    assert (await verified(stranger, mail)).status_code == 409
    assert len(sandbox.context.account.agents) == 2
    await api.delete(f"/v1/numbers/{bought[0]}")
    assert (await verified(stranger, mail)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        pytest.param("sign-up", {}, "human_email", id="no-email"),
        pytest.param("sign-up", {"human_email": "grace"}, "human_email", id="no-address"),
        pytest.param("sign-up", {"human_email": "a b@example.com"}, "human_email", id="blank-in-it"),
        pytest.param("sign-up", {"human_email": None}, "human_email", id="null"),
        pytest.param("sign-up", {"human_email": NEW, "agent_name": 7}, "agent_name", id="number-for-a-name"),
        pytest.param("verify", {"otp_code": "123456"}, "verification_id", id="no-verification"),
        pytest.param("verify", {"verification_id": "ver_1"}, "otp_code", id="no-code"),
        pytest.param("verify", {"verification_id": "ver_1", "otp_code": "12345"}, "otp_code", id="short-code"),
        pytest.param("verify", {"verification_id": "ver_1", "otp_code": 123456}, "otp_code", id="number-for-a-code"),
    ],
)
async def test_what_is_wrong_is_named(stranger: httpx.AsyncClient, path: str, body: dict[str, Any], field: str) -> None:
    answer = await stranger.post(f"/v0/agent/{path}", json=body)
    assert (answer.status_code, [one["loc"] for one in answer.json()["detail"]]) == (422, [["body", field]])


async def test_an_unknown_verification_is_not_found(stranger: httpx.AsyncClient) -> None:
    body = {"verification_id": "ver_nobodys", "otp_code": "123456"}
    assert (await stranger.post("/v0/agent/verify", json=body)).status_code == 404


async def test_a_reset_forgets_who_signed_up(stranger: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    await signed_up(stranger)
    await verified(stranger, await mailed(api))
    await api.post("/__sandbox/reset")
    assert (await api.get("/__sandbox/mails")).json()["data"] == []
    await signed_up(stranger)


@pytest.mark.parametrize(("api_version", "status"), [("seeds", 404), ("new", 409)])
async def test_the_older_age_has_no_sign_up(stranger: httpx.AsyncClient, api_version: str, status: int) -> None:
    answer = await stranger.post("/v0/agent/sign-up", json={"human_email": OWNERS_EMAIL})
    assert (answer.status_code, "detail" in answer.json()) == (status, api_version == "seeds")


async def test_a_sign_up_survives_a_restart(tmp_path: Path) -> None:
    sandbox = Sandbox(state=tmp_path / "state.json")
    async with in_process(sandbox, headers={}) as one:
        started = await signed_up(one)
    saved = load(tmp_path / "state.json")
    await sandbox.aclose()
    assert saved
    assert [each.id for each in saved.account.sign_ups.values()] == [started["verification_id"]]


async def test_faults_can_meet_a_sign_up(stranger: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.rules.append(parse("POST /v0/agent/sign-up status=503"))
    assert (await stranger.post("/v0/agent/sign-up", json={"human_email": NEW})).status_code == 503
