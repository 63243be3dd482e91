"""Provide a file of two bearer tokens, a clock, and the auth backend that reads the file."""

from pathlib import Path

import pytest

from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth
from tests.server.http.auth.issuer import Clock
from tests.server.http.auth.tokens.tokens_file import ALICE, BOB, NOON, entry, write


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tokens.toml"
    write(file, entry("alice", ALICE, "read") + entry("bob", BOB, "spend", "expires = 2027-01-31"))
    return file


@pytest.fixture
def auth(path: Path, clock: Clock) -> StaticTokenAuth:
    return StaticTokenAuth(path, clock=clock)
