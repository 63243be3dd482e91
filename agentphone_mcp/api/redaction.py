"""Remember the secrets that a running server has read, and redact them in every text it sends or logs."""

import re
import sys
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, ValidationInfo

from agentphone_mcp.api.api_key import KEY_REMOVED, ApiKey

Redactor = Callable[[str], str]
"""A function that removes the known secrets from a text."""
SECRET_REMOVED = "[secret removed]"  # noqa: S105 - it replaces one
_MIN_LENGTH = 8
"""Shorter values would match ordinary words."""
_MAX_SECRETS = 1_000
_LAYERS = 8
"""How often a text is unescaped; JSON inside a URL inside JSON takes three."""
_ESCAPE = re.compile(r"%(?:25)*(?P<percent>[0-9A-Fa-f]{2})|\\+u00(?P<unicode>[0-9A-Fa-f]{2})|\\+(?P<mark>[\"'/])|\\\\+")


class SecretText(str):
    """Marks a secret in the one field that is meant to hold it."""

    __slots__ = ()


def _learned(value: str, info: ValidationInfo) -> SecretText:
    if info.context is not None:
        info.context(value)
    return SecretText(value)


Secret = Annotated[str, AfterValidator(_learned)]
"""A field that holds a secret; validation passes it to the callable given as its context, if any."""


class _Pattern(NamedTuple):
    """Holds a secret, its unescaped form to search for, and its replacement."""

    value: str
    bare: str
    removed: str

    @classmethod
    def of(cls, value: str, removed: str) -> "_Pattern":
        """Prepare a secret for the search."""
        bare, _ = _unescaped(value)
        return cls(value, bare if len(bare) >= _MIN_LENGTH else value, removed)


class Secrets:
    """Redacts the account's key and the latest thousand secrets in any text, however they are escaped there."""

    def __init__(self, key: ApiKey | None = None) -> None:
        self._learning = Lock()
        self._key = [_Pattern.of(key.reveal(), KEY_REMOVED)] if key else []
        self._latest: dict[str, _Pattern] = {}
        self._shortest = 0
        self._patterns: list[_Pattern] = []
        self._arrange()

    def learn(self, value: str) -> None:
        """Redact this value from now on; values under eight characters are ignored."""
        if len(value) < _MIN_LENGTH:
            return
        with self._learning:
            self._latest[value] = self._latest.pop(value, None) or _Pattern.of(value, SECRET_REMOVED)
            if len(self._latest) > _MAX_SECRETS:
                del self._latest[next(iter(self._latest))]
            self._arrange()

    def redact(self, text: str) -> str:
        """Remove every known secret from a text, also where it is URL-encoded or escaped as in JSON."""
        if len(text) < self._shortest:
            return text
        for value, _, removed in self._patterns:
            if value in text:
                text = text.replace(value, removed)
        return self._redact_escaped(text) if ("%" in text or "\\" in text) and _ESCAPE.search(text) else text

    def _arrange(self) -> None:
        """Sort by length, longest first: one secret may begin with another, or with the key."""
        patterns = sorted([*self._key, *self._latest.values()], key=lambda pattern: len(pattern.value), reverse=True)
        self._shortest = len(patterns[-1].value) if patterns else sys.maxsize
        # A new list that is never changed, so that `redact` may read it from any thread.
        self._patterns = patterns

    def _redact_escaped(self, text: str) -> str:
        plain, origins = _unescaped(text)
        matches = sorted(
            (origins[at], origins[at + len(bare)], removed)
            for _, bare, removed in self._patterns
            for at in _places(bare, plain)
        )
        pieces: list[str] = []
        reached = 0
        for start, end, removed in matches:
            if start >= reached:
                pieces += (text[reached:start], removed)
            reached = max(reached, end)
        return "".join((*pieces, text[reached:]))

    def __repr__(self) -> str:
        return f"Secrets({len(self._patterns)} known)"


def _places(value: str, text: str) -> Iterator[int]:
    at = text.find(value)
    while at >= 0:
        yield at
        at = text.find(value, at + len(value))


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Unescape a text; returns it with the index in the original of each character, and of its end."""
    origins = list(range(len(text) + 1))
    for _ in range(_LAYERS):
        pieces: list[str] = []
        kept: list[int] = []
        reached = 0
        for escape in _ESCAPE.finditer(text):
            code = escape["percent"] or escape["unicode"]
            pieces += (text[reached : escape.start()], chr(int(code, 16)) if code else escape["mark"] or "\\")
            kept += origins[reached : escape.start() + 1]
            reached = escape.end()
        if not reached:
            break
        text = "".join((*pieces, text[reached:]))
        origins = kept + origins[reached:]
    return text, origins
