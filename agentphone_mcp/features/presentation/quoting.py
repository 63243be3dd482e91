"""Quote the arguments of an action in its preview, so that none of them can pass for the server's own words."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from agentphone_mcp.api.redaction import Redactor
from agentphone_mcp.policy.untrusted import clean

_MAX_LENGTH = 2_000


class Quote(Protocol):
    """Quotes a text on one line: cut for the model, or as a whole for a person who has to agree to it."""

    def __call__(self, text: str, longest: int = ...) -> str:
        """Quote it; `longest` is how much of it the model gets."""
        ...


def in_short_and_whole(write: Callable[[Quote], str], redact: Redactor) -> tuple[str, str]:
    """Write a sentence twice: with its texts cut, and with all of them as a whole."""
    return write(partial(quoted, redact=redact)), write(partial(quoted_whole, redact=redact))


def quoted(text: str, longest: int = _MAX_LENGTH, *, redact: Redactor = str) -> str:
    """Quote a text on one line, with its own quotes escaped; if it is longer, say how many characters are left out.

    What nobody would see is shown as in `quoted_whole`, as it is sent all the same. Secrets are redacted before
    truncation, so that no half of one remains.
    """
    text = redact(_with_codes(text))
    if len(text) <= longest:
        return json.dumps(text, ensure_ascii=False)
    return f"{json.dumps(text[:longest], ensure_ascii=False)} and {len(text) - longest} more characters"


def quoted_whole(text: str, longest: int = 0, *, redact: Redactor = str) -> str:
    """Quote all of a text on one line; what nobody would see, such as a zero-width space, is shown by its code."""
    return json.dumps(redact(_with_codes(text)), ensure_ascii=False)


def _with_codes(text: str) -> str:
    hidden = {ord(char): f"[U+{ord(char):04X}]" for char in set(text) if clean(char) != char}
    return text.translate(hidden)


def other_arguments(quote: Quote, **given: Any) -> str:
    """List the arguments that are not None, for the end of a preview; empty if there are none."""
    named = [f"{name} {_format(value, quote)}" for name, value in given.items() if value is not None]
    return f" Also: {', '.join(named)}." if named else ""


def _format(value: Any, quote: Quote) -> str:
    if isinstance(value, dict | list):
        return quote(json.dumps(value, ensure_ascii=False))
    return quote(value) if isinstance(value, str) else json.dumps(value)
