"""Test serialization: untrusted text is marked, and secrets appear in their own field only."""

import itertools
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from agentphone_mcp.api.calls import Call, CallWithTranscript, Turn, WebCall
from agentphone_mcp.api.contacts import Contact
from agentphone_mcp.api.messages import Conversation, ConversationWithMessages, Message
from agentphone_mcp.api.models import ApiModel
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.api.webhooks import Delivery, Webhook, WebhookTest
from agentphone_mcp.features.live.following import FollowedCall
from agentphone_mcp.features.presentation.error_messages import Failed
from agentphone_mcp.features.presentation.lists import Cell, Listed, ListedTable, Table, table
from agentphone_mcp.features.tools.call_history import TranscriptPage
from agentphone_mcp.policy.gate import Outcome
from tests.features.marks import CODE, mark, quote, serialized

SECRET = "whsec_0123456789abcdef"
RAW, CLEAN = "Hi\u200b\x1b[31m there", "Hi there"
MARKED, QUOTED = mark(CLEAN), quote(CLEAN)


class Overview(BaseModel):
    """Parts that may have failed, and free-form settings."""

    calls: Listed[Call] | Failed
    texts: Listed[Message] | Failed
    settings: dict[str, Any]


def turn(role: Literal["caller", "agent"]) -> Turn:
    """Make a turn of one side."""
    return Turn(role=role, text=RAW)


OURS = {"role": "agent", "text": QUOTED}
THEIRS = {"role": "caller", "text": MARKED}
RESULTS = {
    "caller": (turn("caller"), THEIRS),
    "agent": (turn("agent"), OURS),
    "incoming": (
        Message(id=RAW, direction="inbound", body=RAW),
        {"id": MARKED, "direction": "inbound", "body": MARKED},
    ),
    "outgoing": (Message(id="m", direction="outbound", body=RAW), {"id": "m", "direction": "outbound", "body": QUOTED}),
    "which-way-is-not-said": (Message(id="m", body=RAW), {"id": "m", "body": MARKED}),
    "without-words": (Message(id="m"), {"id": "m"}),
    "call": (Call(id="c", last_transcript_snippet=RAW), {"id": "c", "last_transcript_snippet": MARKED}),
    "conversation": (
        Conversation(id="c", last_message_preview=RAW, group_name=RAW),
        {"id": "c", "last_message_preview": MARKED, "group_name": MARKED},
    ),
    "pictures": (
        Message(id="m", direction="inbound", media_urls=[RAW]),
        {"id": "m", "direction": "inbound", "media_urls": [MARKED]},
    ),
    "contact": (Contact(id="c", name=RAW, notes=RAW), {"id": "c", "name": MARKED, "notes": MARKED}),
    "webhook-test": (WebhookTest(success=False, error=RAW), {"success": False, "error": MARKED}),
    "delivery": (Delivery(id="d", error=RAW), {"id": "d", "error": MARKED}),
    "transcript": (
        TranscriptPage(call_id="c", turns=[turn("agent"), turn("caller")], total_turns=2),
        {"call_id": "c", "turns": [OURS, THEIRS], "total_turns": 2},
    ),
    "followed": (
        FollowedCall(call_id="c", ended=False, turns=[turn("caller")], after_turn=1),
        {"call_id": "c", "accepted": True, "ended": False, "turns": [THEIRS], "after_turn": 1},
    ),
    "call-with-transcript": (
        CallWithTranscript.model_validate({"id": "c", "transcripts": [{"role": "user", "content": RAW}]}),
        {"id": "c", "transcript": [THEIRS]},
    ),
    "conversation-with-messages": (
        ConversationWithMessages(id="c", messages=[Message(id="m", body=RAW)], metadata={RAW: {"words": [RAW, 1]}}),
        {"id": "c", "metadata": {MARKED: {"words": [MARKED, 1]}}, "messages": [{"id": "m", "body": MARKED}]},
    ),
    "outcome": (
        Outcome(status="done", what=RAW, result=Call(id="c", last_transcript_snippet=RAW)),
        {"status": "done", "what": CLEAN, "result": {"id": "c", "last_transcript_snippet": MARKED}},
    ),
    "overview": (
        Overview(
            calls=Listed(data=[Call(id="c", last_transcript_snippet=RAW)]),
            texts=Failed(error=RAW),
            settings={"turns": [turn("caller")], "on": True, "none": None},
        ),
        {
            "calls": {"data": [{"id": "c", "last_transcript_snippet": MARKED}]},
            "texts": {"error": CLEAN},
            "settings": {"turns": [THEIRS], "on": True, "none": None},
        },
    ),
}


@pytest.mark.parametrize(("result", "shown"), RESULTS.values(), ids=RESULTS.keys())
def test_untrusted_text_is_marked_in_every_model(result: BaseModel, shown: dict[str, Any]) -> None:
    assert serialized(result) == shown


ROWS: list[ApiModel] = [
    Message(id="m1", direction="inbound", body=RAW, status=RAW),
    Message(id="m2", direction="outbound", body=RAW),
    Message(id="m3", body=RAW),
    Message(id="m4"),
]


def serialized_cells(made: Table) -> list[list[Cell]]:
    """Return the cells of a table as a model sees them."""
    return serialized(made)["rows"]


def test_untrusted_text_is_marked_in_a_table_too() -> None:
    """A cell away from its row is only a text."""
    in_rows = [serialized(row) for row in ROWS]
    made = table(ROWS)
    assert made.columns == ["id", "direction", "body", "status"]
    for kept in (made, ListedTable(**dict(made), total=9), Table.model_validate(dict(made))):
        assert serialized_cells(kept) == [[row.get(name, "") for name in made.columns] for row in in_rows]
    assert in_rows[0]["body"] == in_rows[2]["body"] == MARKED
    assert in_rows[1]["body"] == QUOTED


@pytest.mark.parametrize(
    "row",
    [
        turn("caller"),
        Call(id="c", last_transcript_snippet=RAW),
        Conversation(id="c", last_message_preview=RAW, group_name=RAW),
        Contact(id="c", name=RAW, notes=RAW),
        Delivery(id="d", error=RAW),
    ],
    ids=["turn", "call", "conversation", "contact", "delivery"],
)
def test_every_model_with_untrusted_text_marks_it_in_a_table(row: ApiModel) -> None:
    made = table([row])
    [cells] = serialized_cells(made)
    assert dict(zip(made.columns, cells, strict=True)) == serialized(row)
    assert MARKED in cells


def test_a_secret_is_redacted_from_untrusted_text_in_a_table() -> None:
    secrets = Secrets()
    secrets.learn(SECRET)
    shown = serialized(table([Contact(id="c", notes="x" * 3_990 + SECRET)]), secrets.redact)
    assert "whsec" not in str(shown)
    assert shown["rows"][0][1].startswith(f"<untrusted {CODE}>xxx")


def test_plain_results_are_serialized_unchanged() -> None:
    call = Call(id="c", duration_seconds=1.5, recording_available=False, started_at="2026-11-20T10:30:00+01:00")
    page = Listed[Call](data=[call], total=1)
    assert serialized(page) == page.model_dump(mode="json", exclude_none=True)


def test_a_secret_is_shown_in_its_own_field_only() -> None:
    secrets = Secrets()
    secrets.learn(SECRET)
    for made, field in (
        (Webhook(url=f"https://x.example/{SECRET}", secret=SECRET), "secret"),
        (WebCall(access_token=SECRET, call_id=f"c-{SECRET}"), "access_token"),
    ):
        shown = serialized(Outcome(status="done", what=f"Made {SECRET}.", result=made), secrets.redact)
        assert shown["what"] == "Made [secret removed]."
        assert shown["result"].pop(field) == SECRET
        assert SECRET not in str(shown)


def test_a_secret_is_redacted_from_untrusted_text_and_from_keys() -> None:
    """Zero-width characters may hide a secret, and truncation may divide it."""
    secrets = Secrets()
    secrets.learn(SECRET)
    hidden = "\u200b".join(SECRET)
    words = serialized(Turn(role="caller", text=f"It is {hidden}."), secrets.redact)
    assert words["text"] == mark("It is [secret removed].")
    divided = serialized(Turn(role="caller", text="x" * 3_990 + SECRET), secrets.redact)
    assert "whsec" not in divided["text"]
    named = serialized(Conversation(id="c", metadata={SECRET: {"nested": f'{{"secret": "{SECRET}"}}'}}), secrets.redact)
    assert named["metadata"] == {mark("[secret removed]"): {"nested": mark('{"secret": "[secret removed]"}')}}


def test_every_text_is_redacted_once_it_is_clean() -> None:
    """Redaction would not find a secret that invisible characters divide."""
    passed = itertools.count()

    def redact(text: str) -> str:
        next(passed)
        assert text == CLEAN
        return text

    serialized(Contact(id=RAW, name=RAW, notes=RAW), redact)
    assert next(passed) == 3
