"""Test that results are short in a model's context, and still complete."""

import json
from typing import Any

import pytest

from agentphone_mcp.api.contacts import Contact
from agentphone_mcp.features.presentation.lists import without
from agentphone_mcp.policy.untrusted import without_marks
from tests.features.marks import mark

MOST_BYTES, MOST_WITHOUT_MARKS = 5_115, 4_570
"""The vendor's own server takes 6,428 for the same account and as many voices, with fewer of the ids.

A mark takes 37 bytes, or 31 for words of our own side; fourteen of each are the code that no text can guess.
"""
READS: dict[str, dict[str, Any]] = {
    "account_overview": {},
    "list_agents": {},
    "get_agent": {"agent_id": "agt_frontdesk"},
    "list_voices": {"limit": 5},
    "list_numbers": {},
    "list_calls": {},
    "get_call": {"call_id": "call_past01"},
    "list_messages": {"number_id": "num_frontdesk"},
    "list_conversations": {},
    "get_conversation": {"conversation_id": "conv_past01"},
    "get_usage": {},
    "get_webhook": {},
}


def every_value(result: Any) -> list[Any]:
    """List every value in a result that is no list or object."""
    parts = result.values() if isinstance(result, dict) else result if isinstance(result, list) else None
    return [result] if parts is None else [value for part in parts for value in every_value(part)]


async def test_twelve_reads_of_a_small_account_are_short(assistant) -> None:
    """The text is counted, which repeats the structured content."""
    async with assistant() as ai:
        results = {tool: await ai.client.call_tool(tool, arguments) for tool, arguments in READS.items()}
    sizes = {tool: len(result.content[0].text.encode()) for tool, result in results.items()}
    assert sum(sizes.values()) <= MOST_BYTES, sizes
    plain = [without_marks(result.content[0].text) for result in results.values()]
    assert sum(len(text.encode()) for text in plain) <= MOST_WITHOUT_MARKS
    assert not any(result.is_error for result in results.values())


async def test_results_are_compact_and_without_nulls_or_zeros_after_the_point(assistant) -> None:
    async with assistant() as ai:
        for tool, arguments in READS.items():
            text = (await ai.client.call_tool(tool, arguments)).content[0].text
            result = json.loads(text)
            assert text == json.dumps(result, ensure_ascii=False, separators=(",", ":"))
            assert not [value for value in every_value(result) if value is None or str(value).endswith(".0")]


async def test_every_id_of_the_account_can_be_read(assistant, sandbox) -> None:
    account = sandbox.context.account
    owned = (account.agents, account.numbers, account.calls, account.conversations)
    ids = {item_id for items in owned for item_id in items} | {text.id for text in account.messages}
    async with assistant() as ai:
        result = [await ai.ask(tool, **arguments) for tool, arguments in READS.items()]
    assert ids <= {*every_value(result)}


async def test_a_table_has_no_empty_column_and_no_null(ask) -> None:
    voices = [{"voiceId": "a", "name": "Ann", "gender": "female"}, {"voiceId": "b", "name": "Bo", "gender": None}]
    result = await ask({"data": voices}, "list_voices")
    assert result == {
        "columns": ["id", "name", "gender"],
        "rows": [["a", "Ann", "female"], ["b", "Bo", ""]],
    }


@pytest.mark.parametrize("tool", ["list_calls", "list_numbers"])
async def test_a_full_page_of_facts_takes_little_more_than_half_in_columns(ask, rows_of, tool) -> None:
    ends = {"fromNumber": "+14155550142", "toNumber": "+14155550100", "direction": "inbound", "status": "completed"}
    timed = {"startedAt": "2026-01-15T10:00:00Z", "durationSeconds": 42, "createdAt": "2026-01-15T10:00:00Z"}
    row = {"phoneNumber": "+14155550100", "agentId": "agt_frontdesk", "outboundSms": "enabled"} | ends | timed
    result = await ask({"data": [row | {"id": f"x_{number:02}"} for number in range(20)]}, tool, limit=20)
    assert len(result["rows"]) == 20
    assert len(json.dumps(result)) < 0.6 * len(json.dumps(rows_of(result)))


@pytest.mark.parametrize(
    ("answer", "arguments", "total"),
    [
        pytest.param({"total": 2}, {}, None, id="all-are-here"),
        pytest.param({"total": 2, "hasMore": False}, {}, None, id="and-it-is-said"),
        pytest.param({"total": 9}, {"limit": 2}, 9, id="there-are-more"),
        pytest.param({"total": 9, "hasMore": False}, {}, 9, id="more-that-nobody-can-page-to"),
        pytest.param({"total": 2, "hasMore": True}, {}, 2, id="more-than-are-counted"),
        pytest.param({"total": 4}, {"offset": 2}, 4, id="the-end"),
        pytest.param({"hasMore": True}, {"limit": 2}, None, id="nobody-counted"),
    ],
)
@pytest.mark.parametrize(
    "tool", ["list_agents", "list_numbers", "list_calls", "list_conversations", "list_contacts", "list_messages"]
)
async def test_a_total_is_given_only_if_rows_are_missing(ask, tool, answer, arguments, total) -> None:
    rows = [{"id": f"x_{number}", "phoneNumber": "+14155550100"} for number in range(2)]
    given = {"number_id": "num_1"} if tool == "list_messages" else {}
    if tool == "list_messages" and "offset" in arguments:
        arguments = {"before": "2026-01-01T00:00:00Z"}
    result = await ask({"data": rows, **answer}, tool, **arguments, **given)
    assert (len(result["rows" if "rows" in result else "data"]), result.get("total")) == (2, total)


async def test_voices_and_available_numbers_have_a_total_only_if_rows_are_missing(ask, assistant, answering) -> None:
    voices = answering({"data": [{"voiceId": name} for name in "abc"]})
    async with assistant(voices) as ai:
        result = [await ai.ask("list_voices", **page) for page in ({}, {"limit": 2}, {"offset": 2}, {"offset": 3})]
    offers = [{"phoneNumber": "+12125550123"}]
    single = await ask({"data": offers, "total": 1}, "find_available_numbers")
    one_of_many = await ask({"data": offers, "total": 50, "hasMore": True}, "find_available_numbers")
    assert [page.get("total") for page in result] == [None, 3, 3, 3]
    assert ("total" in single, one_of_many["total"]) == (False, 50)


async def test_a_call_in_a_list_says_how_long_it_was_and_not_when_it_ended(ask, rows_of) -> None:
    timed = {"startedAt": "2026-01-15T10:00:00Z", "endedAt": "2026-01-15T10:00:42Z", "recordingAvailable": False}
    rows = [timed | {"id": "call_1", "durationSeconds": 42}, timed | {"id": "call_2"}]
    result = rows_of(await ask({"data": rows}, "list_calls"))
    begun = {"started_at": timed["startedAt"]}
    assert result == [
        {"id": "call_1", **begun, "duration_seconds": 42},
        {"id": "call_2", **begun, "ended_at": timed["endedAt"]},
    ]


async def test_a_call_alone_says_when_it_ended_only_if_its_length_does_not(ask) -> None:
    timed = {"id": "call_1", "startedAt": "2026-01-15T10:00:00Z", "endedAt": "2026-01-15T10:00:42Z"}
    begun = {"id": "call_1", "started_at": timed["startedAt"], "recording_available": False}
    for more, shown in (
        ({"durationSeconds": 42}, begun | {"duration_seconds": 42}),
        ({}, begun | {"ended_at": timed["endedAt"]}),
    ):
        assert await ask(timed | more | {"recordingAvailable": False}, "get_call", call_id="call_1") == shown


async def test_a_call_in_a_list_names_the_number_it_went_over_once(ask, rows_of) -> None:
    ends = {"fromNumber": "+14155550142", "toNumber": "+14155550100", "phoneNumberId": "num_1"}
    rows = [
        ends | {"id": "c1", "direction": "inbound"},
        ends | {"id": "c2", "direction": "outbound"},
        {"id": "c3", "direction": "inbound", "fromNumber": "+14155550142", "phoneNumberId": "num_1"},
        ends | {"id": "c4", "direction": "web", "fromNumber": "web"},
        ends | {"id": "c5"},
    ]
    result = rows_of(await ask({"data": rows}, "list_calls"))
    single = await ask(rows[0], "get_call", call_id="c1")
    assert [row.get("phone_number_id") for row in result] == [None, None, "num_1", "num_1", "num_1"]
    assert single["phone_number_id"] == "num_1"


async def test_a_number_in_a_list_says_what_is_unusual_of_it(ask, rows_of) -> None:
    number = {"phoneNumber": "+14155550100", "type": "sms", "outboundSms": "enabled"}
    rows = [
        number | {"id": "n1", "status": "active", "country": "US"},
        number | {"id": "n2", "status": "suspended", "country": "CA"},
    ]
    result = rows_of(await ask({"data": rows}, "list_numbers"))
    shown = {"phone_number": "+14155550100", "outbound_sms": "enabled"}
    assert result == [{"id": "n1", **shown}, {"id": "n2", "country": "CA", "status": "suspended", **shown}]


async def test_a_thread_in_a_list_names_its_agent_only_if_no_number_does(ask) -> None:
    rows = [{"id": "t1", "phoneNumber": "+14155550100", "agentId": "agt_1"}, {"id": "t2", "agentId": "agt_1"}]
    result = await ask({"data": rows}, "list_conversations")
    single = await ask(rows[0], "get_conversation", conversation_id="t1")
    assert result["data"] == [{"id": "t1", "phone_number": "+14155550100"}, {"id": "t2", "agent_id": "agt_1"}]
    assert single["agent_id"] == "agt_1"


@pytest.mark.parametrize(
    ("count", "shown"), [(2, None), (3, 3), (None, None)], ids=["all-are-here", "one-is-not", "nobody-counted"]
)
async def test_a_thread_counts_its_texts_only_if_some_are_missing(ask, count, shown) -> None:
    thread = {"id": "t1", "messageCount": count, "messages": [{"id": "m1"}, {"id": "m2"}]}
    result = await ask(thread, "get_conversation", conversation_id="t1")
    assert (len(result["messages"]), result.get("message_count")) == (2, shown)


async def test_a_contact_says_when_it_was_changed_if_it_ever_was(ask) -> None:
    added, changed = "2026-01-15T10:00:00Z", "2026-02-01T10:00:00Z"
    rows = [
        {"id": "c1", "createdAt": added, "updatedAt": added},
        {"id": "c2", "createdAt": added, "updatedAt": changed},
    ]
    result = await ask({"data": rows}, "list_contacts")
    assert result["data"] == [
        {"id": "c1", "created_at": added},
        {"id": "c2", "created_at": added, "updated_at": changed},
    ]


async def test_a_text_in_a_list_leaves_out_the_number_whose_list_it_is(ask) -> None:
    ours, others = {"to": "+14155550100"}, {"from": "+14155550142"}
    rows = [
        {"id": "m1", "direction": "inbound", **others, **ours, "body": "Hi", "channel": "sms", "status": "received"},
        {"id": "m2", "direction": "inbound", **others, **ours, "body": "Yo", "channel": "imessage", "status": "failed"},
        {"id": "m3", "direction": "outbound", "from": "+14155550100", "to": "+14155550142", "status": "sent"},
        {"id": "m4", **others, **ours},
    ]
    result = await ask({"data": rows}, "list_messages", number_id="num_1")
    assert result["data"] == [
        {"id": "m1", "direction": "inbound", "from_number": "+14155550142", "body": mark("Hi")},
        {"id": "m2", "direction": "inbound", "from_number": "+14155550142", "body": mark("Yo")}
        | {"channel": "imessage", "status": "failed"},
        {"id": "m3", "direction": "outbound", "to_number": "+14155550142", "status": "sent"},
        {"id": "m4", "from_number": "+14155550142", "to_number": "+14155550100"},
    ]


async def test_a_group_says_who_wrote_each_text(ask) -> None:
    said = {"id": "m1", "direction": "inbound", "toNumber": "+14155550100", "body": "Hi"}
    texts = [said | {"fromNumber": "+14155550142"}, said | {"fromNumber": "+14155550143"}]
    thread = {"id": "conv_1", "phoneNumber": "+14155550100", "participant": "+14155550142", "messages": texts}
    result = await ask(thread, "get_conversation", conversation_id="conv_1")
    assert [text.get("from_number") for text in result["messages"]] == [None, "+14155550143"]


async def test_a_thread_without_directions_says_who_wrote_each_text(ask) -> None:
    ours, others = "+14155550100", "+14155550142"
    texts = [{"id": "m1", "from": others, "to": ours, "body": "Hi"}, {"id": "m2", "from": ours, "to": others}]
    thread = {"id": "conv_1", "phoneNumber": ours, "participant": others, "messages": texts}
    result = await ask(thread, "get_conversation", conversation_id="conv_1")
    assert [text["from_number"] for text in result["messages"]] == [others, ours]


async def test_remaining_numbers_are_given_only_if_nothing_else_says_it(ask) -> None:
    usage = {"plan": {"name": "pro", "numberLimit": 5}, "numbers": {"limit": 5, "remaining": 2}}
    rest = await ask(usage, "get_usage")
    known = await ask(usage | {"numbers": {"used": 3, "limit": 5, "remaining": 2}}, "get_usage")
    unlimited = await ask({"numbers": {"used": 3, "remaining": 2}}, "get_usage")
    assert rest == {"plan": "pro", "limits": {"numbers": 5}, "numbers_remaining": 2}
    assert known == {"plan": "pro", "limits": {"numbers": 5}, "numbers_used": 3}
    assert unlimited == {"numbers_used": 3, "numbers_remaining": 2}


def test_leaving_out_an_unknown_field_is_an_error() -> None:
    """A renamed field would otherwise be shown again without notice."""
    contact = Contact(id="con_1", name="Ada", email="ada@example.com")
    assert without(contact, "email", "notes") == Contact(id="con_1", name="Ada")
    with pytest.raises(AttributeError, match="Contact has no field 'e_mail' to leave out"):
        without(contact, "email", "e_mail")
