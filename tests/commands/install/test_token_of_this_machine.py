"""Enter the token that `--http-auth local` made, where nobody else reads it."""

import json
import os
from pathlib import Path

import pytest

from agentphone_mcp.server.http.auth import local_token
from tests.commands.install.conftest import Install

pytestmark = pytest.mark.attack("15", "another user of the machine reaches what is meant for one")
URL = "http://127.0.0.1:8000/mcp"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setattr(local_token, "local_token_file", lambda: tmp_path / "state/local-token")
    return local_token.ensure_local_token()


def test_it_is_entered_into_a_file_of_ones_own(run: Install, home: Path, token: str) -> None:
    result = run("cursor", "--remote", URL)
    assert (result.exit_code, token in result.output) == (0, False)
    file = home / ".cursor/mcp.json"
    entry = json.loads(file.read_text(encoding="utf-8"))["mcpServers"]["agentphone"]
    assert entry == {"url": URL, "headers": {"Authorization": f"Bearer {token}"}}
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("named", ["--project", "--file"])
def test_it_is_entered_into_no_file_of_a_project(run: Install, tmp_path: Path, token: str, named: str) -> None:
    file = tmp_path / "theirs/.cursor/mcp.json"
    file.parent.mkdir(parents=True)
    result = run("cursor", "--remote", URL, named, str(file.parents[1] if named == "--project" else file))
    assert result.exit_code == 0, result.output
    assert token not in file.read_text(encoding="utf-8")


def test_it_is_not_shown(run: Install, token: str) -> None:
    result = run("cursor", "--remote", URL, "--print")
    assert (result.exit_code, token in result.output, "Bearer TOKEN" in result.output) == (0, False, True)


@pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
def test_one_that_others_could_have_written_is_not_entered(run: Install, home: Path, token: str) -> None:
    local_token.local_token_file().chmod(0o644)
    result = run("cursor", "--remote", URL)
    assert (result.exit_code, "chmod 600" in result.stderr) == (1, True)
    assert not (home / ".cursor/mcp.json").exists()
