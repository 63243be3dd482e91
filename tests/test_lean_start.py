"""What every start imports before it says anything: reading and checking the settings needs none of the large parts."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = {
    "anyio", "asyncio", "http.client", "httpx", "hashlib", "keyring", "logging", "mcp", "mcp_types", "opentelemetry",
    "phonenumbers", "pydantic", "rich", "sqlalchemy", "ssl", "starlette", "tomlkit", "urllib.request", "uvicorn",
}  # fmt: skip


def test_checking_the_settings_imports_nothing_large() -> None:
    """Here the last that is looked at is wrong, so that every other one has been read."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTPHONE_")}
    told = {"AGENTPHONE_API_KEY": "sk_live_not_a_real_key_0042", "AGENTPHONE_SUB_ACCOUNT": "a b"}
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agentphone_mcp"],
        env=clean | told | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    *lines, error = ran.stderr.splitlines()
    assert error.startswith("Error: AGENTPHONE_SUB_ACCOUNT")
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "agentphone_mcp.forerunner.session" in imported
    assert HEAVY & imported == set()
