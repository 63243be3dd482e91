"""Remember the secrets that a running server has read, and redact them in every text it sends or logs."""

import re
import sys
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence
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
_ESCAPE = re.compile(
    r"%(?:25)*(?P<percent>[0-9A-Fa-f]{2})"
    r"|\\+(?:u00|x|U000000|u\{0*)(?P<hex>[0-9A-Fa-f]{2})\}?"
    r"|\\+(?P<mark>[\"'/])|\\\\+"
    r"|&(?P<entity>#0*[0-9]{1,7}|#[xX]0*[0-9A-Fa-f]{1,6}|[A-Za-z][0-9A-Za-z]{1,31}(?=;));?"
)
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-=")
_AROUND = 100
"""Characters of Base64 on either side of an encoded secret that are removed with it."""
_URL_SAFE = str.maketrans("+/", "-_")


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
    """Holds what to search for in place of a secret, and its replacement.

    Attributes:
        length: that of the secret itself.
        plain: the secret as it is, its unescaped form, and its bytes in hexadecimal, all in lower case.
        encoded: the part of it in Base64 that does not depend on what stands before or after it, in every alignment.
    """

    length: int
    plain: tuple[str, ...]
    encoded: tuple[str, ...]
    removed: str

    @classmethod
    def of(cls, value: str, removed: str) -> "_Pattern":
        """Prepare a secret for the search."""
        bare, _ = _unescaped(value)
        octets = value.encode(errors="surrogatepass")
        plain = {_lower(value), _lower(bare) if len(bare) >= _MIN_LENGTH else _lower(value), octets.hex()}
        return cls(len(value), tuple(plain), tuple(set(_in_base64(octets))), removed)


class Secrets:
    """Redacts the account's key and the latest thousand secrets in any text, however they are written there.

    That is in either case, escaped as in JSON, URLs or HTML, in hexadecimal, or within Base64, as of `Bearer KEY`.
    """

    def __init__(self, key: ApiKey | None = None) -> None:
        self._learning = Lock()
        self._key = [_Pattern.of(key.reveal(), KEY_REMOVED)] if key else []
        self._latest: dict[str, _Pattern] = {}
        self._shortest = 0
        self._patterns: list[_Pattern] = []
        self._plain: tuple[str, ...] = ()
        self._encoded: tuple[str, ...] = ()
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
        """Remove every known secret from a text, in whichever of these ways it is written."""
        if len(text) < self._shortest:
            return text
        spans = self._spans(text, range(len(text) + 1))
        if ("%" in text or "\\" in text or "&" in text) and _ESCAPE.search(text):
            spans += self._spans(*_unescaped(text))
        return _without(text, sorted(spans)) if spans else text

    def _arrange(self) -> None:
        patterns = [*self._key, *self._latest.values()]
        self._shortest = min((pattern.length for pattern in patterns), default=sys.maxsize)
        # New objects that are never changed, so that `redact` may read them from any thread.
        self._plain = tuple(needle for pattern in patterns for needle in pattern.plain)
        self._encoded = tuple(needle for pattern in patterns for needle in pattern.encoded)
        self._patterns = patterns

    def _spans(self, text: str, origins: Sequence[int]) -> list[tuple[int, int, str]]:
        """Find where secrets begin and end in the original text, whose index of each character is in `origins`."""
        lower, spans = _lower(text), list[tuple[int, int, str]]()
        if _has_one_of(self._plain, lower):
            for pattern in self._patterns:
                for needle in pattern.plain:
                    ends = ((at, at + len(needle)) for at in _places(needle, lower))
                    spans += ((origins[start], origins[end], pattern.removed) for start, end in ends)
        if _has_one_of(self._encoded, text):
            for pattern in self._patterns:
                for needle in pattern.encoded:
                    runs = (_run_around(text, at, len(needle)) for at in _places(needle, text))
                    spans += ((origins[start], origins[end], pattern.removed) for start, end in runs)
        return spans

    def __repr__(self) -> str:
        return f"Secrets({len(self._patterns)} known)"


def _without(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    """Replace spans, which are sorted; of those that overlap the first names what was there."""
    pieces: list[str] = []
    reached = 0
    for start, end, removed in spans:
        if start >= reached:
            pieces += (text[reached:start], removed)
        reached = max(reached, end)
    return "".join((*pieces, text[reached:]))


def _lower(text: str) -> str:
    """Return a text in lower case, of the same length: only of this letter the lower case is two characters."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.replace("\u0130", "I").lower()


def _in_base64(octets: bytes) -> Iterator[str]:
    """Encode octets as they stand within Base64, in both alphabets, after 0, 1 or 2 other octets of a group of 3."""
    for before in range(3):
        whole = b2a_base64(bytes(before) + octets, newline=False).decode()
        # Of the characters of six bits each, those at the edges depend on other octets.
        part = whole[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6]
        yield part
        yield part.translate(_URL_SAFE)


def _run_around(text: str, at: int, length: int) -> tuple[int, int]:
    """Return where the Base64 around a part of it begins and ends."""
    begin, end = at, at + length
    while begin > max(0, at - _AROUND) and text[begin - 1] in _BASE64:
        begin -= 1
    while end < min(len(text), at + length + _AROUND) and text[end] in _BASE64:
        end += 1
    return begin, end


def _has_one_of(needles: Sequence[str], text: str) -> bool:
    for needle in needles:  # noqa: SIM110 - most texts have none, and a generator takes longer than the search
        if needle in text:
            return True
    return False


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
            character = _character(escape)
            if character is None:
                continue
            pieces += (text[reached : escape.start()], character)
            kept += origins[reached : escape.start() + 1]
            reached = escape.end()
        if not reached:
            break
        text = "".join((*pieces, text[reached:]))
        origins = kept + origins[reached:]
    return text, origins


def _character(escape: re.Match[str]) -> str | None:
    """Return the character that an escape stands for; None if it is no escape after all."""
    if code := escape["percent"] or escape["hex"]:
        return chr(int(code, 16))
    if entity := escape["entity"]:
        # Its table of names is large, and few texts have any.
        from html import unescape

        character = unescape(f"&{entity};")
        return character if len(character) == 1 else None
    return escape["mark"] or "\\"
