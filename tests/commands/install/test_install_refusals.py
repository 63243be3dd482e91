"""`agentphone-mcp install` refuses what it cannot do in one sentence that says what to do instead."""

import errno
import os
import sys
from pathlib import Path

import pytest
from click.testing import Result

from agentphone_mcp.commands.install.editing import find
from agentphone_mcp.commands.install.hosts import HOSTS
from agentphone_mcp.commands.install.programs import HOMEBREW
from tests.commands.install.conftest import FileOf, Install
from tests.support import LIVE_KEY


def refusal(result: Result) -> str:
    """Return the sentence with which the command was refused."""
    assert result.exit_code != 0
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


def test_all_that_are_found_have_it(run: Install, file_of: FileOf) -> None:
    for key in ("cursor", "gemini"):
        file_of(key).parent.mkdir()
    file_of("cursor").write_text('{\n  "mcpServers": {,\n', encoding="utf-8")
    result = run("all")
    assert result.exit_code == 1
    assert f"Cursor: {file_of('cursor')} stays as it is: line 2, column 18: " in result.stderr
    assert find(HOSTS["gemini"], file_of("gemini").read_text(encoding="utf-8"))
    assert not file_of("codex").exists()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the length of a name here")
@pytest.mark.parametrize("removes", [[], ["--uninstall"]], ids=["install", "uninstall"])
def test_a_folder_that_cannot_be_looked_into_is_named(removes: list[str], run: Install) -> None:
    folder = "/" + "a" * 300
    assert refusal(run("codex", *removes, CODEX_HOME=folder)) == (
        f"{folder}/config.toml cannot be changed: {os.strerror(errno.ENAMETOOLONG).lower()}"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "name a host: one of claude-desktop, claude-code, cursor,", id="no-host"),
        pytest.param(["all"], "no host was found here: name one of claude-desktop,", id="none-found"),
        pytest.param(["nope"], "'nope' is not one of 'claude-desktop',", id="unknown-host"),
        pytest.param(["zed", "--toolsets", "fax"], "fax is no toolset; there are account,", id="toolset"),
        pytest.param(["goose", "--project"], "Goose has no files of projects: leave --project out", id="no-project"),
        pytest.param(["zed", "--project", "/nowhere"], "'/nowhere' does not exist", id="no-folder"),
        pytest.param(["claude-desktop", "--remote", "https://a.b/mcp"], "under Connectors", id="no-remote"),
        pytest.param(["zed", "--remote", "a.b/mcp"], "--remote takes a URL such as https://", id="no-url"),
        pytest.param(["zed", "--remote", ""], "--remote takes a URL such as https://", id="empty-url"),
        pytest.param(["zed", "--remote", "http://[::1/mcp"], "--remote takes a URL such as https://", id="no-address"),
        pytest.param(["zed", "--remote", "https://a.b:99999"], "--remote takes a URL such as https://", id="no-port"),
        pytest.param(["zed", "--remote", "https://a.b/\nmcp"], "--remote takes a URL such as https://", id="line-end"),
        pytest.param(["zed", "--remote", "http://phone.example.com/mcp"], "could read the token", id="in-the-clear"),
        pytest.param(["zed", "--remote", "http://127.0.0.1.example.com/mcp"], "could read the token", id="look-alike"),
        pytest.param(["zed", "--remote", "https://me:pw@a.b"], "without a password", id="password"),
        pytest.param(["zed", "--remote", "https://a.b", "--read-only"], "is set up there", id="remote-options"),
        pytest.param(["zed", "--sandbox", "--plain-key"], "--sandbox needs neither a key", id="sandbox-key"),
        pytest.param(["zed", "--plain-key"], "there is no key to write: set AGENTPHONE_API_KEY first", id="no-key"),
        pytest.param(["zed", "--plain-key", "--print"], "--print shows no key", id="print-key"),
        pytest.param(["zed", "--plain-key", "--key-file", "k"], "are two ways: keep one", id="two-ways"),
        pytest.param(["zed", "--key-file", "/nowhere/key"], "'/nowhere/key' cannot be read", id="no-key-file"),
        pytest.param(["zed", "--project", "--plain-key"], "no key and no path of yours belongs in it", id="shared"),
        pytest.param(["zed", "--project", "--file", "a"], "are two places: keep one", id="two-places"),
        pytest.param(
            ["zed", "--uninstall", "--sandbox"], "--uninstall takes HOST, --project and --file", id="uninstall"
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    arguments: list[str], message: str, run: Install, home: Path
) -> None:
    assert message in refusal(run(*arguments))
    assert [file for file in home.rglob("*") if file.is_file() and file.stem != "uvx"] == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/mcp", "http://localhost/mcp", "HTTP://[::1]:8000/mcp"])
def test_a_token_may_go_over_plain_http_within_this_machine(url: str, run: Install, file_of: FileOf) -> None:
    assert run("cursor", "--remote", url).exit_code == 0
    assert url in file_of("cursor").read_text(encoding="utf-8")


@pytest.mark.skipif(any((folder / "uvx").exists() for folder in HOMEBREW), reason="everybody here has uvx")
def test_without_uvx_it_is_said_how_to_get_it(run: Install, uvx: Path) -> None:
    uvx.unlink()
    assert "hosts start the server by uvx, which is not found here: get uv with" in refusal(run("cursor"))
    shared = run("cursor", "--project", "--print")
    assert shared.exit_code == 0
    assert "There is no uvx here, by which the server is started: get uv with" in shared.stderr


def test_with_uvx_nothing_is_said_of_it_in_a_project(run: Install, tmp_path: Path) -> None:
    assert "There is no uvx" not in run("cursor", "--project", str(tmp_path)).stdout


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names of files are always text there")
def test_a_path_that_is_no_text_is_refused(run: Install, tmp_path: Path) -> None:
    key = tmp_path / os.fsdecode(b"cl\xe9")
    key.write_text(LIVE_KEY)
    assert refusal(run("cursor", "--key-file", str(key))).startswith("the path of the key file is not in UTF-8")
