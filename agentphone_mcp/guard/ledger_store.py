"""Where the ledger is kept: one SQLite file of this user, or a PostgreSQL database for servers on several machines."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from agentphone_mcp.guard.books import LEDGER_FILE, LedgerUnavailable, is_url

_BUSY_SECONDS = 20
"""How long a process waits for the others that write."""
_PERMISSIONS = 0o600

metadata = sa.MetaData()
deeds = sa.Table(
    "deeds",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False, comment="when it was asked for, in seconds since the epoch"),
    sa.Column("settled_at", sa.Double),
    sa.Column("doubtful_after", sa.Double, comment="when a pending deed counts as unknown"),
    sa.Column("holder", sa.String(255), comment="the host and process that does it"),
    sa.Column("account", sa.String(64), nullable=False, comment="a hash of the key"),
    sa.Column("tool", sa.String(64), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, comment="a hash of the tool and its arguments"),
    sa.Column("subject", sa.Text, nullable=False, comment="what an unknown outcome blocks"),
    sa.Column("to_number", sa.String(32)),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("cost", sa.BigInteger, nullable=False, comment="millionths of a dollar"),
    sa.Column("minute_cost", sa.BigInteger, comment="set while the cost is an estimate"),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("was_unknown", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("ids", sa.JSON(none_as_null=True)),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("clues", sa.JSON(none_as_null=True)),
    sa.Column("approved_by", sa.Text),
    sa.Column("approved_how", sa.String(16)),
    sa.Index("deeds_by_time", "account", "at"),
    sa.Index("deeds_by_fingerprint", "account", "tool", "fingerprint"),
)


class Store:
    """Transactions, of which one of an account runs at a time, whichever process or machine it comes from.

    Args:
        place: a folder, or a SQLAlchemy URL of SQLite or PostgreSQL.

    Raises:
        LedgerUnavailable: when it cannot be opened or made.
    """

    def __init__(self, place: str) -> None:
        self.shown = place
        try:
            url = _url(place)
            self.shown = url.database or "?" if _is_sqlite(url) else url.render_as_string(hide_password=True)
            self._engine = _sqlite(url) if _is_sqlite(url) else sa.create_engine(url, pool_pre_ping=True)
        except (OSError, SQLAlchemyError, ImportError, ValueError) as cannot:
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
                if connection.dialect.name == "postgresql":
                    lock = int.from_bytes(account.encode()[:7].ljust(7, b"."))
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
                yield connection
        except SQLAlchemyError as broken:
            raise LedgerUnavailable(self.shown, _why(broken)) from broken

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _url(place: str) -> URL:
    if not is_url(place):
        return URL.create("sqlite", database=str(Path(place).expanduser() / LEDGER_FILE))
    url = make_url(place)
    # The names that hosting platforms write into their variables.
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if not _is_sqlite(url) and url.get_backend_name() != "postgresql":
        raise ValueError("the ledger is kept in SQLite or PostgreSQL")
    if _is_sqlite(url) and url.database in (None, "", ":memory:"):
        raise ValueError("a ledger in memory forgets")
    return url


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _sqlite(url: URL) -> sa.Engine:
    file = Path(url.database or "")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made before SQLite makes it, so that nobody else can ever read it; its journals get the file's own mode.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, _PERMISSIONS))
    if file.stat().st_mode & 0o077 and os.name == "posix":
        file.chmod(_PERMISSIONS)
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:  # pyright: ignore[reportUnusedFunction] - SQLAlchemy calls it
        # The driver would begin transactions by rules of its own, and only at the first write.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL").close()
        connection.execute("PRAGMA synchronous=FULL").close()

    @event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction] - SQLAlchemy calls it
        # At once for writing: two that read first and then want to write would stop each other.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _why(cannot: Exception) -> str:
    """Say in a few words what the database said; SQLAlchemy's own text quotes statements and their values."""
    if isinstance(cannot, ModuleNotFoundError | NoSuchModuleError):
        return "its driver is not installed: pip install 'agentphone-mcp[postgres]'"
    cause = getattr(cannot, "orig", None) or cannot
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).splitlines()[0]
