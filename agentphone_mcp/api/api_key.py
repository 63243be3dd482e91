"""Hold an API key so that it cannot be shown, and mask keys in texts."""

import re
from typing import Any

from agentphone_mcp.api.parsing import is_list, is_object

KEY_REMOVED = "[key removed]"
_MIN_LENGTH_TO_SHOW = 16


class KeyRuleBroken(ValueError):
    """Says in one sentence, without the key, why a base URL or a key is refused."""


class ApiKey:
    """Holds a key, shows only its last four characters, and redacts it in texts."""

    def __init__(self, value: str) -> None:
        value = value.strip()
        if value.startswith(("$", "%", "{", "<")) or value.endswith(("...", "…")):
            raise KeyRuleBroken("the key is a placeholder that was not filled in")
        if not re.fullmatch(r"[!#-&(-~]{8,512}", value):
            raise KeyRuleBroken("the key is not 8 to 512 printable ASCII characters without spaces and quotes")
        self._value = value

    @property
    def is_live(self) -> bool:
        """Return whether the key opens a real account (`sk_live_…`)."""
        return self._value.casefold().startswith("sk_live_")

    @property
    def last_four(self) -> str:
        """Return the last four characters, to tell two keys apart; empty for a short key."""
        return self._value[-4:] if len(self._value) >= _MIN_LENGTH_TO_SHOW else ""

    def account(self, sub_account: str | None = None) -> str:
        """Return a hash that identifies the account and does not reveal the key."""
        # Importing hashlib loads OpenSSL, which would slow every start.
        from hashlib import sha256

        return sha256(f"agentphone-mcp {self._value} {sub_account or ''}".encode()).hexdigest()[:16]

    def reveal(self) -> str:
        """Return the key itself, for a keychain or for redaction; never to be shown."""
        return self._value

    def header(self) -> str:
        """Return the value of the Authorization header."""
        return f"Bearer {self._value}"

    def redact_in(self, text: str) -> str:
        """Remove the key from a text."""
        return text.replace(self._value, KEY_REMOVED)

    def redact_in_bytes(self, body: bytes) -> bytes:
        """Remove the key from the raw body of a response, before it is parsed."""
        return body.replace(self._value.encode(), KEY_REMOVED.encode())

    def redact_in_json(self, value: Any) -> Any:
        """Remove the key from every string in parsed JSON: `redact_in_bytes` misses escapes such as `\\u0073`."""
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
    """Remove everything that looks like a key from a text, also keys other than the configured one."""
    return re.sub(r"\bsk_[a-z]+_[\w-]+", KEY_REMOVED, text, flags=re.IGNORECASE)
