"""A file that holds a key or a token, and each copy of it, is its owner's alone."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agentphone_mcp.commands.install.hosts import HOSTS
from tests.commands.install.conftest import FileOf, Install
from tests.support import LIVE_KEY

pytestmark = [
    pytest.mark.attack("3", "a file with the key can be read by others"),
    pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX"),
]
Public = Callable[[str], Path]


def mode(file: Path) -> int:
    """Return the mode of a file."""
    return stat.S_IMODE(file.stat().st_mode)


@pytest.fixture
def public(file_of: FileOf) -> Public:
    """Write a file of a host that everybody can read."""

    def public(key: str) -> Path:
        file = file_of(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text({"json": '{"a": 1}\n', "toml": "a = 1\n", "yaml": "a: 1\n"}[HOSTS[key].format])
        file.chmod(0o644)
        return file

    return public


@pytest.mark.parametrize("key", HOSTS)
def test_a_plain_key_makes_the_file_and_its_backup_private(key: str, run: Install, public: Public) -> None:
    file = public(key)
    assert run(key, "--plain-key", AGENTPHONE_API_KEY=LIVE_KEY).exit_code == 0
    [backup] = file.parent.glob("*.bak")
    assert (mode(file), mode(backup)) == (0o600, 0o600)


@pytest.mark.parametrize("arguments", [[], ["--uninstall"], ["--sandbox"]], ids=["again", "uninstall", "sandbox"])
def test_a_backup_of_a_plain_key_is_private(arguments: list[str], run: Install, public: Public) -> None:
    file = public("cursor")
    run("cursor", "--plain-key", AGENTPHONE_API_KEY=LIVE_KEY)
    file.chmod(0o644)
    run("cursor", *arguments)
    backups = list(file.parent.glob("*.bak"))
    assert [each for each in backups if LIVE_KEY in each.read_text()]
    assert {mode(each) for each in backups} == {0o600}


def test_a_file_that_has_the_key_already_becomes_private(run: Install, public: Public) -> None:
    file = public("zed")
    run("zed", "--plain-key", AGENTPHONE_API_KEY=LIVE_KEY)
    file.chmod(0o664)
    run("zed", "--plain-key", AGENTPHONE_API_KEY=LIVE_KEY)
    assert mode(file) == 0o600


@pytest.mark.parametrize("token", ["apm_of-a-hosted-server", "any-other-bearer"])
@pytest.mark.parametrize("key", ["cursor", "codex", "goose", "windsurf"])
def test_a_plain_token_is_private_too(key: str, token: str, run: Install, public: Public) -> None:
    file = public(key)
    result = run(key, "--remote", "https://phone.example.com/mcp", "--plain-key", AGENTPHONE_MCP_TOKEN=token)
    assert (result.exit_code, mode(file)) == (0, 0o600)


def test_a_key_of_any_form_is_private(run: Install, public: Public) -> None:
    file = public("cursor")
    run("cursor", "--plain-key", AGENTPHONE_API_KEY="another-form-of-key-0042")
    assert mode(file) == 0o600


@pytest.mark.parametrize("key", HOSTS)
def test_a_file_without_a_key_keeps_its_mode(key: str, run: Install, public: Public) -> None:
    file = public(key)
    run(key, AGENTPHONE_API_KEY=LIVE_KEY)
    assert mode(file) == 0o644
    if HOSTS[key].format == "json" and key != "claude-desktop":
        run(key, "--remote", "https://phone.example.com/mcp", AGENTPHONE_MCP_TOKEN="apm_x")
        assert (mode(file), "apm_x" in json.dumps(file.read_text())) == (0o644, False)
