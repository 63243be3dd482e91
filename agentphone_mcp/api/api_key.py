"""Hold an API key so that it cannot be shown, and mask what looks like one in a text."""

import re
from typing import Any

from agentphone_mcp.api.parsing import is_list, is_object

KEY_REMOVED = "[key removed]"
_LONG_ENOUGH_TO_SHOW = 16


class KeyRuleBroken(ValueError):
    """A base URL or a key that the allowlist does not admit; the message is one sentence without the key."""


class ApiKey:
    """A key that cannot be shown: its repr ends in the last four characters, and it redacts itself in texts."""

    def __init__(self, value: str) -> None:
        value = value.strip()
        if value.startswith(("$", "%", "{", "<")) or value.endswith(("...", "…")):
            raise KeyRuleBroken("the key is a placeholder that was not filled in")
        if not re.fullmatch(r"[!#-&(-~]{8,512}", value):
            raise KeyRuleBroken("the key is not 8 to 512 printable ASCII characters without spaces and quotes")
        self._value = value

    @property
    def is_live(self) -> bool:
        """Whether the key opens a real account (`sk_live_…`)."""
        return self._value.casefold().startswith("sk_live_")

    @property
    def last_four(self) -> str:
        """The last four characters, which a person may be shown to tell two keys apart; none of a short key."""
        return self._value[-4:] if len(self._value) >= _LONG_ENOUGH_TO_SHOW else ""

    def account(self, sub_account: str | None = None) -> str:
        """Tell one account from another without the key: a hash from which it cannot be had."""
        # It loads OpenSSL, which a start need not wait for.
        from hashlib import sha256

        return sha256(f"agentphone-mcp {self._value} {sub_account or ''}".encode()).hexdigest()[:16]

    def reveal(self) -> str:
        """The key's text, for where it is kept and for what finds it in other texts; never for a person to read."""
        return self._value

    def header(self) -> str:
        """The value of the Authorization header."""
        return f"Bearer {self._value}"

    def redact_in(self, text: str) -> str:
        """Remove the key from a text, wherever it stands."""
        return text.replace(self._value, KEY_REMOVED)

    def redact_in_bytes(self, body: bytes) -> bytes:
        """Remove the key from the raw body of an answer, before anything reads it."""
        return body.replace(self._value.encode(), KEY_REMOVED.encode())

    def redact_in_json(self, value: Any) -> Any:
        """Remove the key from every text in parsed JSON; escapes such as `\\u0073` hide it from `redact_in_bytes`."""
        if isinstance(value, str):
            return self.redact_in(value)
        if is_list(value):
            return [self.redact_in_json(item) for item in value]
        if is_object(value):
            return {self.redact_in(name): self.redact_in_json(item) for name, item in value.items()}
        return value

    def __repr__(self) -> str:
        return f"ApiKey(…{self.last_four})"

    __str__ = __repr__


def mask_keys(text: str) -> str:
    """Remove whatever looks like a key from a text, also one that is not the configured one."""
    return re.sub(r"\bsk_[a-z]+_[\w-]+", KEY_REMOVED, text, flags=re.IGNORECASE)
