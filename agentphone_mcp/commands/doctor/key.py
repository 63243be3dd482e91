"""Check the key that the server would use here: its source and its form, without showing it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, warning
from agentphone_mcp.config.environment import read_key
from agentphone_mcp.config.keychain import NoKeychain
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE

Keychain = Callable[[str], ApiKey | None]
KEYCHAIN = "the system's keychain"
_GET_ONE = (
    f"Run `agentphone-mcp login`, or set {KEY_VARIABLE} to the key from AgentPhone's dashboard; --sandbox needs none"
)
_NOT_OF_THE_VENDOR = ("sk_sandbox_", "sk_test_")
_QUOTES = "\"'`“”‘’„«»"


@dataclass(frozen=True)
class FoundKey:
    """Holds a key and its source, such as `AGENTPHONE_API_KEY`."""

    key: ApiKey
    source: str


def check_key(
    environ: Mapping[str, str],
    allowlist: Allowlist | None,
    *,
    keychain: Keychain | None = None,
    hosts: Mapping[str, str | None] | None = None,
) -> tuple[FoundKey | None, Finding]:
    """Find the key as the server does, and report its source and its last four characters.

    Args:
        allowlist: the host that the key is sent to; None if the base URL is refused.
        keychain: finds the key that `login` stored for a base URL; None to leave the keychain out.
        hosts: the key in each host's entry, by the host's title; None if the host stores the key itself.

    Returns:
        the key, if it may be used, and the finding about it.
    """
    source = KEY_FILE_VARIABLE if environ.get(KEY_FILE_VARIABLE, "").strip() else KEY_VARIABLE
    try:
        key = read_key(environ)
    except ConfigError as exc:
        oddity = _oddity(_text(environ))
        message = f"{source}: {oddity}" if oddity else str(exc)
        return None, failure("key", message, _how_to_mend(source, message))
    why = ""
    if key is None and keychain and allowlist:
        source = KEYCHAIN
        try:
            key = keychain(allowlist.base)
        except NoKeychain as exc:
            why = f", and the system's keychain cannot be asked: {exc}"
    if key is None:
        return _from_host(hosts or {}, allowlist, _why_not_set(environ) + why)
    found, finding = _check_allowed(FoundKey(key, source), allowlist)
    if source == KEY_FILE_VARIABLE and finding.status == "ok" and _can_others_read(environ[KEY_FILE_VARIABLE]):
        message = f"{finding.said}, but others on this machine can read that file"
        return found, warning("key", message, "Let it be read by you alone: chmod 600", **finding.facts)
    return found, finding


def _can_others_read(file: str) -> bool:
    try:
        return os.name == "posix" and bool(Path(file.strip()).expanduser().stat().st_mode & 0o077)
    except (OSError, RuntimeError):
        return False


def _from_host(
    hosts: Mapping[str, str | None], allowlist: Allowlist | None, why: str
) -> tuple[FoundKey | None, Finding]:
    """Take the key from a host's entry if the environment has none."""
    for title, text in hosts.items():
        try:
            if text:
                return _check_allowed(FoundKey(ApiKey(text), f"the entry of {title}"), allowlist)
        except KeyRuleBroken as exc:
            remedy = f"Correct it in the file of {title}, or run `agentphone-mcp login` and take it out of there"
            return None, failure("key", f"the entry of {title}: {_oddity(text or '') or exc}", remedy)
    if hosts:
        message = f"there is none in this shell; {', '.join(hosts)} keeps one by itself, which is not looked at"
        return None, warning("key", message, f"Set {KEY_VARIABLE} here and run this again to have it looked at")
    return None, failure("key", f"there is none: {why}", _GET_ONE)


def _why_not_set(environ: Mapping[str, str]) -> str:
    """Explain why there is no key: no variable is set, or one holds an unresolved reference."""
    for name in (KEY_VARIABLE, KEY_FILE_VARIABLE):
        if environ.get(name, "").strip():
            return f"{name} holds a placeholder that was not filled in"
    return f"{KEY_VARIABLE} and {KEY_FILE_VARIABLE} are not set"


def _check_allowed(found: FoundKey, allowlist: Allowlist | None) -> tuple[FoundKey | None, Finding]:
    finding = _finding_for(found, allowlist)
    return None if finding.status == "failure" else found, finding


def _finding_for(found: FoundKey, allowlist: Allowlist | None) -> Finding:
    facts = {"source": found.source, "last_four": found.key.last_four}
    message = f"from {found.source}, ends in {found.key.last_four or 'too few characters to show'}"
    if allowlist is None:
        return ok("key", message, **facts)
    try:
        Allowlist.for_base(allowlist.base, found.key)
    except KeyRuleBroken as exc:
        remedy = "Unset AGENTPHONE_BASE_URL to use this key, or take the sandbox's own key"
        return failure("key", f"{message}, but {exc}", remedy, **facts)
    if not allowlist.is_local and found.key.reveal().startswith(_NOT_OF_THE_VENDOR):
        message = f"{message}, but it is a sandbox's or a test key and the real API is asked"
        remedy = "Take the sk_live_ key from AgentPhone's dashboard, or practise with --sandbox, which needs none"
        return warning("key", message, remedy, **facts)
    return ok("key", message, **facts)


def _oddity(text: str) -> str | None:
    """Describe a common mistake in a key, more precisely than the rule that it breaks."""
    if not text:
        return None
    if text[0] in _QUOTES or text[-1] in _QUOTES:
        return "the key stands in quotes, which are no part of it"
    if text.casefold().startswith("bearer"):
        return "the key begins with the word Bearer, which is no part of it"
    if any(character.isspace() for character in text):
        return "there is a space or a line break within the key"
    return None


def _text(environ: Mapping[str, str]) -> str:
    """Return the text in place of the key; empty if it cannot be read, which read_key reports."""
    file = environ.get(KEY_FILE_VARIABLE, "").strip()
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8-sig") if file else environ.get(KEY_VARIABLE, "")
    except (OSError, ValueError, RuntimeError):
        return ""
    return text.strip()


def _how_to_mend(source: str, message: str) -> str:
    if "both set" in message:
        return f"Unset {KEY_FILE_VARIABLE}, or {KEY_VARIABLE}"
    if "cannot be read" in message or "is empty" in message:
        return f"Write the key into that file and let it be read by you alone, or unset {KEY_FILE_VARIABLE}"
    where = "that file" if source == KEY_FILE_VARIABLE else KEY_VARIABLE
    return f"Copy the key from AgentPhone's dashboard into {where} as it is, without quotes, spaces or Bearer"
