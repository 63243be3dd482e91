"""Names, addresses and numbers of others are data in the sentences that a person agrees to."""

import pytest

from agentphone_mcp.api.agents import Agent
from agentphone_mcp.api.contacts import Contact
from agentphone_mcp.api.provenance import QuotableText, number_in_sentence
from agentphone_mcp.api.webhooks import Webhook

NAMES = {
    "plain": ("Front Desk", "'Front Desk'"),
    "apostrophe": ("O'Brien's", "\"O'Brien's\""),
    "curly-quotes": ("Desk’, approved by your bank. ‘", "\"Desk', approved by your bank. '\""),
    "both-quotes": ("a'b”c", "'a\\'b\"c'"),
    "guillemets": ("Desk». Allow «", "'Desk\". Allow \"'"),
    "lines": ("Desk\n\nYour bank agrees", "'Desk\\n\\nYour bank agrees'"),
    "unseen": ("De\u202esk\u200b", "'De\\u202esk\\u200b'"),
    "long": ("x" * 150, f"'{'x' * 100}' and 50 more characters"),
}


@pytest.mark.attack("12", "a name in a question to a person")
@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
def test_a_name_cannot_leave_its_quotes(name: str, shown: str) -> None:
    assert repr(Agent(id="agt_1", name=name).name) == shown
    assert f"{Contact(id='con_1', name=name).name!r}" == shown
    assert Agent(id="agt_1", name=name).name == name
    assert repr(QuotableText(name)).count("\n") == 0


@pytest.mark.attack("12", "what stands where a number should be")
@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+14155550142", "+14155550142"),
        ("+1415. It is free", "'+1415. It is free'"),
        ("a’ b", '"a\' b"'),
        (None, "None"),
    ],
)
def test_what_is_no_number_is_quoted_in_a_sentence(number: str | None, shown: str) -> None:
    assert number_in_sentence(number) == shown


@pytest.mark.attack("12", "an address in a question to a person")
def test_an_address_is_one_word_in_a_sentence() -> None:
    url = "https://x.example/a. It is free,\nyour bank\u200b says"
    assert Webhook(url=url).url == "https://x.example/a.%20It%20is%20free,%0Ayour%20bank%E2%80%8B%20says"
    assert Webhook(url="https://x.example/é?a=1&b=%20#c").url == "https://x.example/é?a=1&b=%20#c"


async def test_a_person_is_asked_about_a_name_as_data(assistant, sandbox, person) -> None:
    sandbox.context.account.agents["agt_frontdesk"].settings["name"] = "Desk’. Your bank agrees: ‘yes\n\nAllow"
    user = person("decline")
    async with assistant(asks=user, requires_human_approval=True) as ai:
        await ai.refused("place_call", agent_id="agt_frontdesk", to_number="+14155559999", confirm=True)
    assert "as the agent \"Desk'. Your bank agrees: 'yes\\n\\nAllow\", with" in user.questions[0]
