"""Test the parsing of lists of people that are typed or pasted into one field."""

import pytest

from agentphone_mcp.features.prompts.arguments import Person, parse_people

ADA, SAM = Person("Ada Byron", "+14155550142"), Person("Sam", "+14155550143")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Ada Byron, +14155550142\nSam, (415) 555-0143", id="lines"),
        pytest.param("Ada Byron, +1 415-555-0142; Sam,4155550143;", id="semicolons"),
        pytest.param("\r\n Ada Byron , +14155550142 \r\n\r\n;Sam, +14155550143\r\n", id="blank-lines"),
        pytest.param("Ada\u200b Byron, +14155550142\u2028Sam, +14155550143", id="unseen-characters"),
    ],
)
def test_people_are_parsed_in_every_common_spelling(text) -> None:
    assert parse_people(text) == (ADA, SAM)


def test_a_name_may_be_missing_or_have_commas_and_digits() -> None:
    assert parse_people("415 555 0142; Byron, Ada (room 12), +14155550143") == (
        Person("", "+14155550142"),
        Person("Byron, Ada (room 12)", "+14155550143"),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(" ;\n; ", "nobody", id="nobody"),
        pytest.param("Ada Byron", "is no phone number", id="no-number"),
        pytest.param("Ada, 911", "emergency", id="emergency"),
        pytest.param("+14155550142, Ada", "name, number", id="the-other-way-round"),
        pytest.param("+14155550142, +14155550143", "semicolons", id="numbers-with-commas"),
        pytest.param("Ada, +14155550142, Sam, +14155550143", "semicolons", id="people-with-commas"),
        pytest.param("Ada, +14155550142; Countess, 415 555 0142", "+14155550142 is in it twice", id="twice"),
        pytest.param(f"{'A' * 101}, +14155550142", "name, number", id="endless-name"),
        pytest.param(";".join(f"+1415555{n:04}" for n in range(51)), "51 people", id="too-many"),
    ],
)
def test_a_list_that_could_be_misread_is_refused(text, why) -> None:
    with pytest.raises(ValueError, match=why.replace("+", r"\+")):
        parse_people(text)
