"""`agentphone-mcp ledger`: a person sees what was done in their name, and nobody can change it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agentphone_mcp.commands.ledger import ledger as ledger_command
from agentphone_mcp.features.tools.catalog import CATALOG
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import NewEntry
from agentphone_mcp.policy.limits import Limits
from tests.support import ROOT

NOON = 1_790_000_000.0
HOUR = 3_600
NASTY = (
    'Text "日本語 👋 Zahnärztin :phone: [bold red]x[/] \\ \x1b[31mred\x1b]0;t\x07 \u202eevil \x9b2J\rover\n'
    '  by its user"'
)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "agentphone_mcp", "ledger", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def shown(*arguments: str, columns: int = 120) -> str:
    """What the command prints where a terminal is so wide."""
    told = CliRunner(env={"COLUMNS": str(columns)}).invoke(ledger_command, arguments)
    assert told.exit_code == 0, told.output
    return told.output


def in_one_line(text: str) -> str:
    """A text without its line breaks and indents."""
    return " ".join(text.split())


@pytest.fixture
def kept(state: Path) -> None:
    """A ledger of two accounts with an action of every outcome, an hour apart."""
    times = [NOON + HOUR * hours for hours in range(5)]
    for n, outcome in enumerate(("done", "failed", "unknown", "pending", "refused")):
        ledger = Ledger(str(state), clock=lambda n=n: times[n])
        account = "b2b2b2b2" if outcome == "failed" else "a1a1a1a1"
        told: dict[str, Any] = {"cost": 1_100_000, "minute_cost": 220_000 if outcome == "done" else None}
        told |= {"approved_by": "Claude Desktop 1.2", "approved_how": "person" if outcome == "failed" else "confirm"}
        intent = NewEntry(account, "place_call", outcome, "", f"Call number {n}", **told)
        if outcome == "refused":
            ledger.refuse(intent, "it is night there")
        else:
            row = ledger.reserve(intent, Limits(()), repeat=True, within=1e9)
            assert isinstance(row, int)
            if outcome != "pending":
                ledger.settle(row, outcome, ids={"id": "call_1"} if outcome == "done" else None, reason=None)
        ledger.close()


@pytest.fixture
def nasty(state: Path) -> None:
    """A ledger with words that want to be more than words."""
    ledger = Ledger(str(state))
    ledger.refuse(NewEntry("a1a1a1a1", "send_message", "f", "", NASTY), NASTY)
    ledger.close()


@pytest.mark.usefixtures("kept")
def test_the_table_has_a_row_for_every_action() -> None:
    """When, whose, what came of it, about what it cost, and who let it pass; oldest first."""
    table = shown()
    assert re.findall(r"^20.{17}  (\w+) +(\w+) +(\S*) *place_call: Call number (\d)", table, re.MULTILINE) == [
        ("a1a1", "done", "~$1.10", "0"),
        ("b2b2", "failed", "", "1"),
        ("a1a1", "unknown", "$1.10", "2"),
        ("a1a1", "pending", "$1.10", "3"),
        ("a1a1", "refused", "", "4"),
    ]
    text = in_one_line(table)
    for words in (
        "id call_1 by Claude Desktop 1.2, with confirm",
        "by Claude Desktop 1.2, its user agreed when asked",
        "it is night there",
    ):
        assert words in text


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("columns", [20, 44, 71, 72, 80, 200])
def test_every_width_of_a_terminal_shows_every_word(columns: int) -> None:
    """Nothing is cut off, and no line is wider than the terminal."""
    table = shown(columns=columns)
    letters = "".join(table.split())
    for words in ("Call number 0", "by Claude Desktop 1.2, with confirm", "it is night there", "unknown", "~$1.10"):
        assert words.replace(" ", "") in letters
    assert max(len(line.rstrip()) for line in table.splitlines()) <= columns


@pytest.mark.usefixtures("kept")
def test_json_has_everything_that_a_person_may_ask() -> None:
    """Times in UTC, costs in dollars, hashes of accounts; no results, which may hold secrets."""
    first, *others = json.loads(shown("--json"))
    assert first == {
        "id": 1,
        "at": "2026-09-21T14:13:20Z",
        "settled_at": "2026-09-21T14:13:20Z",
        "account": "a1a1a1a1",
        "tool": "place_call",
        "what": "Call number 0",
        "to_number": None,
        "cost_usd": 1.1,
        "is_estimate": True,
        "outcome": "done",
        "reason": None,
        "ids": {"id": "call_1"},
        "approved_by": "Claude Desktop 1.2",
        "approved_how": "confirm",
        "fingerprint": "done",
    }
    assert [entry["outcome"] for entry in others] == ["failed", "unknown", "pending", "refused"]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("since", "rows"),
    [
        pytest.param("2026-09-21T14:13:20Z", 5, id="the-moment-itself"),
        pytest.param("2026-09-21T14:13:21+00:00", 4, id="utc"),
        pytest.param("2026-09-21T16:13:21+02:00", 4, id="time-zone"),
        pytest.param("2026-09-01", 5, id="date"),
        pytest.param("2100-01-01T00:00", 0, id="future"),
        pytest.param("9999w", 5, id="weeks"),
        pytest.param("0m", 0, id="minutes"),
    ],
)
def test_since_leaves_out_what_came_before(since: str, rows: int) -> None:
    assert len(json.loads(shown("--json", "--since", since))) == rows


@pytest.mark.usefixtures("kept")
def test_nothing_since_then_is_said() -> None:
    """An empty table would look like an empty ledger."""
    assert shown("--since", "2100-01-01") == "Nothing is in the ledger since then.\n"


@pytest.mark.parametrize("since", ["", "yesterday", "7y", "7D", "-1d", "2026-13-01", "٧d", "0001-01-01T00:00+14:00"])
def test_what_is_no_moment_is_refused_with_examples(since: str) -> None:
    told = CliRunner().invoke(ledger_command, ["--since", since])
    assert told.exit_code == 2
    assert "write 90m, 12h, 7d, 2w or 2026-11-20T09:00" in told.output


@pytest.mark.parametrize("place", ["{}/new", "sqlite:///{}/new/ledger.db"], ids=["folder", "url"])
def test_an_empty_ledger_says_so_and_is_not_made(tmp_path: Path, place: str) -> None:
    place = place.format(tmp_path)
    said = f"There is no ledger at {place} yet; the first action makes it.\n"
    for wanted, out, err in (([], said, ""), (["--json"], "[]\n", said)):
        told = CliRunner().invoke(ledger_command, [*wanted, "--state", place])
        assert (told.exit_code, told.stdout, told.stderr) == (0, out, err)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_without_rows_is_no_missing_one(state: Path) -> None:
    """It is the right place, and nothing was done yet."""
    Ledger(str(state)).close()
    assert shown("--state", str(state)) == "Nothing is in the ledger yet.\n"


@pytest.mark.usefixtures("kept")
def test_a_ledger_elsewhere_is_named_by_its_url(state: Path) -> None:
    assert len(json.loads(shown("--json", "--state", f"sqlite:///{state}/ledger.sqlite3"))) == 5


@pytest.mark.parametrize(
    "place",
    ["postgresql://me:hunter2@127.0.0.1:1/ledger?connect_timeout=2", "mysql://me:hunter2@h/d", "{}/garbage"],
    ids=["nobody-listens", "another-engine", "garbage"],
)
def test_a_ledger_that_cannot_be_read_is_one_sentence_and_a_status(tmp_path: Path, place: str) -> None:
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "ledger.sqlite3").write_bytes(b"garbage" * 1_000)
    ended = run(AGENTPHONE_STATE=place.format(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(b"Error: the ledger cannot be read: ")
    assert b"hunter2" not in ended.stderr


@pytest.mark.usefixtures("nasty")
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "ascii"])
@pytest.mark.parametrize("form", ["table", "json"])
def test_words_of_others_are_shown_and_do_nothing(encoding: str, form: str) -> None:
    """No escape sequence reaches the terminal, none of its marks is obeyed, and an old code page stops nothing."""
    ended = run(*(["--json"] if form == "json" else []), PYTHONIOENCODING=encoding, COLUMNS="200")
    assert (ended.returncode, ended.stderr) == (0, b"")
    text = ended.stdout.decode(encoding)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text.replace("\r\n", "\n"))
    if form == "json":
        assert json.loads(text)[0]["what"] == NASTY
    else:
        assert ":phone: [bold red]x[/] \\ " in text
        assert not re.search(r"^ *by its user", text, re.MULTILINE)


def test_no_tool_changes_the_ledger() -> None:
    """A model sees what its actions came to, and cannot rewrite it; nor does a tool name the place."""
    for tools in CATALOG.values():
        for declared in tools:
            words = f"{declared.name} {json.dumps(declared.tool.parameters['properties'])}".lower()
            assert not re.search(r"ledger|audit|agentphone_state|\bcaps?\b|unlimited", words), declared.name
