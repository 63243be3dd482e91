"""`doctor` tells who else can read the key: a proxy whose certificate is trusted, a log of TLS keys, another user."""

import os
from pathlib import Path
from typing import Any

import pytest

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, Allowlist
from agentphone_mcp.commands.doctor import network
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok
from agentphone_mcp.commands.doctor.key import check_key
from agentphone_mcp.commands.doctor.network import check_network
from tests.support import LIVE_KEY

READ_ON_THE_WAY = pytest.mark.attack("3", "an environment lets others read the key on its way, without a word")
READ_ON_DISK = pytest.mark.attack("3", "a file with the key can be read by others")
VENDOR = Allowlist.for_base(DEFAULT_BASE_URL, None)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Finding:
    """Stand in for a connection to the vendor by way of a proxy."""
    finding = ok("network", "api.agentphone.to by way of the proxy proxy.example:3128")

    async def connect(_: Allowlist) -> Finding:
        return finding

    monkeypatch.setattr(network, "_connect", connect)
    return finding


@READ_ON_THE_WAY
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
async def test_a_variable_that_lets_others_read_the_key_is_named(variable: str, connected: Finding) -> None:
    found = await check_network(VENDOR, {variable: "/etc/some.pem", "HTTPS_PROXY": "http://proxy.example:3128"})
    assert (found.status, found.said.startswith(connected.said)) == ("warning", True)
    assert variable in found.said
    assert "can read the key" in found.said or "can be read" in found.said
    assert found.remedy == (
        f"That is right for a company that looks into its connections; anywhere else unset {variable}"
    )


@READ_ON_THE_WAY
@pytest.mark.parametrize("environ", [{}, {"SSL_CERT_FILE": " "}, {"HTTPS_PROXY": "http://proxy.example:3128"}])
async def test_a_proxy_alone_cannot_read_it(environ: dict[str, str], connected: Finding) -> None:
    assert await check_network(VENDOR, environ) is connected


@READ_ON_THE_WAY
async def test_a_sandbox_and_a_failure_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = failure("network", "api.agentphone.to refuses the connection", "Check it")

    async def connect(_: Allowlist) -> Finding:
        return broken

    monkeypatch.setattr(network, "_connect", connect)
    for allowlist in (VENDOR, Allowlist.for_base("http://127.0.0.1:8787", None)):
        assert await check_network(allowlist, {"SSL_CERT_FILE": "/etc/some.pem"}) is broken


@READ_ON_THE_WAY
def test_the_report_says_so_where_it_asks_the_vendor(doctor: Any, connected: Finding, home: Path) -> None:
    report = doctor("--no-hosts", AGENTPHONE_API_KEY="", SSLKEYLOGFILE=str(home / "keys.log"))
    assert report.of("network")["status"] == "warning"


@READ_ON_DISK
@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize(("mode", "status"), [(0o600, "ok"), (0o400, "ok"), (0o644, "warning"), (0o640, "warning")])
def test_a_key_file_that_others_can_read_is_named(mode: int, status: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(LIVE_KEY)
    file.chmod(mode)
    found, finding = check_key({"AGENTPHONE_API_KEY_FILE": str(file)}, VENDOR)
    assert found is not None
    assert finding.status == status
    assert ("others on this machine can read that file" in finding.said) == (status == "warning")
