"""Only its user can read the ledger, and nothing is spent where it cannot be written."""

import os
import sqlite3
import stat
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.location import LEDGER_FILE, LedgerUnavailable
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.policy.ledger.store import Store
from agentphone_mcp.sandbox import Sandbox
from tests.conftest import Connect
from tests.policy.conftest import MakesEntry

SECRET = "hunter2"
POSIX = pytest.mark.skipif(os.name != "posix", reason="there are no such modes")


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_to_all() -> Generator[None]:
    """Set a umask that denies nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@POSIX
def test_a_new_ledger_is_its_users_alone(open_to_all: None, tmp_path: Path, new_entry: MakesEntry) -> None:
    folder = tmp_path / "state" / "of" / "agentphone"
    ledger = Ledger(str(folder))
    ledger.refuse(new_entry(), "no")
    assert sorted(path.name for path in folder.iterdir()) == [LEDGER_FILE, f"{LEDGER_FILE}-shm", f"{LEDGER_FILE}-wal"]
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert {mode(tmp_path / "state"), mode(tmp_path / "state" / "of"), mode(folder)} == {0o700}
    ledger.close()


@POSIX
def test_a_ledger_that_others_could_read_is_closed_to_them(
    open_to_all: None, tmp_path: Path, new_entry: MakesEntry
) -> None:
    """It was copied, or made under another umask; the mode of an existing folder is left to its owner."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    first = Ledger(str(folder))
    first.refuse(new_entry(), "no")
    for path in folder.iterdir():
        path.chmod(0o644)
    second = Ledger(str(folder))
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert mode(folder) == 0o755
    assert len(second.entries()) == 1
    second.close()
    first.close()


def test_a_ledger_can_be_named_as_a_file(tmp_path: Path, new_entry: MakesEntry) -> None:
    file = tmp_path / "new" / "actions.db"
    ledger = Ledger(f"sqlite:///{file}")
    ledger.refuse(new_entry(), "no")
    ledger.close()
    assert file.is_file()


def a_file(folder: Path) -> str:
    """Make a file where the folder should be."""
    folder.write_text("")
    return str(folder)


def a_folder(folder: Path) -> str:
    """Make a folder where the file should be."""
    (folder / LEDGER_FILE).mkdir(parents=True)
    return str(folder)


def garbage(folder: Path) -> str:
    """Make a file that is no database."""
    folder.mkdir()
    (folder / LEDGER_FILE).write_bytes(b"\x00garbage" * 1_000)
    return str(folder)


def another_database(folder: Path) -> str:
    """Make a database with another table of the same name."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / LEDGER_FILE)) as made:
        made.execute("CREATE TABLE actions (id INTEGER)")
    return str(folder)


def not_mine(folder: Path) -> str:
    """Make a folder that may not be written."""
    if os.name != "posix" or os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder.mkdir(mode=0o500)
    return str(folder)


BROKEN: dict[str, Callable[[Path], str]] = {
    "a-file-for-a-folder": a_file,
    "a-folder-for-a-file": a_folder,
    "garbage": garbage,
    "another-database": another_database,
    "not-mine": not_mine,
    "below-a-file": lambda folder: f"{a_file(folder)}/deeper/still",
    "no-such-disk": lambda _: "/proc/no/such/disk",
    "endless-name": lambda folder: str(folder / ("x" * 300)),
    "no-such-user": lambda _: "~nobody-of-that-name/state",
    "nobody-listens": lambda _: f"postgresql://me:{SECRET}@127.0.0.1:1/ledger?password={SECRET}&connect_timeout=2",
    "no-such-socket": lambda _: f"postgres://me:{SECRET}@/ledger?host=/no/such/folder",
    "another-engine": lambda _: f"mysql://me:{SECRET}@localhost/ledger",
    "no-engine": lambda _: f"carrier-pigeon://me:{SECRET}@localhost/ledger",
    "bad-port": lambda _: f"postgresql://me:{SECRET}@localhost:port/ledger",
    "unescaped-password": lambda _: f"postgresql://me:half@{SECRET}:half@localhost/ledger",
    "unescaped-password-with-slash": lambda _: f"postgresql://me:half@{SECRET}/half@localhost/ledger",
    "nonsense": lambda _: "://",
    "in-memory": lambda _: "sqlite://",
    "in-memory-by-name": lambda _: "sqlite:///:memory:",
    "in-memory-by-option": lambda _: "sqlite:///file:ledger?mode=memory&cache=shared&uri=true",
}
EACH = pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())


@EACH
async def test_where_the_ledger_cannot_be_written_nothing_is_spent(
    connect: Connect, sandbox: Sandbox, tmp_path: Path, broken: Callable[[Path], str]
) -> None:
    buying = {"area_code": "415"}
    async with connect(ledger_location=broken(tmp_path / "ledgers")) as client:
        refused = await client.call_tool("buy_number", buying | {"confirm": True})
        text = refused.content[0].text
        assert refused.is_error
        assert text.startswith("Nothing was done: the ledger at ")
        assert "AGENTPHONE_STATE" in text
        assert "\n" not in text
        assert SECRET not in text
        assert "half" not in text
        assert (await client.call_tool("buy_number", buying)).structured_content["status"] == "needs_confirmation"
        assert not (await client.call_tool("list_numbers", {})).is_error
    assert {request.method for request in sandbox.requests} == {"GET"}


@EACH
def test_a_broken_place_says_what_is_wrong_with_it(tmp_path: Path, broken: Callable[[Path], str]) -> None:
    with pytest.raises(LedgerUnavailable) as unavailable:
        Ledger(broken(tmp_path / "ledgers")).entries()
    assert unavailable.value.reason
    assert SECRET not in str(unavailable.value)


def test_a_password_is_not_shown_by_a_database_that_fails_later(postgresql: Callable[[], str]) -> None:
    store = Store(postgresql() + f"&password={SECRET}")
    with pytest.raises(LedgerUnavailable) as unavailable, store.transaction("a") as connection:
        connection.exec_driver_sql("SELECT nothing")
    store.close()
    assert SECRET not in str(unavailable.value)
    assert "***" in unavailable.value.location


def test_a_database_whose_machine_is_gone_is_given_up(postgresql: Callable[[], str]) -> None:
    """The time-outs are ours unless the URL has its own."""
    store = Store(postgresql() + "&keepalives_idle=60")
    with store.transaction("a") as connection:
        parameters = connection.connection.driver_connection.info.get_parameters()
    store.close()
    assert [parameters[name] for name in ("connect_timeout", "tcp_user_timeout", "keepalives_idle")] == [
        "20",
        "20000",
        "60",
    ]


def test_a_password_can_come_from_a_file(cluster: Any, tmp_path: Path) -> None:
    """libpq reads it from there if the file is private, so it need not be in the environment."""
    url = make_url(cluster.database())
    with psycopg.connect(host=str(cluster.folder), user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE ROLE phone LOGIN PASSWORD '{SECRET}'")
        admin.execute(f"ALTER DATABASE {url.database} OWNER TO phone")
        rules = cluster.folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all phone scram-sha-256\n{rules.read_text()}")
        admin.execute("SELECT pg_reload_conf()")
    passwords = tmp_path / "pgpass"
    location = f"postgresql://phone@/{url.database}?host={cluster.folder}&passfile={passwords}"
    passwords.write_text(f"*:*:{url.database}:phone:wrong\n")
    passwords.chmod(0o600)
    with pytest.raises(LedgerUnavailable, match="password authentication failed"):
        Store(location)
    passwords.write_text(f"*:*:{url.database}:phone:{SECRET}\n")
    Store(location).close()
    passwords.chmod(0o644)
    with pytest.raises(LedgerUnavailable, match="no password supplied"):
        Store(location)


async def test_what_was_done_is_reported_although_the_ledger_broke_meanwhile(
    connect: Connect, sandbox: Sandbox, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect() as client:
        await client.call_tool("buy_number", {})
        with closing(sqlite3.connect(state / LEDGER_FILE, isolation_level=None)) as other:
            other.execute("CREATE TRIGGER broken BEFORE UPDATE ON actions BEGIN SELECT RAISE(ABORT, 'disk full'); END")
            assert (await client.call_tool("buy_number", {"confirm": True})).structured_content["status"] == "done"
    assert sum(request.method == "POST" for request in sandbox.requests) == 1
    assert "is not settled yet" in caplog.text


def test_waiting_for_a_locked_ledger_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentphone_mcp.policy.ledger.store._BUSY_SECONDS", 0.1)
    store = Store(str(tmp_path))
    with closing(sqlite3.connect(tmp_path / LEDGER_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked"), store.transaction("a"):
            pass
        other.execute("ROLLBACK")
        with store.transaction("a"):
            pass
    store.close()


def test_a_transaction_that_fails_writes_nothing(ledger: Any, new_entry: MakesEntry) -> None:
    with pytest.raises(LedgerUnavailable):
        ledger.refuse(new_entry(to_number={"no": "text"}), "no")
    assert ledger.entries() == []
    assert isinstance(ledger.begin(new_entry()), int)


async def test_a_ledger_is_opened_when_it_is_needed(tmp_path: Path) -> None:
    location = tmp_path / "ledgers"
    handle = LedgerHandle(a_file(location))
    with pytest.raises(LedgerUnavailable):
        await handle.run(lambda ledger: ledger.entries())
    location.unlink()
    assert not handle.may_exist
    entries: list[Entry] = await handle.run(lambda ledger: ledger.entries())
    assert entries == []
    assert handle.may_exist
    handle.close()
    LedgerHandle(str(tmp_path)).close()
