"""Declare the arguments of prompts, with their descriptions and validation; the protocol sends all as text."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from agentphone_mcp.features.completion import plain_id
from agentphone_mcp.features.tools.parameters import Id, WebUrl
from agentphone_mcp.policy.phone_numbers import to_e164
from agentphone_mcp.policy.untrusted import clean

_MAX_PEOPLE = 50
_MAX_NAME_LENGTH = 100
_MIN_PHONE_DIGITS = 7


@dataclass(frozen=True)
class Person:
    """One person to call or text; the number is E.164."""

    name: str
    to_number: str


def _not_empty(value: str) -> str:
    value = clean(value).strip()
    if not value:
        raise ValueError("it is empty")
    return value


def _lower(value: str) -> str:
    return value.strip().lower()


def _day(value: str) -> str:
    word = value.strip().lower()
    if word in ("today", "yesterday"):
        return word
    try:
        return date.fromisoformat(word).isoformat()
    except ValueError:
        raise ValueError("write it as 2026-11-19, or yesterday") from None


def parse_people(text: str) -> tuple[Person, ...]:
    """Parse `Ada Byron, +14155550142; Sam, (415) 555-0143`; new lines separate people too, and names are optional.

    Raises:
        ValueError: if a number is missing, cannot be dialled or occurs twice, or there are no or too many people.
    """
    people = [_person(entry) for entry in clean(text).replace("\n", ";").split(";") if entry.strip()]
    if not people:
        raise ValueError("nobody is in it")
    if len(people) > _MAX_PEOPLE:
        raise ValueError(f"these are {len(people)} people, and {_MAX_PEOPLE} are the most at once")
    numbers = [person.to_number for person in people]
    if twice := next((number for number in numbers if numbers.count(number) > 1), None):
        raise ValueError(f"{twice} is in it twice")
    return tuple(people)


def _person(entry: str) -> Person:
    name, _, number = entry.rpartition(",")
    if sum(letter.isdigit() for letter in name) >= _MIN_PHONE_DIGITS or len(name) > _MAX_NAME_LENGTH:
        raise ValueError("write each person as: name, number; and part people by semicolons or new lines")
    return Person(name.strip(), to_e164(number))


FreeText = Annotated[str, Field(max_length=2_000), AfterValidator(_not_empty)]
Name = Annotated[str, Field(max_length=_MAX_NAME_LENGTH), AfterValidator(_not_empty)]

# `Field` stands outside of `| None`, as the protocol shows only the description of the whole argument.
# A host that completes ids sends them with their labels.
_PickedId = Annotated[Id | None, BeforeValidator(lambda value: plain_id(value) if isinstance(value, str) else value)]
AgentId = Annotated[_PickedId, Field(description="The agent that calls; left out, one is chosen with you")]
SilentAgentId = Annotated[_PickedId, Field(description="The agent that is silent; else it is the project's webhook")]
ToNumber = Annotated[str, AfterValidator(to_e164), Field(description="Whom to call: E.164, else +1 is assumed")]
TransferNumber = Annotated[
    Annotated[str, AfterValidator(to_e164)] | None, Field(description="A human's number, for callers who ask for one")
]
AreaCode = Annotated[
    Annotated[str, Field(pattern=r"^\d{3}$")] | None, Field(description="Of the number to buy, three digits")
]
WebhookUrl = Annotated[WebUrl | None, Field(description="Your server's https address, if it answers by webhook")]
AnsweredBy = Annotated[
    Literal["hosted", "webhook"],
    BeforeValidator(_lower),
    Field(description="hosted: the built-in AI talks (default); webhook: your server answers each turn"),
]
By = Annotated[Literal["call", "text"], BeforeValidator(_lower), Field(description="call or text (default)")]
Day = Annotated[str, AfterValidator(_day), Field(description="Such as 2026-11-19, today or yesterday (default)")]
People = Annotated[
    tuple[Person, ...],
    BeforeValidator(parse_people),
    Field(description="Name, number; one person a line, or parted by semicolons; 50 at most"),
]
MostCalls = Annotated[int, Field(ge=1, le=20, description="Stop after so many calls, 1 to 20 (default 10)")]
