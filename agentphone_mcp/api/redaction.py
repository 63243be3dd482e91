"""The secrets that a running server has seen, and how they are redacted from whatever leaves it."""

import re
import sys
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, ValidationInfo

from agentphone_mcp.api.api_key import KEY_REMOVED, ApiKey

Redactor = Callable[[str], str]
"""Removes the secrets that are known from a text."""
SECRET_REMOVED = "[secret removed]"  # noqa: S105 - it stands in the place of one
_SHORTEST = 8
"""Shorter values would be found in ordinary words."""
_MOST = 1_000
_LAYERS = 8
"""How often a text is unescaped; JSON in a URL in JSON takes three."""
_ESCAPE = re.compile(r"%(?:25)*(?P<percent>[0-9A-Fa-f]{2})|\\+u00(?P<unicode>[0-9A-Fa-f]{2})|\\+(?P<mark>[\"'/])|\\\\+")


class SecretText(str):
    """A secret in the one field that is meant to hold it."""

    __slots__ = ()


def _learned(value: str, info: ValidationInfo) -> SecretText:
    if info.context is not None:
        info.context(value)
    return SecretText(value)


Secret = Annotated[str, AfterValidator(_learned)]
"""A field that holds a secret; validation tells it to the callable that it was given as its context, if any."""


class _Known(NamedTuple):
    """A secret, the form of it that unescaped texts are searched for, and what replaces it."""

    value: str
    bare: str
    removed: str

    @classmethod
    def of(cls, value: str, removed: str) -> "_Known":
        """Prepare a secret to be looked for."""
        bare, _ = _unescaped(value)
        return cls(value, bare if len(bare) >= _SHORTEST else value, removed)


class Secrets:
    """Knows the key and the latest thousand secrets, and redacts each in any text, however it is escaped there.

    Args:
        key: the account's key, which is never forgotten.
    """

    def __init__(self, key: ApiKey | None = None) -> None:
        self._learning = Lock()
        self._key = [_Known.of(key.reveal(), KEY_REMOVED)] if key else []
        self._latest: dict[str, _Known] = {}
        self._shortest = 0
        self._known: list[_Known] = []
        self._arrange()

    def learn(self, value: str) -> None:
        """Redact this value from now on; one that is too short to be told from ordinary words is ignored."""
        if len(value) < _SHORTEST:
            return
        with self._learning:
            self._latest[value] = self._latest.pop(value, None) or _Known.of(value, SECRET_REMOVED)
            if len(self._latest) > _MOST:
                del self._latest[next(iter(self._latest))]
            self._arrange()

    def redact(self, text: str) -> str:
        """Remove every known value from a text, also where it is URL-encoded or escaped as in JSON."""
        if len(text) < self._shortest:
            return text
        for value, _, removed in self._known:
            if value in text:
                text = text.replace(value, removed)
        return self._redact_escaped(text) if ("%" in text or "\\" in text) and _ESCAPE.search(text) else text

    def _arrange(self) -> None:
        """Put the longest first: one secret may begin with another, or with the key."""
        known = sorted([*self._key, *self._latest.values()], key=lambda each: len(each.value), reverse=True)
        self._shortest = len(known[-1].value) if known else sys.maxsize
        # Made anew and never changed, so that `redact` may read it from any thread.
        self._known = known

    def _redact_escaped(self, text: str) -> str:
        plain, origins = _unescaped(text)
        found = sorted(
            (origins[at], origins[at + len(bare)], removed)
            for _, bare, removed in self._known
            for at in _places(bare, plain)
        )
        pieces: list[str] = []
        reached = 0
        for start, end, removed in found:
            if start >= reached:
                pieces += (text[reached:start], removed)
            reached = max(reached, end)
        return "".join((*pieces, text[reached:]))

    def __repr__(self) -> str:
        return f"Secrets({len(self._known)} known)"


def _places(value: str, text: str) -> Iterator[int]:
    at = text.find(value)
    while at >= 0:
        yield at
        at = text.find(value, at + len(value))


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Read a text as it is meant, with the place in the text from which each character comes, and its end."""
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
