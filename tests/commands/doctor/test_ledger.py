"""`doctor` opens the ledger as the server would, and leaves it unchanged."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentphone_mcp.commands.doctor.ledger import check_ledger
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.location import LEDGER_FILE
from agentphone_mcp.policy.ledger.records import NewEntry
from agentphone_mcp.policy.limits import Limits

WRITE_VERSION = 18
"""The offset of the write version in SQLite's header; above 2 the file is read-only, even for root."""


@pytest.fixture
def kept(state: Path) -> Path:
    """Create a ledger with an action that is done and one whose outcome is unknown."""
    ledger = Ledger(str(state))
    for outcome in ("done", "unknown"):
        intent = NewEntry("a1", "place_call", outcome, outcome, f"Call {outcome}")
        row = ledger.reserve(intent, Limits(()), repeat=False, within=60)
        assert isinstance(row, int)
        if outcome == "done":
            ledger.settle(row, "done")
        else:
            ledger.settle(row, "unknown")
    ledger.close()
    return state / LEDGER_FILE


def rows(file: Path) -> list[tuple[Any, ...]]:
    """Read the rows of a ledger by SQLite alone."""
    with sqlite3.connect(file) as connection:
        found = connection.execute("SELECT * FROM actions").fetchall()
    connection.close()
    return found


def test_none_is_made(doctor: Any, api: Any, state: Path) -> None:
    found = doctor("--no-hosts").of("ledger")
    assert (found["status"], found["said"]) == ("ok", f"none yet; the first action makes it in {state}")
    assert not state.exists()


def test_action_in_doubt_are_counted(doctor: Any, api: Any, kept: Path) -> None:
    before = rows(kept)
    found = doctor("--no-hosts").warns_in("ledger")
    assert "of 1 of 2 actions nobody knows the outcome" in found["said"]
    assert "agentphone-mcp ledger" in found["remedy"]
    assert found["facts"] == {"actions": 2, "unknown": 1}
    assert rows(kept) == before


def test_a_file_in_place_of_the_folder(doctor: Any, api: Any, state: Path) -> None:
    state.write_text("")
    found = doctor("--no-hosts").fails_in("ledger")
    assert str(state) in found["said"]
    assert "AGENTPHONE_STATE" in found["remedy"]


def test_a_file_on_the_way_to_the_folder(doctor: Any, api: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = doctor("--no-hosts", "--state", str(tmp_path / "file/a/b")).fails_in("ledger")
    assert "file" in found["said"]
    assert "AGENTPHONE_STATE" in found["remedy"]


def test_a_ledger_that_is_read_only(doctor: Any, api: Any, kept: Path) -> None:
    content = bytearray(kept.read_bytes())
    content[WRITE_VERSION] = 3
    kept.write_bytes(content)
    found = doctor("--no-hosts").fails_in("ledger")
    assert "readonly" in found["said"]
    assert "AGENTPHONE_STATE" in found["remedy"]


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere, and Windows has no modes"
)
def test_a_folder_that_is_read_only(doctor: Any, api: Any, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    found = doctor("--no-hosts", "--state", str(folder / "state")).fails_in("ledger")
    assert f"you may not write in {folder}" in found["said"]


def test_a_broken_ledger(doctor: Any, api: Any, state: Path) -> None:
    state.mkdir()
    (state / LEDGER_FILE).write_bytes(b"This was a ledger once. " * 100)
    found = doctor("--no-hosts").fails_in("ledger")
    assert "not a database" in found["said"]
    assert "Move that file away" in found["remedy"]
    assert (state / LEDGER_FILE).read_bytes().startswith(b"This was")


async def test_a_full_disk(state: Path) -> None:
    [full] = await check_ledger(str(state), least_free=2**62)
    assert (full.status, "is full" in full.said) == ("failure", True)
    assert full.remedy
    assert "Make room" in full.remedy


async def test_a_full_disk_hides_no_doubts(kept: Path) -> None:
    doubts, full = await check_ledger(str(kept.parent), least_free=2**62)
    assert (doubts.status, full.status) == ("warning", "failure")


async def test_a_full_disk_of_a_ledger_that_is_there(state: Path) -> None:
    Ledger(str(state)).close()
    assert [found.status for found in await check_ledger(str(state), least_free=2**62)] == ["failure"]


def test_a_database_that_is_not_there(doctor: Any, api: Any) -> None:
    pytest.importorskip("psycopg")
    url = "postgresql://me:hunter2@127.0.0.1:9/ledger?connect_timeout=5"
    report = doctor("--no-hosts", "--state", url)
    assert "AGENTPHONE_STATE" in report.fails_in("ledger")["remedy"]
    assert "hunter2" not in report.text


def test_a_database_that_is_there(doctor: Any, api: Any, postgresql: Any) -> None:
    found = doctor("--no-hosts", "--state", postgresql()).of("ledger")
    assert (found["status"], found["facts"]) == ("ok", {"actions": 0, "unknown": 0})


@pytest.mark.skipif(os.name != "posix", reason="there are no such modes")
@pytest.mark.attack("9", "a folder that others can write holds the ledger")
async def test_a_folder_that_others_can_write_is_told_before_there_is_a_ledger(state: Path) -> None:
    await anyio.Path(state).mkdir()
    await anyio.Path(state).chmod(0o777)
    (finding,) = await check_ledger(str(state))
    assert (finding.status, "chmod go-w mends" in finding.said) == ("failure", True)
