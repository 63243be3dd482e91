"""Serialize results for a model: untrusted text marked, control characters removed, secrets redacted."""

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

_redactor: ContextVar[Redactor] = ContextVar("_redactor")


@contextmanager
def use_redactor(redact: Redactor) -> Generator[None]:
    """Make `redact_secrets` remove one caller's secrets, also in code that does not know the caller."""
    token = _redactor.set(redact)
    try:
        yield
    finally:
        _redactor.reset(token)


def current_redactor() -> Redactor:
    """Get the function that removes the current caller's secrets from a text."""
    return _redactor.get()


def redact_secrets(text: str) -> str:
    """Remove the current caller's secrets from a text."""
    return current_redactor()(text)


def serialize(result: BaseModel, redact: Redactor) -> dict[str, Any]:
    """Convert a result to JSON values without nulls, safe to show to a model."""
    return _fields(result, result.model_dump(mode="json", exclude_none=True), redact)


def compact_json(value: dict[str, Any]) -> str:
    """Write JSON on one line, with non-ASCII letters unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _fields(source: BaseModel, dumped: dict[str, Any], redact: Redactor) -> dict[str, Any]:
    untrusted = source.untrusted_fields() if isinstance(source, ApiModel) else ()
    fields: dict[str, Any] = {}
    for name, dumped_value in dumped.items():
        value = getattr(source, name)
        fields[name] = _value(_as_untrusted(value) if name in untrusted else value, dumped_value, redact)
    return fields


def _as_untrusted(value: Any) -> Any:
    """Wrap a text, or each text of a list, as untrusted."""
    if is_list(value):
        return [_as_untrusted(item) for item in value]
    return UntrustedText(value) if isinstance(value, str) else value


def _value(source: Any, dumped: Any, redact: Redactor) -> Any:
    """Convert a value and its JSON in parallel, as only the value knows which texts are untrusted or secret."""
    if isinstance(dumped, str):
        return _text(source, dumped, redact)
    if is_list(dumped):
        return [_value(item, dumped_item, redact) for item, dumped_item in zip(source, dumped, strict=True)]
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
    # Redacted before `mark` truncates it, so that no half of a secret remains.
    text = redact(clean(dumped))
    return mark(text) if isinstance(source, UntrustedText) else text
