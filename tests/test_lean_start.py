"""What every start imports before it says anything: reading and checking the settings needs none of the large parts."""

import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from agentphone_mcp.server.stdio.surface import load
from agentphone_mcp.variables import TOOLSETS
from tests.support import LIVE_KEY, clean_environment

HEAVY = {
    "anyio", "asyncio", "http.client", "httpx", "hashlib", "keyring", "logging", "mcp", "mcp_types", "opentelemetry",
    "phonenumbers", "pydantic", "rich", "sqlalchemy", "ssl", "starlette", "tomlkit", "urllib.request", "uvicorn",
}  # fmt: skip

# What only calls need, and a server that lists its tools does not.
LATER = {
    "agentphone_mcp.api.client", "agentphone_mcp.features.tools.catalog", "agentphone_mcp.server.account_connection",
    "agentphone_mcp.server.feature_set",
    "httpx", "keyring", "phonenumbers", "sqlalchemy", "tomlkit",
}  # fmt: skip


def test_checking_the_settings_imports_nothing_large() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agentphone_mcp"],
        env=clean_environment(AGENTPHONE_API_KEY=LIVE_KEY, AGENTPHONE_SUB_ACCOUNT="a b"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    *lines, error = ran.stderr.splitlines()
    assert error.startswith("Error: AGENTPHONE_SUB_ACCOUNT")
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "agentphone_mcp.server.stdio.early_session" in imported
    assert HEAVY & imported == set()


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
def test_a_server_that_can_be_reached_has_imported_nothing_that_only_calls_need(transport: str, tmp_path: Path) -> None:
    """Whoever waits for it asks for the list of tools first."""
    if load(TOOLSETS, "spend", cache=tmp_path) is None:
        pytest.skip("with another SDK than surface.json was made with, every start makes its tools first")
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "agentphone_mcp", "--transport", transport, "--port", "0"],
        env=clean_environment(AGENTPHONE_KEYCHAIN="off", XDG_CACHE_HOME=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        lines = list(takewhile(lambda line: not line.startswith("Serving on"), process.stderr))
        process.kill()
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "agentphone_mcp.server.http.app" in imported
    assert LATER & imported == set()
