"""Compare what was typed to confirm an action with what it must repeat: a number, a name or a URL."""

import re
import unicodedata

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_WRITTEN_NUMBER = re.compile(r"\+?[0-9 ().\-\u2010-\u2015\u2212]+")
_HOME_CODE = "+1"
"""The country code of numbers without one (API.md)."""


def is_same(typed: str, required: str) -> bool:
    """Tell whether a typed proof repeats what is required, and holds nothing besides.

    A number may be spaced and bracketed as people write it, a name may differ in case, blanks and Unicode form, and a
    URL is compared as it is.
    """
    if not required or "://" in required:
        return bool(required) and typed == required
    if _E164.fullmatch(required):
        return _read_number(typed, required) == required
    return bool(_folded(required)) and _folded(typed) == _folded(required)


def _read_number(typed: str, required: str) -> str | None:
    """Read a number in digits, spaces, brackets, dots and dashes; None for anything else."""
    written = unicodedata.normalize("NFKC", typed).strip()
    if not _WRITTEN_NUMBER.fullmatch(written):
        return None
    digits = "".join(re.findall("[0-9]", written))
    if written.startswith("+") or f"+{digits}" == required:
        return f"+{digits}"
    return f"{_HOME_CODE}{digits}"


def _folded(name: str) -> str:
    """Write a name in one Unicode form, in lower case and with single blanks."""
    # Case folding may leave the normal form, so it is normalized once more.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())
