"""What a result tells: strangers' words marked, everything cleaned, and no secret but where it was just made."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel

from agentphone_mcp.api.models import ApiModel
from agentphone_mcp.api.parsing import is_list, is_object
from agentphone_mcp.api.redaction import Redactor, SecretText
from agentphone_mcp.policy.untrusted import UntrustedText, clean, mark

_redactor: ContextVar[Redactor] = ContextVar("_of_this_caller")


@contextmanager
def use_redactor(redact: Redactor) -> Generator[None]:
    """Have `redact_secrets` remove the secrets of one caller meanwhile; not everything is told whose request it is."""
    token = _redactor.set(redact)
    try:
        yield
    finally:
        _redactor.reset(token)


def current_redactor() -> Redactor:
    """What removes the secrets that are known of the caller whose request this is."""
    return _redactor.get()


def redact_secrets(text: str) -> str:
    """Remove the secrets that are known of the caller whose request this is."""
    return current_redactor()(text)


def serialize(result: BaseModel, redact: Redactor) -> dict[str, Any]:
    """Write a result as JSON without nulls, as it may be shown to a model."""
    return _fields(result, result.model_dump(mode="json", exclude_none=True), redact)


def compact_json(shown: dict[str, Any]) -> str:
    """Write what is told in one line, with letters of all scripts as they are."""
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def _fields(source: BaseModel, dumped: dict[str, Any], redact: Redactor) -> dict[str, Any]:
    strangers = source.untrusted_fields() if isinstance(source, ApiModel) else ()
    shown: dict[str, Any] = {}
    for name, value in dumped.items():
        found = getattr(source, name)
        shown[name] = _value(_as_untrusted(found) if name in strangers else found, value, redact)
    return shown


def _as_untrusted(found: Any) -> Any:
    """A stranger's text, or every one of a list."""
    if is_list(found):
        return [_as_untrusted(one) for one in found]
    return UntrustedText(found) if isinstance(found, str) else found


def _value(source: Any, dumped: Any, redact: Redactor) -> Any:
    """Go through a value and its JSON side by side: only the value knows what it is."""
    if isinstance(dumped, str):
        return _text(source, dumped, redact)
    if is_list(dumped):
        return [_value(one, row, redact) for one, row in zip(source, dumped, strict=True)]
    if isinstance(dumped, float) and dumped.is_integer():
        return int(dumped)
    if not is_object(dumped):
        return dumped
    if isinstance(source, BaseModel):
        return _fields(source, dumped, redact)
    return {redact(clean(name)): _value(source[name], value, redact) for name, value in dumped.items()}


def _text(source: Any, dumped: str, redact: Redactor) -> str:
    if isinstance(source, SecretText):
        return dumped
    # Redacted before it is truncated, so that no half of a secret is left at the end.
    shown = redact(clean(dumped))
    return mark(shown) if isinstance(source, UntrustedText) else shown
