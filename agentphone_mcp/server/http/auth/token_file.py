"""Read the tokens file, which holds SHA-256 hashes of bearer tokens and never a token.

    [tokens.ci-bot]
    sha256 = "9f86d0…"        # 64 hex digits
    scope = "write"           # read, write or spend
    expires = 2027-01-31      # optional: until the end of that day in UTC, or a time with its offset

Tokens are made by `agentphone-mcp token add` with 256 random bits. These cannot be guessed, so that a plain SHA-256
protects them as well as a slow hash would, and checking a wrong one costs next to nothing.
"""

import hashlib
import os
import re
import stat
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from agentphone_mcp.policy.access import SCOPES, Scope
from agentphone_mcp.system.state_files import UnsafeState, check_private_folder

TOKEN_PREFIX = "apmcp_"  # noqa: S105 - lets people and secret scanners recognize a token
_DAY = 86_400
_LARGEST = 250_000
"""Bytes; the file is read while requests wait."""
_RULES = {
    "[key]": f"a name is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with {TOKEN_PREFIX}",
    "sha256": "sha256 is not 64 hex digits",
    "scope": f"scope is none of {', '.join(SCOPES)}",
    "expires": "expires is neither a date nor a time with its offset, without quotes",
}


class TokensUnusable(Exception):
    """Raised when the file cannot be used; the message is a few words that quote nothing of it."""


@dataclass(frozen=True)
class Token:
    """Hold an entry of the tokens file.

    It expires after the last day in UTC on which it is valid, or at a moment; None for never.
    """

    name: str
    scope: Scope
    digest: bytes = field(repr=False)
    expires: date | None = None

    @property
    def expires_at(self) -> float | None:
        """Return the moment at which it expires, in seconds since the epoch; None for never."""
        if self.expires is None:
            return None
        if isinstance(self.expires, datetime):
            return self.expires.timestamp()
        return datetime(self.expires.year, self.expires.month, self.expires.day, tzinfo=UTC).timestamp() + _DAY

    def is_over(self, now: float) -> bool:
        """Return whether it has expired."""
        return self.expires_at is not None and now >= self.expires_at


def digest_of(token: str) -> bytes:
    """Return the SHA-256 of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def is_name(text: str) -> bool:
    """Return whether a text is a valid name; a token pasted by mistake is not."""
    return bool(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text)) and not text.lower().startswith(TOKEN_PREFIX)


def _named(name: str) -> str:
    if not is_name(name):
        raise ValueError(_RULES["[key]"])
    return name


class _TokenEntry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]
    scope: Scope
    expires: AwareDatetime | date | None = None


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    tokens: dict[Annotated[str, AfterValidator(_named)], _TokenEntry] = {}


def file_version(path: Path) -> tuple[int, ...]:
    """Return numbers that change whenever the file does: times, size, inode and mode.

    Raises:
        TokensUnusable: if it is missing, no regular file, too large, or others than its owner may write or replace it.
    """
    try:
        status = path.stat()
    except OSError as exc:
        raise TokensUnusable(_reason(exc)) from None
    if not stat.S_ISREG(status.st_mode):
        raise TokensUnusable("it is not a file")
    if status.st_size > _LARGEST:
        raise TokensUnusable("it is too large")
    if os.name == "posix":
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise TokensUnusable("others than its owner may write it, which chmod go-w mends")
        _check_folder(path.resolve().parent)
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_mode


def _check_folder(folder: Path) -> None:
    """Check that nobody else may put another file in the place of one in this folder.

    Raises:
        TokensUnusable: if they may.
    """
    mode = folder.stat().st_mode
    # With the sticky bit, as /tmp has it, files belong to their owners.
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        try:
            check_private_folder(folder)
        except UnsafeState as exc:
            raise TokensUnusable(str(exc)) from None


def read_text(path: Path) -> str:
    """Read the file with its line ends unchanged.

    Raises:
        TokensUnusable: if it cannot be read.
    """
    file_version(path)
    try:
        # Notepad starts a text file with a byte order mark.
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as exc:
        raise TokensUnusable(_reason(exc)) from None


def parse_tokens(text: str) -> dict[str, Token]:
    """Parse the tokens in a text, by name; there may be none.

    Raises:
        TokensUnusable: if any part of it is invalid, with its line.
    """
    try:
        entries = _File.model_validate(tomllib.loads(text)).tokens
    except ValidationError as exc:
        raise _error_with_line(text, *_first_error(exc.errors())) from None
    except (ValueError, RecursionError) as exc:
        line = re.search(r"at line (\d+)", str(exc))
        where = f"line {line[1]}: " if line else ""
        raise TokensUnusable(f"{where}it is not TOML, or says something twice") from None
    tokens: dict[str, Token] = {}
    digests: set[bytes] = set()
    for name, entry in entries.items():
        token = Token(name, entry.scope, bytes.fromhex(entry.sha256), entry.expires)
        if token.digest in digests:
            raise _error_with_line(text, "another token has the same sha256", ("tokens", name, "sha256"))
        digests.add(token.digest)
        tokens[name] = token
    return tokens


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read the tokens of a server.

    Raises:
        TokensUnusable: if the file cannot be read, is invalid in any part, or holds no token.
    """
    tokens = tuple(parse_tokens(read_text(path)).values())
    if not tokens:
        raise TokensUnusable("it holds no token")
    return tokens


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or "it is not a text file").lower()


def _first_error(errors: list[ErrorDetails]) -> tuple[str, tuple[str, ...]]:
    """Return the first error and its key; a misspelled key comes before the missing one that it stands for."""
    error = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    *tables, last = map(str, error["loc"][:3])
    if error["type"] == "extra_forbidden":
        belongs = "sha256, scope and expires belong in a token; a name with a dot has quotes"
        return f"only {belongs if tables else '[tokens.NAME] belongs in it'}", (*tables, last)
    if error["type"] == "missing":
        return f"{last} is missing", tuple(tables)
    if last == "[key]":
        return _RULES[last], tuple(tables)
    return _RULES[last] if len(tables) == 2 else "[tokens.NAME] has to be a table", (*tables, last)


def _error_with_line(text: str, reason: str, parts: tuple[str, ...]) -> TokensUnusable:
    """Put the line of a key before the reason, if the key has a line of its own."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            here = _parts_of(tomllib.loads(line.rstrip("\r")))
        except ValueError:
            continue
        if line.lstrip().startswith("["):
            table = here
        else:
            here = table + here
        if here[: len(parts)] == parts:
            return TokensUnusable(f"line {number}: {reason}")
    return TokensUnusable(reason)


def _parts_of(table: dict[str, Any]) -> tuple[str, ...]:
    """Return the keys in a line of TOML, from the outermost to the innermost."""
    if len(table) != 1:
        return ()
    ((name, inner),) = table.items()
    return (name, *(_parts_of(cast("dict[str, Any]", inner)) if isinstance(inner, dict) else ()))
