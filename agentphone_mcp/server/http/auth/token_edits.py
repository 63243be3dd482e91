"""Changing the file of bearer tokens: by one process at a time, all at once, and with its comments kept."""

import os
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, cast

import tomlkit
from filelock import FileLock, Timeout
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from agentphone_mcp.server.http.auth.token_file import Token, TokensUnusable, parse_tokens, read_text
from agentphone_mcp.system.atomic_files import replace

Tokens = dict[str, Token]
_PATIENCE = 10.0
"""Seconds to wait for another process; a change takes a few milliseconds."""


def change_tokens(path: Path, wanted: Callable[[Tokens], Tokens]) -> None:
    """Make the file hold what `wanted` makes of what it holds; it is made if it is not there.

    Raises:
        TokensUnusable: if it cannot be read, understood or written; it is left as it was.
    """
    # Whoever put a link there wants it to stay.
    path = Path(os.path.realpath(path))
    try:
        if not path.parent.is_dir():
            raise TokensUnusable("there is no such folder: make it first")
        if path.exists() and os.name == "posix" and os.geteuid() not in (0, path.stat().st_uid):
            raise TokensUnusable("it belongs to another user, who alone can change it")
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_PATIENCE) as lock:
            before = path.stat() if path.exists() else None
            if before and os.name == "posix" and os.geteuid() == 0:
                # What root has locked must not stay locked for the one whose file it is.
                os.chown(lock.lock_file, before.st_uid, before.st_gid, follow_symlinks=False)
            text = read_text(path) if before else ""
            written = _rewritten(text, wanted(parse_tokens(text)))
            replace(path, written.encode(), before)
    except Timeout:
        raise TokensUnusable("another process has been changing it for too long") from None
    except OSError as refused:
        raise TokensUnusable((refused.strerror or "it cannot be written").lower()) from None


def _rewritten(text: str, wanted: Tokens) -> str:
    """The text with nothing else changed than what has to be."""
    try:
        written = _edited(text, wanted)
        if parse_tokens(written) == wanted:
            return written
    except (TOMLKitError, TokensUnusable):
        pass
    # There are many ways to write TOML; nobody's token may be lost in one that tomlkit does not master.
    raise TokensUnusable("it is written in a way that has to be changed by hand")


def _edited(text: str, wanted: Tokens) -> str:
    known = parse_tokens(text)
    document = tomlkit.parse(text)
    tables = cast("MutableMapping[str, Any]", document.setdefault("tokens", tomlkit.table(is_super_table=True)))
    for name in known.keys() - wanted.keys():
        del tables[name]
    for name, token in wanted.items():
        if name not in known:
            tables[name] = tomlkit.inline_table() if isinstance(tables, InlineTable) else tomlkit.table()
        if token != known.get(name):
            _fill(tables[name], token)
    return document.as_string()


def _fill(table: MutableMapping[str, Any], token: Token) -> None:
    table["sha256"] = token.digest.hex()
    table["scope"] = token.scope
    if token.expires:
        table["expires"] = token.expires
    else:
        table.pop("expires", None)
