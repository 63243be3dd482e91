"""What a person fills in: texts by the protocol, each described and checked once."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from agentphone_mcp.features.completion import plain_id
from agentphone_mcp.features.tools.parameters import Id, WebUrl
from agentphone_mcp.policy.phone_numbers import to_e164
from agentphone_mcp.policy.untrusted import clean

_MOST_PEOPLE = 50
_LONGEST_NAME = 100
_DIGITS_OF_A_NUMBER = 7


@dataclass(frozen=True)
class Person:
    """Somebody to reach; the number is E.164."""

    name: str
    to_number: str


def _words(value: str) -> str:
    value = clean(value).strip()
    if not value:
        raise ValueError("it is empty")
    return value


def _choice(value: str) -> str:
    return value.strip().lower()


def _a_day(value: str) -> str:
    word = value.strip().lower()
    if word in ("today", "yesterday"):
        return word
    try:
        return date.fromisoformat(word).isoformat()
    except ValueError:
        raise ValueError("write it as 2026-11-19, or yesterday") from None


def parse_people(written: str) -> tuple[Person, ...]:
    """Read `Ada Byron, +14155550142; Sam, (415) 555-0143`; new lines part people too, and a name may be missing.

    Raises:
        ValueError: if somebody has no number that can be dialled, is there twice, or there are too many or none.
    """
    people = [_person(entry) for entry in clean(written).replace("\n", ";").split(";") if entry.strip()]
    if not people:
        raise ValueError("nobody is in it")
    if len(people) > _MOST_PEOPLE:
        raise ValueError(f"these are {len(people)} people, and {_MOST_PEOPLE} are the most at once")
    numbers = [person.to_number for person in people]
    if twice := next((number for number in numbers if numbers.count(number) > 1), None):
        raise ValueError(f"{twice} is in it twice")
    return tuple(people)


def _person(entry: str) -> Person:
    name, _, number = entry.rpartition(",")
    if sum(letter.isdigit() for letter in name) >= _DIGITS_OF_A_NUMBER or len(name) > _LONGEST_NAME:
        raise ValueError("write each person as: name, number; and part people by semicolons or new lines")
    return Person(name.strip(), to_e164(number))


Words = Annotated[str, Field(max_length=2_000), AfterValidator(_words)]
Name = Annotated[str, Field(max_length=_LONGEST_NAME), AfterValidator(_words)]

# Described from outside of `| None`: the protocol shows the description of the whole argument alone.
# A host that completes ids puts the name beside them.
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
    BeforeValidator(_choice),
    Field(description="hosted: the built-in AI talks (default); webhook: your server answers each turn"),
]
By = Annotated[Literal["call", "text"], BeforeValidator(_choice), Field(description="call or text (default)")]
Day = Annotated[str, AfterValidator(_a_day), Field(description="Such as 2026-11-19, today or yesterday (default)")]
People = Annotated[
    tuple[Person, ...],
    BeforeValidator(parse_people),
    Field(description="Name, number; one person a line, or parted by semicolons; 50 at most"),
]
MostCalls = Annotated[int, Field(ge=1, le=20, description="Stop after so many calls, 1 to 20 (default 10)")]
