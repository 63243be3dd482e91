"""Keep the ledger: in one SQLite file of this user, or in PostgreSQL for servers on several machines."""

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
from agentphone_mcp.policy.ledger.sqlite_file import ReplacedError, SqliteFile

_BUSY_SECONDS = 20
"""How long a process waits for others that write."""
_LIBPQ_TIMEOUTS = {
    "connect_timeout": _BUSY_SECONDS,
    "tcp_user_timeout": _BUSY_SECONDS * 1000,
    "keepalives_idle": _BUSY_SECONDS,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""When libpq gives up; by default it waits up to two hours for a machine that is gone."""
_RETRY_INTERVAL = 0.01


class StorableText(sa.TypeDecorator[str]):
    """Text without what a database cannot hold: lone surrogates and NUL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Replace what cannot be held, in written and in compared values alike."""
        return value.encode("utf-8", "replace").decode().replace("\0", "?") if value else value


metadata = sa.MetaData()
actions = sa.Table(
    "actions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False, comment="when it was requested, in seconds since the epoch"),
    sa.Column("settled_at", sa.Double, comment="when its outcome was written"),
    sa.Column("unknown_after", sa.Double, comment="when a pending action counts as unknown"),
    sa.Column("owner_process", sa.String(255), comment="the host and process id that does it"),
    sa.Column("account", sa.String(64), nullable=False, comment="a hash of the key"),
    sa.Column("tool", sa.String(64), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, comment="a hash of the tool and its arguments"),
    sa.Column("preview_hash", sa.String(64), nullable=False, comment="a hash of the summary without the local time"),
    sa.Column("target", StorableText, nullable=False, comment="what stays blocked while the outcome is unknown"),
    sa.Column("to_number", sa.String(32), comment="in E.164"),
    sa.Column("summary", StorableText, nullable=False, comment="the action in a sentence"),
    sa.Column("cost", sa.BigInteger, nullable=False, comment="millionths of a dollar"),
    sa.Column("minute_cost", sa.BigInteger, comment="the price of a minute, while the cost is an estimate"),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("was_unknown", sa.Boolean, nullable=False, comment="whether the outcome was ever unknown"),
    sa.Column("repeated", sa.Boolean, nullable=False, comment="whether it was requested with repeat=true"),
    sa.Column("reason", StorableText),
    sa.Column("ids", sa.JSON(none_as_null=True)),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("match_on", sa.JSON(none_as_null=True), comment="what a look-up finds it by"),
    sa.Column("approved_by", StorableText),
    sa.Column("approved_how", sa.String(16)),
    sa.Index("actions_by_time", "account", "at"),
    sa.Index("actions_by_fingerprint", "account", "tool", "fingerprint"),
)


class Store:
    """Runs transactions, one at a time for each account, over all processes and machines.

    Raises:
        LedgerUnavailable: if it cannot be opened or created.
    """

    def __init__(self, location: str) -> None:
        self._watching: sa.Connection | None = None
        # Before the URL is parsed it is not known where it holds a password.
        self.display_location = f"{location.partition('://')[0]}://…" if is_url(location) else location
        try:
            url = _database_url(location)
            is_sqlite = url.get_backend_name() == "sqlite"
            without_secrets = url.set(query={}).render_as_string(hide_password=True)
            self.display_location = without_secrets if url.database and not is_sqlite else url.database or "memory"
            self._file = SqliteFile(Path(url.database)) if is_sqlite and url.database else None
            self._engine = _sqlite(url) if is_sqlite else _postgresql(url)
        except (OSError, SQLAlchemyError, ImportError, ValueError, RuntimeError) as exc:
            raise LedgerUnavailable(self.display_location, _reason(exc)) from exc
        with self.transaction("schema") as connection:
            metadata.create_all(connection)
        self._watch()

    @contextmanager
    def transaction(self, account: str) -> Generator[sa.Connection]:
        """Read and write without another transaction in between.

        Raises:
            LedgerUnavailable: if the database fails; nothing was written then.
        """
        try:
            with self._engine.begin() as connection:
                lock(connection, account)
                self._check_file(connection)
                yield connection
        except (OSError, SQLAlchemyError) as exc:
            raise LedgerUnavailable(self.display_location, _reason(exc)) from exc

    def _check_file(self, connection: sa.Connection) -> None:
        try:
            if self._file is not None:
                self._file.check()
        except ReplacedError:
            # It may have the other file open, and must not write there once the right one is back.
            connection.invalidate()
            raise

    def _watch(self) -> None:
        """Keep the file open in one connection, so that SQLite never removes its journals, and watch them all."""
        if self._file is None:
            return
        try:
            self._watching = self._engine.connect()
            with self.transaction("schema"):
                self._file.remember()
        except (OSError, SQLAlchemyError) as exc:
            raise LedgerUnavailable(self.display_location, _reason(exc)) from exc

    def close(self) -> None:
        """Close the connections."""
        if self._watching is not None:
            self._watching.close()
        self._engine.dispose()


def lock(connection: sa.Connection, account: str) -> None:
    """Block other transactions of an account until this one ends; SQLite has one at a time anyway."""
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(account.encode()[:7].ljust(7, b"."))
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_BUSY_SECONDS}s'")
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": number})


def _database_url(location: str) -> URL:
    if location == IN_MEMORY:
        return URL.create("sqlite")
    if not is_url(location):
        return URL.create("sqlite", database=str(Path(location).expanduser() / LEDGER_FILE))
    try:
        url = make_url(location)
    except (SQLAlchemyError, ValueError):
        # Their messages may quote a part of the password.
        raise ValueError("it cannot be read as a database's URL") from None
    if "@" in f"{url.host}{url.database}":
        raise ValueError("what is special in a URL's password has to be written as %40 for @, %2F for / and so on")
    # One driver each: the others are asynchronous, or no dependency of this package.
    match url.get_backend_name():
        case "postgres" | "postgresql":
            return url.set(drivername="postgresql+psycopg")
        case "sqlite":
            return _sqlite_url(url)
        case _:
            raise ValueError("the ledger is kept in SQLite or PostgreSQL")


def _sqlite_url(url: URL) -> URL:
    file = url.database or ":memory:"
    if file == ":memory:" or file.startswith("file:") or url.query:
        raise ValueError(
            "a ledger in memory forgets: name a file and nothing more, as in sqlite:////var/ledger.sqlite3"
        )
    return URL.create("sqlite", database=str(Path(file).expanduser()))


def _sqlite(url: URL) -> sa.Engine:
    if url.database:
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
    else:
        # The database lives in its one connection, which the threads share.
        engine = sa.create_engine(
            url, poolclass=sa.QueuePool, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False}
        )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:  # pyright: ignore[reportUnusedFunction] - SQLAlchemy calls it
        # Otherwise the driver begins transactions itself, and only at the first write.
        connection.isolation_level = None
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction] - SQLAlchemy calls it
        # For writing at once: two transactions that read first and then write would fail.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, so that readers and a writer work at once.

    Of several processes that open a new file one can do this; the others fail as busy at once, whatever the time-out.
    """
    give_up_at = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_RETRY_INTERVAL)
        else:
            return


def _postgresql(url: URL) -> sa.Engine:
    timeouts = {name: value for name, value in _LIBPQ_TIMEOUTS.items() if name not in url.query}
    return sa.create_engine(url, pool_pre_ping=True, connect_args=timeouts)


def _reason(exc: Exception) -> str:
    """Say briefly why the database failed; SQLAlchemy's own message quotes statements and their values."""
    if isinstance(exc, ModuleNotFoundError | NoSuchModuleError):
        return "its driver is not installed: pip install 'agentphone-mcp[postgres]'"
    cause = getattr(exc, "orig", None) or exc
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).splitlines()[0]
