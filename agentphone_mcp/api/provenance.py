"""Declare in a field's type whose words it holds, so that whoever shows it knows what to mark.

A text that is declared as a number, an id or another machine's word is shown as it is only if it is one; what stands in
its place is treated as a stranger's. A text that is not declared counts as a stranger's too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel

from agentphone_mcp.api.parsing import is_list, is_object

_MAX_URL, _MAX_WORD, _MAX_QUOTED = 2_000, 32, 100
# What a person reads as quotation marks.
_QUOTES = dict.fromkeys(map(ord, "“”„‟″‶〝〞〟＂«»"), '"') | dict.fromkeys(map(ord, "‘’‚‛′‵＇`´‹›ʹʻʼʽˈ"), "'")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|web")
_WORD = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+){0,2}")


class Words(Enum):
    """Say whose words a text is."""

    SERVER = "a sentence of this server, in which the words of others are marked already"
    ACCOUNT = "written by the account's owner or by AgentPhone itself"
    STRANGER = "written or spoken by a caller, a texter or another server"
    OURS = "written or spoken on the account's side, where it may repeat a stranger's words"
    ID = "an id, or the account's own number"
    NUMBER = "a phone number in E.164, a short code, or `web`"
    TIME = "a time or date in ISO 8601"
    URL = "an address on the web"
    WORD = "a word of a machine, such as a status"


@dataclass(frozen=True)
class WordsBy:
    """Say whose words a text is where that depends on the other fields of its model."""

    whose: Callable[[Any], Words]


class QuotableText(str):
    """A text whose `repr` stands in sentences as data: in quotes that it cannot close, on one line, and bounded."""

    __slots__ = ()

    def __repr__(self) -> str:
        text = self[:_MAX_QUOTED].translate(_QUOTES)
        more = f" and {len(self) - _MAX_QUOTED} more characters" if len(self) > _MAX_QUOTED else ""
        return f"{text!r}{more}"


IdText = Annotated[str, Words.ID]
NumberText = Annotated[str, Words.NUMBER]
TimeText = Annotated[str, Words.TIME]
UrlText = Annotated[str, Words.URL]
WordText = Annotated[str, Words.WORD]
AccountText = Annotated[str, AfterValidator(QuotableText), Words.ACCOUNT]
ServerText = Annotated[str, Words.SERVER]
StrangersText = Annotated[str, AfterValidator(QuotableText), Words.STRANGER]


def is_id(value: str) -> bool:
    """Return whether a text can be an id, so that it cannot lead to another endpoint (httpx resolves `..`)."""
    return _ID.fullmatch(value) is not None and ".." not in value


def shown_as(words: Words, text: str) -> Words:
    """Return how a text is shown: as declared, or as a stranger's if it is not what its place is for."""
    match words:
        case Words.NUMBER:
            fits = _NUMBER.fullmatch(text) is not None
        case Words.ID:
            fits = is_id(text) or _NUMBER.fullmatch(text) is not None
        case Words.WORD:
            fits = len(text) <= _MAX_WORD and _WORD.fullmatch(text) is not None
        case Words.TIME:
            fits = _is_time(text)
        case Words.URL:
            fits = _is_url(text)
        case _:
            return words
    return words if fits else Words.STRANGER


def number_in_sentence(number: str | None) -> str:
    """Write what should be a phone number for a sentence: as it is if it is one, else in quotes."""
    is_number = number is not None and shown_as(Words.NUMBER, number) is Words.NUMBER
    return str(number) if is_number or number is None else repr(QuotableText(number))


def whose_words(model: BaseModel, name: str) -> Words:
    """Return whose words a field of a model holds; a model may say so of all its extra fields together."""
    declared = declared_words(type(model)).get(name) or getattr(model, "words_of_extra_fields", Words.STRANGER)
    return declared.whose(model) if isinstance(declared, WordsBy) else declared


def is_foreign(model: BaseModel, name: str) -> bool:
    """Return whether a field holds words that were or may be a stranger's, now that its value is known."""
    words, value = whose_words(model, name), getattr(model, name)
    shown = shown_as(words, value) if isinstance(value, str) else words
    return shown in (Words.STRANGER, Words.OURS)


def foreign_fields(model: BaseModel) -> set[str]:
    """Return the names of the fields with words that were or may be a stranger's; nested models are not looked at."""
    return {name for name in type(model).model_fields if _has_text(getattr(model, name)) and is_foreign(model, name)}


@lru_cache(maxsize=512)
def declared_words(model: type[BaseModel]) -> Mapping[str, Words | WordsBy]:
    """Return what the fields of a model are declared to hold."""
    found = {name: find_words(field.annotation, field.metadata) for name, field in model.model_fields.items()}
    return {name: words for name, words in found.items() if words is not None}


def find_words(annotation: Any, metadata: Any = ()) -> Words | WordsBy | None:
    """Return the declaration in a type, however deep: `list[Annotated[str, Words.ID]] | None`."""
    for part in metadata:
        if isinstance(part, Words | WordsBy):
            return part
    if get_origin(annotation) is Literal:
        return Words.ACCOUNT
    if get_origin(annotation) is Annotated:
        base, *parts = get_args(annotation)
        return find_words(base, parts)
    found = (find_words(part) for part in get_args(annotation))
    return next((words for words in found if words is not None), None)


def _has_text(value: Any) -> bool:
    return isinstance(value, str) or ((is_list(value) or is_object(value)) and len(value) > 0)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text if len(text) != len("2026-01") else f"{text}-01")
    except ValueError:
        return False
    return True


def _is_url(text: str) -> bool:
    if len(text) > _MAX_URL or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.netloc)
