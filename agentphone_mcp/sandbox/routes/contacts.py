"""Manage the address book."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data.models import Contact
from agentphone_mcp.sandbox.http.validation import Field, e164, paging, read_body, read_query, text
from agentphone_mcp.sandbox.responses import Json, RefusalError, ok, page, stamp

_CONTACT_FIELDS = {
    "phoneNumber": Field(e164, required=True),
    "name": Field(text(1, 200), required=True),
    "email": Field(text(most=320)),
    "notes": Field(text()),
}
_CHANGES = _CONTACT_FIELDS | {"phoneNumber": Field(e164, nullable=False), "name": Field(text(1, 200), nullable=False)}


def _contact_json(contact: Contact) -> Json:
    return {
        "id": contact.id,
        "phoneNumber": contact.phone_number,
        "name": contact.name,
        "email": contact.email,
        "notes": contact.notes,
        "createdAt": stamp(contact.created_at),
        "updatedAt": stamp(contact.updated_at),
    }


def _refuse_duplicate(context: SandboxContext, phone_number: str, but: Contact | None = None) -> None:
    for contact in context.account.contacts.values():
        if contact.phone_number == phone_number and contact is not but:
            taken = f"A contact with {phone_number} exists already: '{contact.id}'."
            raise RefusalError(409, taken, "DUPLICATE_CONTACT")


async def list_contacts(request: Request) -> Response:
    """GET /v1/contacts, filtered by a search in name, number and email."""
    query = read_query(request, {**paging(50), "search": Field(text())})
    search = (query["search"] or "").lower()
    contacts = [
        contact
        for contact in context_of(request).account.contacts.values()
        if any(search in (part or "").lower() for part in (contact.name, contact.phone_number, contact.email))
    ]
    return ok(page(contacts, query, _contact_json))


async def create_contact(request: Request) -> Response:
    """POST /v1/contacts: one for each phone number."""
    context = context_of(request)
    body = await read_body(request, _CONTACT_FIELDS)
    _refuse_duplicate(context, body["phoneNumber"])
    now = context.clock.now()
    contact = Contact(
        id=context.account.ids.new("con"),
        phone_number=body["phoneNumber"],
        name=body["name"],
        email=body.get("email"),
        notes=body.get("notes"),
        created_at=now,
        updated_at=now,
    )
    context.account.contacts[contact.id] = contact
    return ok(_contact_json(contact))


async def get_contact(request: Request) -> Response:
    """GET /v1/contacts/{id}."""
    return ok(_contact_json(context_of(request).contact(request.path_params["contact_id"])))


async def update_contact(request: Request) -> Response:
    """PATCH /v1/contacts/{id}: only the given fields change."""
    context = context_of(request)
    contact = context.contact(request.path_params["contact_id"])
    given = await read_body(request, _CHANGES)
    if "phoneNumber" in given:
        _refuse_duplicate(context, given["phoneNumber"], but=contact)
    contact.phone_number = given.get("phoneNumber", contact.phone_number)
    contact.name = given.get("name", contact.name)
    contact.email = given.get("email", contact.email)
    contact.notes = given.get("notes", contact.notes)
    contact.updated_at = context.clock.now()
    return ok(_contact_json(contact))


async def delete_contact(request: Request) -> Response:
    """DELETE /v1/contacts/{id}."""
    context = context_of(request)
    contact = context.contact(request.path_params["contact_id"])
    del context.account.contacts[contact.id]
    return ok({"success": True, "id": contact.id})


routes = [
    Route("/v1/contacts", list_contacts, methods=["GET"]),
    Route("/v1/contacts", create_contact, methods=["POST"]),
    Route("/v1/contacts/{contact_id}", get_contact, methods=["GET"]),
    Route("/v1/contacts/{contact_id}", update_contact, methods=["PATCH"]),
    Route("/v1/contacts/{contact_id}", delete_contact, methods=["DELETE"]),
]
