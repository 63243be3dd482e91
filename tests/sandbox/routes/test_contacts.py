"""Check the address book."""

from typing import Any

import httpx
import pytest


async def test_a_contact_can_be_made_changed_and_deleted(api: httpx.AsyncClient) -> None:
    made = (await api.post("/v1/contacts", json={"phoneNumber": "+14155550177", "name": "Bob", "notes": "Tall"})).json()
    path = f"/v1/contacts/{made['id']}"
    changed = (await api.patch(path, json={"email": "bob@example.com", "notes": None})).json()
    assert (changed["name"], changed["email"], changed["notes"]) == ("Bob", "bob@example.com", None)
    assert changed["updatedAt"] > made["updatedAt"]
    assert changed["createdAt"] == made["createdAt"]
    assert (await api.get(path)).json() == changed
    assert (await api.delete(path)).json() == {"success": True, "id": made["id"]}
    assert (await api.get(path)).status_code == 404


async def test_a_phone_number_has_one_contact(api: httpx.AsyncClient) -> None:
    duplicate = await api.post("/v1/contacts", json={"phoneNumber": "+14155550142", "name": "Ada again"})
    assert (duplicate.status_code, duplicate.json()["error"]["code"]) == (409, "DUPLICATE_CONTACT")
    other = (await api.post("/v1/contacts", json={"phoneNumber": "+14155550177", "name": "Bob"})).json()
    changed = await api.patch(f"/v1/contacts/{other['id']}", json={"phoneNumber": "+14155550142"})
    assert changed.status_code == 409
    same = await api.patch("/v1/contacts/con_ada", json={"phoneNumber": "+14155550142", "name": "Ada"})
    assert same.json()["name"] == "Ada"


@pytest.mark.parametrize(
    ("search", "total"),
    [
        pytest.param("ada", 1, id="name"),
        pytest.param("0142", 1, id="number"),
        pytest.param("EXAMPLE.com", 1, id="email"),
        pytest.param("zoe", 0, id="nobody"),
        pytest.param("", 1, id="empty"),
    ],
)
async def test_contacts_can_be_searched(api: httpx.AsyncClient, search: str, total: int) -> None:
    assert (await api.get("/v1/contacts", params={"search": search})).json()["total"] == total


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        pytest.param({}, ["phoneNumber", "name"], id="nothing"),
        pytest.param({"phoneNumber": "0142", "name": "Bob"}, ["phoneNumber"], id="not-e164"),
        pytest.param({"phoneNumber": "+14155550177", "name": ""}, ["name"], id="no-name"),
        pytest.param({"phoneNumber": "+14155550177", "name": "\ud800"}, [], id="not-writable"),
    ],
)
async def test_a_bad_contact_is_refused_with_every_problem(
    api: httpx.AsyncClient, body: dict[str, Any], fields: list[str]
) -> None:
    answer = await api.post("/v1/contacts", json=body) if fields else await _post_raw(api)
    assert answer.status_code == 422
    assert [problem["loc"][1] for problem in answer.json()["detail"] if len(problem["loc"]) > 1] == fields


async def _post_raw(api: httpx.AsyncClient) -> httpx.Response:
    content = b'{"phoneNumber": "+14155550177", "name": "\\ud800"}'
    return await api.post("/v1/contacts", content=content)
