"""Provide the tokens of two callers."""

from pathlib import Path

import pytest

from agentphone_mcp.config.http import HttpSettings
from tests.server.http.auth.tokens.tokens_file import entry, write
from tests.server.http.middleware.requests import ALICE, BOB


@pytest.fixture
def tokens(tmp_path: Path) -> HttpSettings:
    """Write a tokens file in which Alice may spend and Bob may read."""
    file = tmp_path / "tokens.toml"
    write(file, entry("alice", ALICE, "spend") + entry("bob", BOB, "read"))
    return HttpSettings(auth="token", tokens_file=str(file), max_sessions=3, max_calls=4, idle_timeout=1800)
