"""What a result tells: strangers' words marked, everything cleaned, and no secret but where it was just made."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel

from agentphone_mcp.api.models import Wire
from agentphone_mcp.api.parsing import is_list, is_object
from agentphone_mcp.api.redaction import Cut, SecretText
from agentphone_mcp.policy.untrusted import UntrustedText, clean, mark

_redactor: ContextVar[Cut] = ContextVar("_of_this_caller")


@contextmanager
def without_secrets(cut: Cut) -> Generator[None]:
    """Have `cut_secrets` remove the secrets of one caller meanwhile; not everything is told whose request it is."""
    token = _redactor.set(cut)
    try:
        yield
    finally:
        _redactor.reset(token)


def secrets_cutter() -> Cut:
    """What removes the secrets that are known of the caller whose request this is."""
    return _redactor.get()


def cut_secrets(text: str) -> str:
    """Remove the secrets that are known of the caller whose request this is."""
    return secrets_cutter()(text)


def serialize(result: BaseModel, cut: Cut) -> dict[str, Any]:
    """Write a result as JSON without nulls, as it may be shown to a model."""
    return _fields(result, result.model_dump(mode="json", exclude_none=True), cut)


def compact(shown: dict[str, Any]) -> str:
    """Write what is told in one line, with letters of all scripts as they are."""
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def _fields(source: BaseModel, dumped: dict[str, Any], cut: Cut) -> dict[str, Any]:
    strangers = source.untrusted_fields() if isinstance(source, Wire) else ()
    shown: dict[str, Any] = {}
    for name, value in dumped.items():
        found = getattr(source, name)
        shown[name] = _value(_as_untrusted(found) if name in strangers else found, value, cut)
    return shown


def _as_untrusted(found: Any) -> Any:
    """A stranger's text, or every one of a list."""
    if is_list(found):
        return [_as_untrusted(one) for one in found]
    return UntrustedText(found) if isinstance(found, str) else found


def _value(source: Any, dumped: Any, cut: Cut) -> Any:
    """Go through a value and its JSON side by side: only the value knows what it is."""
    if isinstance(dumped, str):
        return _text(source, dumped, cut)
    if is_list(dumped):
        return [_value(one, row, cut) for one, row in zip(source, dumped, strict=True)]
    if isinstance(dumped, float) and dumped.is_integer():
        return int(dumped)
    if not is_object(dumped):
        return dumped
    if isinstance(source, BaseModel):
        return _fields(source, dumped, cut)
    return {cut(clean(name)): _value(source[name], value, cut) for name, value in dumped.items()}


def _text(source: Any, dumped: str, cut: Cut) -> str:
    if isinstance(source, SecretText):
        return dumped
    # Cut before it is bounded, so that no half of a secret is left at the end.
    shown = cut(clean(dumped))
    return mark(shown) if isinstance(source, UntrustedText) else shown
