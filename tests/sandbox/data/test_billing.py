"""Check prices, segments, and an empty balance."""

from decimal import Decimal

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.data.billing import Balance, segments, text_charge, voice_charge


@pytest.mark.parametrize(
    ("mode", "seconds", "dollars"),
    [
        pytest.param("hosted", 60, "0.22", id="a-hosted-minute"),
        pytest.param("webhook", 60, "0.13", id="a-webhook-minute"),
        pytest.param("webhook", 90, "0.195", id="by-the-second"),
        pytest.param("hosted", 0, "0.01", id="at-least-a-cent"),
    ],
)
def test_voice_is_charged_by_mode_and_second(mode: str, seconds: int, dollars: str) -> None:
    assert voice_charge(mode, seconds) == Decimal(dollars)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        pytest.param("", 1, id="only-a-picture"),
        pytest.param("x" * 160, 1, id="one-in-gsm"),
        pytest.param("x" * 161, 2, id="two-in-gsm"),
        pytest.param("é" * 160, 1, id="gsm-has-accents"),
        pytest.param("€" * 81, 2, id="a-euro-counts-twice"),
        pytest.param("—" + "x" * 69, 1, id="one-in-unicode"),
        pytest.param("—" + "x" * 70, 2, id="two-in-unicode"),
        pytest.param("👋" * 35, 1, id="an-emoji-is-two-units"),
        pytest.param("👋" * 36, 2, id="two-of-emoji"),
    ],
)
def test_a_text_is_priced_by_segment(body: str, count: int) -> None:
    assert segments(body) == count
    assert text_charge(body) == count * Decimal("0.02")


async def test_a_long_text_costs_its_segments(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    wanted = {"agent_id": "agt_frontdesk", "to_number": "+14155550142", "body": "x" * 400}
    assert (await api.post("/v1/messages", json=wanted)).status_code == 200
    assert sandbox.context.account.balance.amount == Decimal("4.94")
    sandbox.context.account.balance.amount = Decimal("0.05")
    answer = await api.post("/v1/messages", json=wanted)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "INSUFFICIENT_BALANCE")
    assert "$0.06" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        pytest.param("/v1/numbers", {}, id="number"),
        pytest.param("/v1/calls", {"agentId": "agt_frontdesk", "toNumber": "+14155559999"}, id="call"),
        pytest.param("/v1/calls/web", {"agentId": "agt_frontdesk"}, id="web-call"),
        pytest.param(
            "/v1/messages", {"agent_id": "agt_frontdesk", "to_number": "+14155550142", "body": "Hi"}, id="text"
        ),
    ],
)
async def test_an_empty_balance_buys_nothing_until_it_is_filled(
    api: httpx.AsyncClient, path: str, wanted: dict[str, str]
) -> None:
    await api.post("/__sandbox/balance", json={"balance": "0"})
    answer = await api.post(path, json=wanted)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "INSUFFICIENT_BALANCE")
    await api.post("/__sandbox/balance", json={"balance": "25.00"})
    assert (await api.post(path, json=wanted)).is_success


async def test_a_call_ends_with_the_balance(
    api: httpx.AsyncClient, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    await api.post("/__sandbox/balance", json={"balance": "0.11"})
    wanted = {"agentId": "agt_frontdesk", "toNumber": "+14155550109"}
    placed = (await api.post("/v1/calls", json=wanted)).json()
    await api.get(f"/v1/calls/{placed['id']}/transcript/stream")
    call = (await api.get(f"/v1/calls/{placed['id']}")).json()
    assert call["status"] == "completed"
    assert 29 <= call["durationSeconds"] < 60
    assert f"call {placed['id']} ended: the balance ran out" in caplog.text
    assert Decimal(0) <= sandbox.context.account.balance.amount < Decimal("0.005")
    assert (await api.post("/v1/calls", json=wanted)).status_code in (201, 402)


async def test_calls_that_run_together_share_the_balance(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await api.post("/__sandbox/balance", json={"balance": "0.22"})
    wanted = {"agentId": "agt_frontdesk", "toNumber": "+14155550109"}
    placed = [(await api.post("/v1/calls", json=wanted)).json() for _ in range(2)]
    for call in placed:
        await api.get(f"/v1/calls/{call['id']}/transcript/stream")
    durations = [sandbox.context.account.calls[call["id"]].seconds or 0 for call in placed]
    assert all(25 <= seconds < 60 for seconds in durations)
    assert Decimal(0) <= sandbox.context.account.balance.amount < Decimal("0.02")


def test_the_time_left_counts_every_running_call() -> None:
    balance = Balance(Decimal("0.22"))
    assert balance.seconds_left([]) == float("inf")
    assert balance.seconds_left([("hosted", 0)]) == pytest.approx(60)
    assert balance.seconds_left([("hosted", 20), ("hosted", 10)]) == pytest.approx(15)
    assert balance.seconds_left([("hosted", 90)]) == 0


def test_aggressive_denoising_costs_half_a_cent_a_minute_more() -> None:
    assert voice_charge("hosted+denoising", 120) - voice_charge("hosted", 120) == Decimal("0.01")
    assert voice_charge("webhook+denoising", 120) - voice_charge("webhook", 120) == Decimal("0.01")
