"""`doctor` explains why the API does not answer, or not as it should."""

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from agentphone_mcp.commands.doctor.network import reach

PORTAL = "<html><title>Welcome to the hotel</title></html>"
HOUR = 3_600


@pytest.fixture
def authority() -> trustme.CA:
    """Create a certificate authority."""
    return trustme.CA()


@pytest.fixture
def certificates(authority: trustme.CA) -> ssl.SSLContext:
    """Create the certificate of a server on this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_all_is_well(doctor: Any, api: Any) -> None:
    report = doctor("--no-hosts")
    assert (report.exit_code, report.checks("failure"), report.checks("warning")) == (0, [], [])
    assert report.of("API")["facts"]["ms"] >= 0
    assert report.of("limits")["facts"] == {"numbers": 1, "limit": 10}
    assert all(line.startswith("GET ") for line in api.asked)


def test_the_sandbox_is_well(doctor: Any) -> None:
    report = doctor("--no-hosts", "--sandbox")
    assert (report.exit_code, report.of("key")["status"]) == (0, "skipped")
    assert report.of("account")["said"] == "the key is accepted, the plan is free"


@pytest.mark.parametrize(
    ("status", "cause", "remedy"),
    [
        pytest.param(401, "401", "from AGENTPHONE_API_KEY (it ends in 0042) is wrong", id="wrong-key"),
        pytest.param(402, "402", "Top up", id="no-money"),
        pytest.param(403, "403", "AGENTPHONE_SUB_ACCOUNT", id="forbidden"),
    ],
)
def test_the_account_is_refused(doctor: Any, api: Any, status: int, cause: str, remedy: str) -> None:
    api.answers["/v1/usage"] = (status, {"detail": "no"})
    report = doctor("--no-hosts")
    found = report.fails_in("account")
    assert cause in found["said"]
    assert remedy in found["remedy"]
    assert report.of("API")["status"] == "ok"
    assert api.asked == ["GET /v1/usage"]


@pytest.mark.parametrize(
    ("answer", "cause", "remedy"),
    [
        pytest.param((429, {"detail": "slow down"}), "429: slow down", "Wait a minute", id="too-often"),
        pytest.param((503, {"detail": "maintenance"}), "503: maintenance", "Try again", id="ill"),
        pytest.param((200, PORTAL), "status 200 with text/html", "Sign in to the network", id="captive-portal"),
        pytest.param((401, PORTAL), "status 401 with text/html", "Sign in to the network", id="company-proxy"),
        pytest.param((200, {"plan": 7}), "not what AgentPhone documents", "AGENTPHONE_BASE_URL", id="another-api"),
    ],
)
def test_the_api_does_not_answer_as_it_should(
    doctor: Any, api: Any, answer: tuple[int, Any], cause: str, remedy: str
) -> None:
    api.answers["/v1/usage"] = answer
    found = doctor("--no-hosts").fails_in("API")
    assert cause in found["said"]
    assert remedy in found["remedy"]
    assert api.asked == ["GET /v1/usage"]


def test_nothing_listens(doctor: Any, nobody: str) -> None:
    report = doctor("--no-hosts")
    found = report.fails_in("network")
    assert f"{nobody.removeprefix('http://')} refuses the connection" in found["said"]
    assert "agentphone-mcp sandbox" in found["remedy"]
    assert report.of("API")["said"] == "the network comes first"


def test_a_proxy_that_nobody_knows(doctor: Any) -> None:
    proxy = "http://user:hunter2@proxy.invalid:3128"
    report = doctor("--no-hosts", HTTPS_PROXY=proxy, AGENTPHONE_API_KEY="sk_live_not_a_real_key_0042")
    found = report.fails_in("network")
    assert "the proxy proxy.invalid:3128 is a name that does not resolve" in found["said"]
    assert "HTTPS_PROXY" in found["remedy"]
    assert "hunter2" not in report.text


async def test_a_name_that_does_not_resolve() -> None:
    found = await reach(httpx.URL("https://api.invalid"))
    assert (found.status, found.said) == ("failure", "api.invalid is a name that does not resolve")
    assert found.remedy
    assert "DNS" in found.remedy


def test_a_certificate_that_is_not_trusted(doctor: Any, tls_api: Any) -> None:
    found = doctor("--no-hosts").fails_in("network")
    assert "certificate that is not trusted" in found["said"]
    assert "SSL_CERT_FILE" in found["remedy"]
    assert tls_api.asked == []


async def test_the_remedy_for_a_certificate_helps(
    tls_api: Any, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert (await reach(httpx.URL(tls_api.url))).status == "ok"


async def test_what_speaks_no_tls(api: Any) -> None:
    found = await reach(httpx.URL(api.url).copy_with(scheme="https"))
    assert "does not speak TLS" in found.said


@pytest.mark.parametrize(
    ("off", "message"),
    [pytest.param(HOUR, "60 minutes behind", id="late"), pytest.param(-HOUR, "ahead of", id="early")],
)
def test_the_clock_is_off_by_an_hour(doctor: Any, api: Any, off: int, message: str) -> None:
    api.clock_off = off
    found = doctor("--no-hosts").fails_in("clock")
    assert message in found["said"]
    assert "set its clock" in found["remedy"]
    assert abs(found["facts"]["ahead_seconds"] + off) < HOUR / 2


def test_the_clock_is_off_by_two_minutes(doctor: Any, api: Any) -> None:
    api.clock_off = 150
    assert "behind" in doctor("--no-hosts").warns_in("clock")["said"]


def test_the_clock_is_told_of_a_key_that_is_wrong_too(doctor: Any, api: Any) -> None:
    api.answers["/v1/usage"] = (401, {"detail": "no"})
    api.clock_off = HOUR
    assert doctor("--no-hosts").checks("failure") == ["account", "clock"]


def test_the_numbers_are_used_up(doctor: Any, api: Any) -> None:
    usage = {"plan": {"name": "free"}, "numbers": {"used": 10, "limit": 10}}
    api.answers["/v1/usage"] = (200, usage)
    found = doctor("--no-hosts").warns_in("limits")
    assert found["said"] == "10 of 10 numbers are used"
    assert "Release a number" in found["remedy"]


def test_the_webhook_fails(doctor: Any, api: Any) -> None:
    api.answers["/v1/webhooks"] = (200, {"id": "wh_1", "url": "https://example.com/hook"})
    api.answers["/v1/webhooks/deliveries/stats"] = (200, {"total": 9, "success": 6, "failed": 3, "pending": 0})
    found = doctor("--no-hosts").warns_in("webhooks")
    assert found["said"] == "3 of 9 deliveries failed within 24 hours"
    assert "list_webhook_deliveries" in found["remedy"]


def test_an_agent_has_no_webhook_and_needs_one(doctor: Any, api: Any) -> None:
    agents = [
        {"id": f"agt_{n}", "name": f"Agent {n}", "voiceMode": mode} for n, mode in enumerate(("webhook", "hosted"))
    ]
    api.answers["/v1/agents"] = (200, {"data": agents})
    found = doctor("--no-hosts").warns_in("webhooks")
    assert found["said"].endswith("silent in calls: Agent 0")
    assert "set_webhook" in found["remedy"]


def test_an_answer_that_takes_too_long(doctor: Any, sandbox: Any, home: Path) -> None:
    sandbox.faults.rules.append(_slow())
    report = doctor(
        "--no-hosts", AGENTPHONE_API_KEY=sandbox.key, AGENTPHONE_BASE_URL=sandbox.url, AGENTPHONE_TIMEOUT="1"
    )
    found = report.fails_in("API")
    assert "does not answer in time" in found["said"]


def _slow() -> Any:
    from agentphone_mcp.sandbox import Fault

    return Fault("GET", "/v1/usage", delay=5)
