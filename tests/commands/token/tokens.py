"""Run `agentphone-mcp token` on a file, and read what the file holds."""

import tomllib
from datetime import date
from pathlib import Path

import anyio
from click.testing import CliRunner, Result
from starlette.datastructures import Headers

from agentphone_mcp.commands.token import token
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth

WRITTEN = f"""\
# Who may connect. Ask Zoë before you change it.

[tokens."old.one"] # the first of all
scope = 'read'   # looks only
sha256 = "{"a" * 64}"  # made by hand

# Until the trial is over.
[ tokens.trial ]
expires = 2031-01-31 # Friday
sha256 = "{"B" * 64}" # in capitals
scope = "spend" # careful!
# the end
"""


def invoke(path: Path, *arguments: str) -> Result:
    """Run the command on a file."""
    return CliRunner(env={"AGENTPHONE_HTTP_TOKENS_FILE": str(path)}).invoke(token, arguments)


def made(path: Path, *arguments: str) -> str:
    """Make a token, and return it."""
    ended = invoke(path, "add", *arguments)
    assert ended.exit_code == 0, ended.output
    return ended.stdout.removesuffix("\n")


def tokens(path: Path) -> dict[str, dict[str, str | date]]:
    """Read the tokens of a file."""
    return tomllib.loads(path.read_text(encoding="utf-8")).get("tokens", {})


def admitted(path: Path, secret: str) -> Caller | None:
    """Return whose token it is, for a server with this file."""
    return anyio.run(StaticTokenAuth(path).authenticate, Headers({"Authorization": f"Bearer {secret}"}))


def refusal(path: Path, *arguments: str) -> str:
    """Return the sentence with which a command is refused; the file stays as it is."""
    before = path.read_bytes() if path.is_file() else None
    ended = invoke(path, *arguments)
    assert ended.exit_code != 0
    assert ended.stdout == ""
    assert (path.read_bytes() if path.is_file() else None) == before
    return ended.stderr.splitlines()[-1].removeprefix("Error: ")
