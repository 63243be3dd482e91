"""A ledger that is deleted, replaced or linked elsewhere is noticed before anything is spent."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.location import LEDGER_FILE, LedgerUnavailable
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.sandbox import Sandbox
from tests.conftest import Connect
from tests.policy.conftest import MakesEntry, ShortLedger

POSIX = pytest.mark.skipif(os.name != "posix", reason="an open file cannot be taken away there")
pytestmark = POSIX
REPLACED = "a ledger that was deleted or replaced under a running server lifts the limits"
LINKED = "a link in the state folder is followed"


def deleted(file: Path) -> None:
    """Delete the file and its journals."""
    for path in file.parent.iterdir():
        path.unlink()


def moved(file: Path) -> None:
    """Move the whole folder away."""
    file.parent.rename(file.parent.with_name("elsewhere"))


def without_its_journal(file: Path) -> None:
    """Delete only the journal, in which the latest actions are."""
    Path(f"{file}-wal").unlink()


def without_its_index(file: Path) -> None:
    """Delete only the index of the journal, by which processes see each other's writes."""
    Path(f"{file}-shm").unlink()


def emptied(file: Path) -> None:
    """Put another, empty ledger in its place."""
    deleted(file)
    Ledger(str(file.parent)).close()


def older(file: Path) -> None:
    """Put a copy from before in its place."""
    copy = file.with_name("copy")
    shutil.copyfile(file, copy)
    copy.replace(file)


def linked(file: Path) -> None:
    """Put a link to the very same file in its place."""
    real = file.rename(file.parent.parent / "real.sqlite3")
    file.symlink_to(real)


def forgotten(file: Path) -> None:
    """Delete the rows, in the same file."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("DELETE FROM actions")


EACH = pytest.mark.parametrize(
    "change",
    [deleted, moved, without_its_journal, without_its_index, emptied, older, linked, forgotten],
    ids=lambda change: change.__name__.replace("_", "-"),
)


@pytest.fixture
def running(tmp_path: Path) -> Generator[ShortLedger]:
    """Open a ledger as a running server has it."""
    ledger = ShortLedger(str(tmp_path / "ledgers"))
    yield ledger
    ledger.close()


@EACH
@pytest.mark.attack("9", REPLACED)
def test_what_was_done_to_a_running_ledger_is_noticed_before_the_next_action(
    running: ShortLedger, tmp_path: Path, new_entry: MakesEntry, change: Callable[[Path], None]
) -> None:
    limits = Limits.parse("calls=1/hour")
    assert isinstance(running.reserve(new_entry("Call Ada"), limits, repeat=False, within=60), int)
    change(tmp_path / "ledgers" / LEDGER_FILE)
    with pytest.raises(LedgerUnavailable, match="deleted or replaced while this server ran: put the file back, or"):
        running.reserve(new_entry("Call Bob"), limits, repeat=False, within=60)


@pytest.mark.attack("9", REPLACED)
def test_a_ledger_that_is_put_back_works_again(running: ShortLedger, tmp_path: Path, new_entry: MakesEntry) -> None:
    running.done(new_entry("Call Ada"))
    folder = tmp_path / "ledgers"
    folder.rename(tmp_path / "away")
    Ledger(str(folder)).close()
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            running.begin(new_entry("Call Bob"))
    shutil.rmtree(folder)
    (tmp_path / "away").rename(folder)
    running.begin(new_entry("Call Bob"))
    assert [entry.summary for entry in running.entries()] == ["Call Ada", "Call Bob"]


@pytest.mark.attack("9", REPLACED)
def test_the_journals_stay_while_other_processes_come_and_go(
    running: ShortLedger, tmp_path: Path, new_entry: MakesEntry
) -> None:
    """SQLite removes them with its last connection, which must not look like an attack."""
    for number in range(3):
        other = ShortLedger(str(tmp_path / "ledgers"))
        other.done(new_entry(f"Call {number}"))
        other.close()
        running.done(new_entry(f"Text {number}"))


@pytest.mark.attack("9", REPLACED)
async def test_the_model_is_told_and_nothing_is_sent(connect: Connect, sandbox: Sandbox, state: Path) -> None:
    async with connect(limits=Limits.parse("numbers=1/day")) as client:
        assert not (await client.call_tool("buy_number", {"confirm": True})).is_error
        shutil.rmtree(state)
        refused = await client.call_tool("buy_number", {"confirm": True, "area_code": "415"})
    assert refused.is_error
    assert "was deleted or replaced while this server ran" in refused.content[0].text
    assert sum(request.method == "POST" for request in sandbox.requests) == 1


@pytest.mark.attack("9", LINKED)
@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_a_link_in_the_state_folder_is_neither_followed_nor_changed(tmp_path: Path, ending: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o644)
    folder = tmp_path / "ledgers"
    folder.mkdir(mode=0o700)
    (folder / f"{LEDGER_FILE}{ending}").symlink_to(precious)
    with pytest.raises(LedgerUnavailable, match="is a link, which is not followed"):
        Ledger(str(folder))
    assert (precious.read_text(), stat.S_IMODE(precious.stat().st_mode)) == ("precious", 0o644)


@pytest.mark.attack("9", LINKED)
def test_a_link_to_nothing_makes_no_file_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "ledgers"
    folder.mkdir(mode=0o700)
    (folder / LEDGER_FILE).symlink_to(tmp_path / "new")
    with pytest.raises(LedgerUnavailable, match="is a link"):
        Ledger(str(folder))
    assert not (tmp_path / "new").exists()


@pytest.mark.attack("9", LINKED)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "ledgers"
    folder.mkdir(mode=0o700)
    os.mkfifo(folder / LEDGER_FILE)
    with pytest.raises(LedgerUnavailable, match="is no regular file"):
        Ledger(str(folder))


@pytest.mark.attack("9", "a folder that others can write holds the ledger")
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_folder_that_others_can_write_holds_no_ledger(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "ledgers"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(LedgerUnavailable, match=r"others may write in the folder .*, which chmod go-w mends"):
        Ledger(str(folder))
    assert not (folder / LEDGER_FILE).exists()
    folder.chmod(0o755)
    Ledger(str(folder)).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
