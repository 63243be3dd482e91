"""The links in the README add the server to a host at a click."""

import json
import re
from base64 import b64decode
from urllib.parse import parse_qs, urlsplit

import pytest

from agentphone_mcp.commands.install.entries import Setup, build_document, build_entry
from agentphone_mcp.commands.install.hosts import HOSTS
from tests.support import ROOT

README = ROOT / "README.md"


def asked_of(host: str) -> dict[str, str]:
    """Return the parameters of a host's link."""
    (link,) = re.findall(rf"\[add to {host}\]\((https://[^)]+)\)", README.read_text(encoding="utf-8"))
    return {name: value for name, (value,) in parse_qs(urlsplit(link).query, strict_parsing=True).items()}


def test_a_click_adds_to_cursor_what_install_would_after_login() -> None:
    asked = asked_of("Cursor")
    assert asked.keys() == {"name", "config"}
    assert asked["name"] == "agentphone"
    assert json.loads(b64decode(asked["config"], validate=True)) == build_entry(HOSTS["cursor"], Setup(key="none"))


def test_a_click_adds_to_vs_code_what_install_would() -> None:
    asked = asked_of("VS Code")
    written = build_document(HOSTS["vscode"], Setup())
    assert json.loads(asked["inputs"]) == written["inputs"]
    assert {asked["name"]: json.loads(asked["config"])} == written["servers"]


@pytest.mark.parametrize(
    ("host", "origin"),
    [("Cursor", "https://cursor.com/en/install-mcp"), ("VS Code", "https://insiders.vscode.dev/redirect/mcp/install")],
    ids=["cursor", "vscode"],
)
def test_a_link_leads_to_the_host_itself(host: str, origin: str) -> None:
    assert f"[add to {host}]({origin}?name=agentphone&" in README.read_text(encoding="utf-8")
