"""A tokens file with two tokens, and what an auth backend makes of them."""

import asyncio
import hashlib
import os
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from starlette.datastructures import Headers

from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
ALICE, BOB, CAROL = (f"apmcp_{name}-{'x' * 36}" for name in ("alice", "bobby", "carol"))
_ticks = count(1)


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def entry(name: str, token: str, scope: str = "write", more: str = "") -> str:
    return f'[tokens.{name}]\nsha256 = "{sha256(token)}"\nscope = "{scope}"\n{more}\n'


def write(path: Path, text: str | bytes) -> None:
    """Write the file, with a modification time a second after the last one."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    at = (int(NOON) + next(_ticks)) * 1_000_000_000
    os.utime(path, ns=(at, at))


def authorization(*values: str | bytes) -> Headers:
    return Headers(raw=[(b"authorization", value if isinstance(value, bytes) else value.encode()) for value in values])


def authenticate(auth: StaticTokenAuth, *values: str | bytes) -> Caller | None:
    return asyncio.run(auth.authenticate(authorization(*values)))


def name_of(auth: StaticTokenAuth, token: str) -> str | None:
    caller = authenticate(auth, f"Bearer {token}")
    return caller and caller.name


def unavailable_reason(auth: StaticTokenAuth) -> str | None:
    return asyncio.run(auth.unavailable_reason())


GOOD = entry("alice", ALICE)
