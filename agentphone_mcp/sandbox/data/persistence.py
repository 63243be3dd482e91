"""Keeps the account in a file, so that a sandbox comes back after a restart, or after a kill -9, as it was.

Everything that an answer with 2xx tells of is on disk before the first byte of that answer leaves.
"""

import asyncio
import json
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.data.models import Account
from agentphone_mcp.sandbox.responses import API
from agentphone_mcp.system.atomic_files import replace

_VERSION = 2


class StateFileError(OSError):
    """The state file cannot be used; the message is one sentence, and the file was left alone."""


@dataclass
class Saved:
    """What the file holds: the account, its key, and the sandbox's time when it was written."""

    version: int
    key: str
    now: datetime
    account: Account


@cache
def _of_file() -> TypeAdapter[Saved]:
    return TypeAdapter(Saved)


@cache
def _of_account() -> TypeAdapter[Account]:
    return TypeAdapter(Account)


def load(path: Path) -> Saved | None:
    """The saved account, its live calls ended as `failed`; None where there is no file yet.

    Raises:
        StateFileError: if the file cannot be read, or is not what a sandbox wrote.
    """
    try:
        saved = _of_file().validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as unreadable:
        raise StateFileError(f"The state file {path} cannot be read: {unreadable.strerror}.") from None
    except ValidationError as broken:
        first = broken.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its JSON"
        raise StateFileError(
            f"{path} is not a state file of this sandbox ({where}: {first['msg']}); it was left as it is."
        ) from None
    if saved.version != _VERSION:
        raise StateFileError(f"{path} is of version {saved.version}, this sandbox reads {_VERSION}; it was left alone.")
    for call in saved.account.calls.values():
        if call.is_live:
            call.status = "failed"
            call.ended_at = call.turns[-1].at if call.turns else call.answered_at or call.started_at
    return saved


class Persister:
    """Writes the account to its file whenever it has changed.

    Raises StateFileError, when made, if the file cannot be written.
    """

    def __init__(self, path: Path, account: Account, key: str, clock: Clock) -> None:
        self._path = path
        self._account = account
        self._key = key
        self._clock = clock
        self._asked = 0
        self._covered = 0
        self._turn = asyncio.Lock()
        self._file = threading.Lock()
        self._written = b""
        try:
            self._write(_of_account().dump_json(account), 0)
        except OSError as unwritable:
            raise StateFileError(f"The state file {path} cannot be written: {unwritable.strerror}.") from None

    async def save(self) -> None:
        """Return when the account, as it is now or later, is on disk. Who asks at the same time shares one write."""
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._covered >= mine:
                return
            covers = self._asked
            account = _of_account().dump_json(self._account)
            if account != self._written:
                await asyncio.to_thread(self._write, account, covers)
            self._covered = covers

    def _write(self, account: bytes, covers: int) -> None:
        head = {"version": _VERSION, "key": self._key, "now": self._clock.now().isoformat()}
        with self._file:
            if covers < self._covered:
                # A write whose request was cancelled must not undo a later one.
                return
            # It holds webhook secrets and the key, so it is for its owner's eyes.
            replace(self._path, json.dumps(head).encode()[:-1] + b', "account": ' + account + b"}")
            self._written = account
            self._covered = covers


class DurabilityMiddleware:
    """ASGI middleware that holds an answer with 2xx, and each piece of a stream, until what it tells is on disk."""

    def __init__(self, app: ASGIApp, persister: Persister) -> None:
        self._app = app
        self._persister = persister

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, and its answer when it may go."""
        is_api = scope["type"] == "http" and scope["path"].startswith(API)
        if not is_api and scope.get("method", "GET") == "GET":
            await self._app(scope, receive, send)
            return
        tells = False

        async def holding(message: Message) -> None:
            nonlocal tells
            if message["type"] == "http.response.start":
                tells = 200 <= message["status"] < 300
            if tells and (message["type"] == "http.response.start" or message.get("more_body")):
                await self._persister.save()
            await send(message)

        await self._app(scope, receive, holding)
