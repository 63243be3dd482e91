"""Check that `agentphone-mcp token` makes, lists, rotates and removes tokens, and shows each once."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentphone_mcp.commands.main import main
from agentphone_mcp.commands.token import token
from agentphone_mcp.server.http.auth.token_file import digest_of
from tests.commands.token.tokens import WRITTEN, admitted, invoke, made, refusal, tokens


def test_a_token_that_was_made_is_admitted(path: Path) -> None:
    alice = made(path, "alice", "--scope", "read", "--expires", "2131-01-31")
    bob = made(path, "bob-2_x.y", "--scope", "spend")
    assert alice != bob
    caller, other = admitted(path, alice), admitted(path, bob)
    assert caller
    assert other
    until = datetime(2131, 2, 1, tzinfo=UTC).timestamp()
    assert (caller.name, caller.scope, caller.expires_at) == ("alice", "read", until)
    assert (other.name, other.scope, other.expires_at) == ("bob-2_x.y", "spend", None)


def test_a_token_is_shown_once_and_kept_as_a_hash(path: Path) -> None:
    ended = invoke(path, "add", "alice", "--scope", "write")
    secret = ended.stdout.removesuffix("\n")
    assert re.fullmatch(r"apmcp_[\w-]{43}", secret)
    assert ended.stderr == "This is the token of alice; it is shown only this time, and nobody can look it up.\n"
    assert tokens(path) == {"alice": {"sha256": digest_of(secret).hex(), "scope": "write"}}
    for file in path.parent.rglob("*"):
        assert file.is_dir() or secret.encode() not in file.read_bytes()


def test_a_token_is_removed_and_the_rest_is_kept(written: Path) -> None:
    ended = invoke(written, "remove", "old.one")
    assert (ended.exit_code, ended.stderr) == (0, "")
    text = written.read_text(encoding="utf-8")
    assert text.startswith("# Who may connect. Ask Zoë before you change it.\n")
    assert text.endswith(WRITTEN[WRITTEN.index("[ tokens.trial ]") :])
    assert set(tokens(written)) == {"trial"}


def test_the_last_token_can_be_removed(path: Path) -> None:
    made(path, "alice", "--scope", "read")
    assert invoke(path, "remove", "alice").exit_code == 0
    assert tokens(path) == {}
    assert invoke(path, "list").stdout == "There is no token yet.\n"
    secret = made(path, "bob", "--scope", "read")
    assert admitted(path, secret)


def test_a_token_is_rotated_in_its_place(written: Path) -> None:
    old = made(written, "trial", "--replace", "--scope", "spend")
    new = made(written, "trial", "--replace", "--scope", "write")
    assert admitted(written, old) is None
    caller = admitted(written, new)
    assert caller
    assert (caller.name, caller.scope, caller.expires_at) == ("trial", "write", None)
    text = written.read_text(encoding="utf-8")
    assert text.startswith(WRITTEN[: WRITTEN.index("expires")])
    for kept in (f'sha256 = "{digest_of(new).hex()}" # in capitals\n', 'scope = "write" # careful!\n# the end\n'):
        assert kept in text


def test_the_list_shows_names_scopes_and_ends(written: Path) -> None:
    with written.open("a", encoding="utf-8") as file:
        file.write(f'[tokens.over]\nsha256 = "{"c" * 64}"\nscope = "write"\nexpires = 2020-01-31T10:00:00Z\n')
    assert invoke(written, "list").stdout.splitlines() == [
        "old.one  read   never expires",
        "trial    spend  2031-01-31",
        "over     write  2020-01-31 10:00:00+00:00 (expired)",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["add", "trial", "--scope", "read"],
            "trial has a token already: --replace makes a new one in its place",
            id="taken",
        ),
        pytest.param(
            ["add", "nobody", "--scope", "read", "--replace"],
            "there is no token of nobody to replace",
            id="nothing-to-replace",
        ),
        pytest.param(["remove", "nobody"], "there is no token of nobody", id="nothing-to-remove"),
        pytest.param(
            ["add", "alice", "--scope", "all"],
            "Invalid value for '--scope': 'all' is not one of 'read', 'write', 'spend'.",
            id="unknown-scope",
        ),
        pytest.param(["list", "trial"], "Got unexpected extra argument (trial)", id="too-much"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(written: Path, arguments: list[str], said: str) -> None:
    assert refusal(written, *arguments) == said


@pytest.mark.parametrize("command", [["add", "--scope", "read"], ["remove"]], ids=["add", "remove"])
@pytest.mark.parametrize(
    "name", ["", " ", "a b", "x" * 65, "é", "a\n", "a/b", "[x]", f"apmcp_{'x' * 43}", "APMCP_x"], ids=ascii
)
def test_what_is_no_name_is_refused_and_not_repeated(written: Path, command: list[str], name: str) -> None:
    said = "Invalid value for 'NAME': it takes 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with apmcp_"
    assert refusal(written, *command, "--", name) == said


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        pytest.param("2020-01-31", "is over already", id="past-day"),
        pytest.param("2020-01-31T10:00:00Z", "is over already", id="past-moment"),
        *(
            pytest.param(text, "is no such date: write 2027-01-31 or 2027-01-31T18:00:00Z", id=label)
            for label, text in {
                "empty": "",
                "word": "tomorrow",
                "no-such-day": "2131-02-30",
                "nobodys-time": "2131-01-31T10:00:00",
                "before-all-time": "0001-01-01T00:00:00+14:00",
            }.items()
        ),
    ],
)
def test_what_is_no_end_is_refused(written: Path, expires: str, said: str) -> None:
    refused = refusal(written, "add", "alice", "--scope", "read", "--expires", expires)
    assert refused == f"Invalid value for '--expires': {expires!r} {said}"


def test_without_a_file_the_variable_is_named(tmp_path: Path) -> None:
    ended = CliRunner(env={"AGENTPHONE_HTTP_TOKENS_FILE": ""}).invoke(token, ["list"])
    assert ended.exit_code == 2
    assert "AGENTPHONE_HTTP_TOKENS_FILE" in ended.stderr
    named = CliRunner().invoke(token, ["add", "alice", "--scope", "read", "--file", str(tmp_path / "tokens")])
    assert named.exit_code == 0


def test_the_command_alone_lists_what_it_can_do() -> None:
    ended = CliRunner().invoke(main, ["token"])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert all(f"\n  {command} " in ended.stderr for command in ("add", "list", "remove"))


def test_what_was_removed_is_said(written: Path) -> None:
    ended = invoke(written, "remove", "trial")
    assert ended.stdout == "The token of trial is removed; a running server stops admitting it within a second.\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(
            ["list"], 1, "the tokens file 'nowhere/tokens' cannot be used: no such file or directory", id="list"
        ),
        pytest.param(["make"], 2, "No such command 'make'.", id="unknown"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(arguments: list[str], status: int, said: str) -> None:
    ended = CliRunner(env={"AGENTPHONE_HTTP_TOKENS_FILE": "nowhere/tokens"}).invoke(main, ["token", *arguments])
    assert (ended.exit_code, ended.stdout, ended.stderr) == (status, "", f"Error: {said}\n")
