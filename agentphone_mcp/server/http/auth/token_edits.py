"""Edit the tokens file atomically, under a lock, and keep its comments."""

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
_LOCK_SECONDS = 10.0
"""How long to wait for another process; an edit takes a few milliseconds."""


def change_tokens(path: Path, edit: Callable[[Tokens], Tokens]) -> None:
    """Replace the tokens in the file by what `edit` returns for them; create the file if it is missing.

    Raises:
        TokensUnusable: if the file cannot be read, parsed or written; it is left as it was.
    """
    # A symbolic link stays; its target is changed.
    path = Path(os.path.realpath(path))
    try:
        if not path.parent.is_dir():
            raise TokensUnusable("there is no such folder: make it first")
        if path.exists() and os.name == "posix" and os.geteuid() not in (0, path.stat().st_uid):
            raise TokensUnusable("it belongs to another user, who alone can change it")
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_SECONDS) as lock:
            before = path.stat() if path.exists() else None
            if before and os.name == "posix" and os.geteuid() == 0:
                # The owner of the tokens file must be able to lock it after root did.
                os.chown(lock.lock_file, before.st_uid, before.st_gid, follow_symlinks=False)
            text = read_text(path) if before else ""
            replace(path, _rewrite(text, edit(parse_tokens(text))).encode(), before)
    except Timeout:
        raise TokensUnusable("another process has been changing it for too long") from None
    except OSError as exc:
        raise TokensUnusable((exc.strerror or "it cannot be written").lower()) from None


def _rewrite(text: str, wanted: Tokens) -> str:
    """Return the text with the wanted tokens and everything else unchanged."""
    try:
        written = _edit(text, wanted)
        if parse_tokens(written) == wanted:
            return written
    except (TOMLKitError, TokensUnusable):
        pass
    # tomlkit cannot edit every spelling of TOML; better no edit than a lost token.
    raise TokensUnusable("it is written in a way that has to be changed by hand")


def _edit(text: str, wanted: Tokens) -> str:
    current = parse_tokens(text)
    document = tomlkit.parse(text)
    tables = cast("MutableMapping[str, Any]", document.setdefault("tokens", tomlkit.table(is_super_table=True)))
    for name in current.keys() - wanted.keys():
        del tables[name]
    for name, token in wanted.items():
        if name not in current:
            tables[name] = tomlkit.inline_table() if isinstance(tables, InlineTable) else tomlkit.table()
        if token != current.get(name):
            _fill(tables[name], token)
    return document.as_string()


def _fill(table: MutableMapping[str, Any], token: Token) -> None:
    table["sha256"] = token.digest.hex()
    table["scope"] = token.scope
    if token.expires:
        table["expires"] = token.expires
    else:
        table.pop("expires", None)
