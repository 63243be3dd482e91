"""Tests of `/v1/contacts`: what is sent, and every shape that is read."""

from typing import Any

import pytest

from agentphone_mcp.api.errors import Conflict
from tests.api.conftest import PAGE, Ask, Read, Sent, SentBy, sends

ADA = {
    "id": "con_1",
    "phoneNumber": "+14155559999",
    "name": "Ada Byron",
    "email": "ada@example.com",
    "notes": "Prefers mornings.",
    "createdAt": "2025-01-15T10:30:00.123Z",
    "updatedAt": "2025-01-15T11:30:00+01:00",
}


@pytest.mark.parametrize(
    ("ask", "documented"),
    [
        sends(lambda api: api.contacts.list(), "GET /v1/contacts", query=PAGE, id="list"),
        sends(
            lambda api: api.contacts.list(5, 10, search="Ada & Söhne"),
            "GET /v1/contacts",
            query={"limit": "5", "offset": "10", "search": "Ada & Söhne"},
            id="search",
        ),
        sends(lambda api: api.contacts.get("con_1"), "GET /v1/contacts/con_1", id="get"),
        sends(
            lambda api: api.contacts.create("Ada", "+14155559999"),
            "POST /v1/contacts",
            {"name": "Ada", "phoneNumber": "+14155559999"},
            id="create-with-little",
        ),
        sends(
            lambda api: api.contacts.create("Ada", "+14155559999", email="ada@example.com", notes="x"),
            "POST /v1/contacts",
            {"name": "Ada", "phoneNumber": "+14155559999", "email": "ada@example.com", "notes": "x"},
            id="create",
        ),
        sends(
            lambda api: api.contacts.update("con_1", phone_number="+14155550000", notes=""),
            "PATCH /v1/contacts/con_1",
            {"phoneNumber": "+14155550000", "notes": ""},
            id="update",
        ),
        sends(lambda api: api.contacts.delete("con_1"), "DELETE /v1/contacts/con_1", id="delete"),
    ],
)
async def test_each_method_sends_what_the_api_documents(sent_by: SentBy, ask: Ask, documented: Sent) -> None:
    assert await sent_by(ask) == documented


async def test_a_contact_is_read(read: Read) -> None:
    contact = await read(ADA, lambda api: api.contacts.create("Ada Byron", "+14155559999"), status=201)
    assert contact.model_dump() == {
        "id": "con_1",
        "name": "Ada Byron",
        "phone_number": "+14155559999",
        "email": "ada@example.com",
        "notes": "Prefers mornings.",
        "created_at": "2025-01-15T10:30:00Z",
        "updated_at": "2025-01-15T10:30:00Z",
    }


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"id": "con_1"}, id="an-id-alone"),
        pytest.param(dict.fromkeys(ADA) | {"id": "con_1"}, id="nulls"),
        pytest.param({"id": "con_1", "capabilities": {"imessage": True}}, id="unknown-fields"),
    ],
)
async def test_a_contact_with_gaps_is_read(read: Read, payload: Any) -> None:
    contact = await read(payload, lambda api: api.contacts.get("con_1"))
    assert (contact.id, contact.name, contact.created_at) == ("con_1", None, None)


@pytest.mark.parametrize(
    ("written", "payload"),
    [
        pytest.param("2025-01-15T10:30:00.999999Z", "2025-01-15T10:30:00Z", id="microseconds"),
        pytest.param("2025-01-15T02:30:00-08:00", "2025-01-15T10:30:00Z", id="another-zone"),
        pytest.param("2025-01-15T10:30:00", "2025-01-15T10:30:00Z", id="no-zone"),
        pytest.param("2025-01-15 10:30:00", "2025-01-15T10:30:00Z", id="space"),
        pytest.param("yesterday", "yesterday", id="words"),
        pytest.param("", "", id="empty"),
        pytest.param(1736937000, None, id="a-number"),
    ],
)
async def test_a_time_is_told_in_utc_or_as_it_came(read: Read, written: Any, payload: str | None) -> None:
    assert (await read(ADA | {"createdAt": written}, lambda api: api.contacts.get("con_1"))).created_at == payload


async def test_a_list_of_contacts_is_read(read: Read) -> None:
    page = await read({"data": [ADA], "hasMore": True, "total": 40}, lambda api: api.contacts.list())
    assert ([contact.name for contact in page.data], page.total, page.has_more) == (["Ada Byron"], 40, True)


async def test_a_second_contact_of_a_number_is_a_conflict(read: Read) -> None:
    with pytest.raises(Conflict) as refused:
        await read({"detail": "con_1 has it"}, lambda api: api.contacts.create("A", "+14155559999"), status=409)
    assert refused.value.detail == "con_1 has it"


@pytest.mark.parametrize(
    "payload",
    [pytest.param({"success": True, "id": "con_1"}, id="success"), pytest.param({"message": "gone"}, id="words")],
)
async def test_a_deleted_contact_is_read(read: Read, payload: Any) -> None:
    assert (await read(payload, lambda api: api.contacts.delete("con_1"))).success is True
