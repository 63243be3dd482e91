"""Serialize results for a model: strangers' words marked, control characters removed, secrets redacted.

Whose words a field holds is declared in its type (`api/provenance.py`).
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from agentphone_mcp.api.parsing import is_list, is_object
from agentphone_mcp.api.provenance import Words, shown_as, whose_words
from agentphone_mcp.api.redaction import Redactor, SecretText
from agentphone_mcp.policy.lookalikes import QUOTED
from agentphone_mcp.policy.untrusted import LONGEST_ANSWER, Marks, QuotedText, UntrustedText, clean, current_marks

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
    """Convert a result to JSON values without nulls, safe to show to a model.

    If the strangers' words in it have no room in one answer, `left_out` says so.
    """
    writer = _Writer(redact, current_marks())
    fields = writer.fields(result, result.model_dump(mode="json", exclude_none=True))
    return fields | ({"left_out": writer.left_out()} if writer.marks.left_out else {})


def show(words: Words, text: str, redact: Redactor) -> str:
    """Write one text as `serialize` does, for a sentence."""
    return _Writer(redact, current_marks()).text(text, words)


def show_sentence(text: str, redact: Redactor) -> str:
    """Write a sentence of this server, with the marks that are in it."""
    return show(Words.SERVER, text, redact)


def compact_json(value: dict[str, Any]) -> str:
    """Write JSON on one line, with non-ASCII letters unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class _Writer:
    """Convert the texts of one answer."""

    redact: Redactor
    marks: Marks

    def fields(self, source: BaseModel, dumped: dict[str, Any]) -> dict[str, Any]:
        """Convert a model and its JSON in parallel, as only the model knows whose words its fields hold."""
        return {
            name: self._value(getattr(source, name), value, whose_words(source, name)) for name, value in dumped.items()
        }

    def text(self, text: str, words: Words) -> str:
        """Write a text as it is declared."""
        # Redacted before it is marked and truncated, so that no half of a secret remains.
        text = self.redact(clean(text))
        match shown_as(words, text):
            case Words.STRANGER:
                return self.marks.mark(text)
            case Words.OURS:
                return self.marks.mark(text, name=QUOTED)
            case _:
                return self.marks.defuse_around(text)

    def left_out(self) -> str:
        """Say what is missing in the answer, and how to get it."""
        return (
            f"{self.marks.left_out} characters of strangers' words: one answer holds {LONGEST_ANSWER}. Ask for fewer "
            "at once (limit, message_limit) and page on (offset, before, after_turn)."
        )

    def _value(self, source: Any, dumped: Any, words: Words) -> Any:
        if isinstance(dumped, str):
            return self._leaf(source, dumped, words)
        if is_list(dumped):
            return [self._value(item, value, words) for item, value in zip(source, dumped, strict=True)]
        if isinstance(dumped, float) and dumped.is_integer():
            return int(dumped)
        if not is_object(dumped):
            return dumped
        if isinstance(source, BaseModel):
            return self.fields(source, dumped)
        # A name is shown as it is if it could be a field's.
        return {self.text(name, Words.WORD): self._value(source[name], value, words) for name, value in dumped.items()}

    def _leaf(self, source: Any, dumped: str, words: Words) -> str:
        match source:
            case SecretText():
                return dumped
            case UntrustedText():
                return self.text(dumped, Words.STRANGER)
            case QuotedText():
                return self.text(dumped, Words.OURS)
            case _:
                return self.text(dumped, words)
