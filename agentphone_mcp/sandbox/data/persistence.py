"""Persist the account in a file, so that it survives a restart, or a kill -9, of the sandbox.

Everything that an answer with 2xx reports is on disk before the first byte of that answer is sent.
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
    """Report an unusable state file, which is left unchanged; the message is one sentence."""


@dataclass
class Saved:
    """Model the file: the account, its key, and the sandbox's time when it was written."""

    version: int
    key: str
    now: datetime
    account: Account


@cache
def _file_adapter() -> TypeAdapter[Saved]:
    return TypeAdapter(Saved)


@cache
def _account_adapter() -> TypeAdapter[Account]:
    return TypeAdapter(Account)


def load(path: Path) -> Saved | None:
    """Load the saved account, with its live calls ended as `failed`; None if there is no file yet.

    Raises:
        StateFileError: if the file cannot be read, or is not a state file.
    """
    try:
        saved = _file_adapter().validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StateFileError(f"The state file {path} cannot be read: {exc.strerror}.") from None
    except ValidationError as exc:
        first = exc.errors()[0]
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
    """Write the account to its file when it has changed.

    Raises:
        StateFileError: by the constructor, if the file cannot be written.
    """

    def __init__(self, path: Path, account: Account, key: str, clock: Clock) -> None:
        self._path = path
        self._account = account
        self._key = key
        self._clock = clock
        self._requested = 0
        self._covered = 0
        self._turn = asyncio.Lock()
        self._file = threading.Lock()
        self._written = b""
        try:
            self._write(_account_adapter().dump_json(account), 0)
        except OSError as exc:
            raise StateFileError(f"The state file {path} cannot be written: {exc.strerror}.") from None

    async def save(self) -> None:
        """Return when the account, as it is now or later, is on disk. Concurrent calls share one write."""
        self._requested += 1
        mine = self._requested
        async with self._turn:
            if self._covered >= mine:
                return
            covers = self._requested
            account = _account_adapter().dump_json(self._account)
            if account != self._written:
                await asyncio.to_thread(self._write, account, covers)
            self._covered = covers

    def _write(self, account: bytes, covers: int) -> None:
        head = {"version": _VERSION, "key": self._key, "now": self._clock.now().isoformat()}
        with self._file:
            if covers < self._covered:
                # A write whose request was cancelled must not undo a later one.
                return
            # It holds webhook secrets and the key; `replace` makes it readable by its owner only.
            replace(self._path, json.dumps(head).encode()[:-1] + b', "account": ' + account + b"}")
            self._written = account
            self._covered = covers


class DurabilityMiddleware:
    """Hold an answer with 2xx, and each part of a stream, until what it reports is on disk (ASGI middleware)."""

    def __init__(self, app: ASGIApp, persister: Persister) -> None:
        self._app = app
        self._persister = persister

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and save the account before its answer is sent."""
        is_api = scope["type"] == "http" and scope["path"].startswith(API)
        if not is_api and scope.get("method", "GET") == "GET":
            await self._app(scope, receive, send)
            return
        is_success = False

        async def save_and_send(message: Message) -> None:
            nonlocal is_success
            if message["type"] == "http.response.start":
                is_success = 200 <= message["status"] < 300
            if is_success and (message["type"] == "http.response.start" or message.get("more_body")):
                await self._persister.save()
            await send(message)

        await self._app(scope, receive, save_and_send)
