"""Provide the tokens of two callers."""

from pathlib import Path

import pytest

from agentphone_mcp.config.http import HttpSettings
from tests.server.http.middleware.requests import ALICE, BOB, sha256


@pytest.fixture
def tokens(tmp_path: Path) -> HttpSettings:
    """Write a tokens file in which Alice may spend and Bob may read."""
    file = tmp_path / "tokens.toml"
    rows = [("alice", ALICE, "spend"), ("bob", BOB, "read")]
    file.write_text(
        "".join(f'[tokens.{name}]\nsha256 = "{sha256(token)}"\nscope = "{scope}"\n' for name, token, scope in rows)
    )
    file.chmod(0o600)
    return HttpSettings(auth="token", tokens_file=str(file), max_sessions=3, max_calls=4, idle_timeout=1800)
