"""Where the ledger is kept: one SQLite file of this user, or a PostgreSQL database for servers on several machines."""

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from agentphone_mcp.policy.ledger.location import IN_MEMORY, LEDGER_FILE, LedgerUnavailable, is_url

_BUSY_SECONDS = 20
"""How long a process waits for the others that write."""
_PATIENCE = {
    "connect_timeout": _BUSY_SECONDS,
    "tcp_user_timeout": _BUSY_SECONDS * 1000,
    "keepalives_idle": _BUSY_SECONDS,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""When libpq gives a database up: one whose machine is gone is waited for up to two hours otherwise."""
_LOOK_AGAIN = 0.01
_PERMISSIONS = 0o600


class Words(sa.TypeDecorator[str]):
    """Text as people and other servers wrote it, without what a database cannot hold: half of an emoji, a NUL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Replace it on the way in, in what is written and in what is compared alike."""
        return value.encode("utf-8", "replace").decode().replace("\0", "?") if value else value


metadata = sa.MetaData()
actions = sa.Table(
    "actions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False, comment="when it was asked for, in seconds since the epoch"),
    sa.Column("settled_at", sa.Double),
    sa.Column("unknown_after", sa.Double, comment="when a pending action counts as unknown"),
    sa.Column("owner_process", sa.String(255), comment="the host and process that does it"),
    sa.Column("account", sa.String(64), nullable=False, comment="a hash of the key"),
    sa.Column("tool", sa.String(64), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, comment="a hash of the tool and its arguments"),
    sa.Column(
        "preview_hash", sa.String(64), nullable=False, comment="a hash of what a person would read, but for the clock"
    ),
    sa.Column("target", Words, nullable=False, comment="what an unknown outcome blocks"),
    sa.Column("to_number", sa.String(32)),
    sa.Column("summary", Words, nullable=False),
    sa.Column("cost", sa.BigInteger, nullable=False, comment="millionths of a dollar"),
    sa.Column("minute_cost", sa.BigInteger, comment="set while the cost is an estimate"),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("was_unknown", sa.Boolean, nullable=False),
    sa.Column("repeated", sa.Boolean, nullable=False, comment="wanted although the same was done"),
    sa.Column("reason", Words),
    sa.Column("ids", sa.JSON(none_as_null=True)),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("match_on", sa.JSON(none_as_null=True)),
    sa.Column("approved_by", Words),
    sa.Column("approved_how", sa.String(16)),
    sa.Index("actions_by_time", "account", "at"),
    sa.Index("actions_by_fingerprint", "account", "tool", "fingerprint"),
)


class Store:
    """Transactions, of which one of an account runs at a time, whichever process or machine it comes from.

    Args:
        place: a folder, a SQLAlchemy URL of SQLite or PostgreSQL, or `IN_MEMORY`.

    Raises:
        LedgerUnavailable: when it cannot be opened or made.
    """

    def __init__(self, place: str) -> None:
        # Until it is read as a URL nobody knows where in it a password stands.
        self.shown = f"{place.partition('://')[0]}://…" if is_url(place) else place
        try:
            url = _url(place)
            self.shown = _without_secrets(url) if url.database and not _is_sqlite(url) else url.database or "memory"
            self._engine = _sqlite(url) if _is_sqlite(url) else _postgresql(url)
        except (OSError, SQLAlchemyError, ImportError, ValueError, RuntimeError) as cannot:
            raise LedgerUnavailable(self.shown, _why(cannot)) from cannot
        with self.transaction("schema") as connection:
            metadata.create_all(connection)

    @contextmanager
    def transaction(self, account: str) -> Generator[sa.Connection]:
        """Read and write with nobody else in between.

        Raises:
            LedgerUnavailable: when the database fails; nothing was written then.
        """
        try:
            with self._engine.begin() as connection:
                lock(connection, account)
                yield connection
        except SQLAlchemyError as broken:
            raise LedgerUnavailable(self.shown, _why(broken)) from broken

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def lock(connection: sa.Connection, account: str) -> None:
    """Let no other transaction of an account run until this one ends; in SQLite there is but one of all."""
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(account.encode()[:7].ljust(7, b"."))
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_BUSY_SECONDS}s'")
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": number})


def _url(place: str) -> URL:
    if place == IN_MEMORY:
        return URL.create("sqlite")
    if not is_url(place):
        return URL.create("sqlite", database=str(Path(place).expanduser() / LEDGER_FILE))
    try:
        url = make_url(place)
    except (SQLAlchemyError, ValueError):
        # What these say may quote a part of the password.
        raise ValueError("it cannot be read as a database's URL") from None
    if "@" in f"{url.host}{url.database}":
        raise ValueError("what is special in a URL's password has to be written as %40 for @, %2F for / and so on")
    # One driver of each: the others are asynchronous, or not what the package brings along.
    match url.get_backend_name():
        case "postgres" | "postgresql":
            return url.set(drivername="postgresql+psycopg")
        case "sqlite":
            return _of_a_file(url)
        case _:
            raise ValueError("the ledger is kept in SQLite or PostgreSQL")


def _of_a_file(url: URL) -> URL:
    file = url.database or ":memory:"
    if file == ":memory:" or file.startswith("file:") or url.query:
        raise ValueError(
            "a ledger in memory forgets: name a file and nothing more, as in sqlite:////var/ledger.sqlite3"
        )
    return URL.create("sqlite", database=str(Path(file).expanduser()))


def _without_secrets(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _sqlite(url: URL) -> sa.Engine:
    if url.database:
        _prepare(Path(url.database))
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
    else:
        # The one connection is the database: threads wait for each other to use it.
        engine = sa.create_engine(
            url, poolclass=sa.QueuePool, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False}
        )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:  # pyright: ignore[reportUnusedFunction] - SQLAlchemy calls it
        # The driver would begin transactions by rules of its own, and only at the first write.
        connection.isolation_level = None
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL").close()

    @event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction] - SQLAlchemy calls it
        # At once for writing: two that read first and then want to write would stop each other.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _prepare(file: Path) -> None:
    _make(file.parent)
    # Made before SQLite makes it, so that nobody else can ever read it; new journals get the file's own mode.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, _PERMISSIONS))
    for one in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        _close_to_others(one)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at once. Of several that open a new file only one can set this, and the others are
    told at once that it is busy, whatever their time-out."""
    give_up_at = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as busy:
            if busy.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_LOOK_AGAIN)
        else:
            return


def _postgresql(url: URL) -> sa.Engine:
    patience = {name: value for name, value in _PATIENCE.items() if name not in url.query}
    return sa.create_engine(url, pool_pre_ping=True, connect_args=patience)


def _make(folder: Path) -> None:
    """Make a folder for its owner alone, and what is missing above it: `mkdir(parents=True)` leaves that open."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _close_to_others(file: Path) -> None:
    try:
        if file.stat().st_mode & 0o077 and os.name == "posix":
            file.chmod(_PERMISSIONS)
    except FileNotFoundError:
        return  # a journal comes and goes


def _why(cannot: Exception) -> str:
    """Say in a few words what the database said; SQLAlchemy's own text quotes statements and their values."""
    if isinstance(cannot, ModuleNotFoundError | NoSuchModuleError):
        return "its driver is not installed: pip install 'agentphone-mcp[postgres]'"
    cause = getattr(cannot, "orig", None) or cannot
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).splitlines()[0]
