"""Manage the account's contacts: `/v1/contacts`."""

from agentphone_mcp.api.models import Acknowledgement, Identified, Page, UtcTime, get_or_find, request_body
from agentphone_mcp.api.provenance import NumberText, StrangersText
from agentphone_mcp.api.transport import Endpoints


class Contact(Identified):
    """Describes a person or company with its number in E.164; their words are copied into it from calls and texts."""

    name: StrangersText | None = None
    phone_number: NumberText | None = None
    email: StrangersText | None = None
    notes: StrangersText | None = None
    created_at: UtcTime = None
    updated_at: UtcTime = None


class ContactsApi(Endpoints):
    """Calls `/v1/contacts`."""

    async def list(self, limit: int = 20, offset: int = 0, *, search: str | None = None) -> Page[Contact]:
        """Return one page of contacts, or of those that match the search."""
        query = {"limit": limit, "offset": offset, "search": search}
        return await self._transport.get("/v1/contacts", Page[Contact], query)

    async def get(self, contact_id: str) -> Contact:
        """Return a contact, or raise `NotFound`."""
        request = self._transport.get("/v1/contacts/{contact_id}", Contact, contact_id=contact_id)
        return await get_or_find(request, self.list, contact_id)

    async def create(
        self, name: str, phone_number: str, *, email: str | None = None, notes: str | None = None
    ) -> Contact:
        """Add a contact, or raise `Conflict` if the number has one already."""
        body = request_body(name=name, phone_number=phone_number, email=email, notes=notes)
        return await self._transport.post("/v1/contacts", Contact, body)

    async def update(
        self,
        contact_id: str,
        *,
        name: str | None = None,
        phone_number: str | None = None,
        email: str | None = None,
        notes: str | None = None,
    ) -> Contact:
        """Change the given fields of a contact and leave the others."""
        body = request_body(name=name, phone_number=phone_number, email=email, notes=notes)
        return await self._transport.patch("/v1/contacts/{contact_id}", Contact, body, contact_id=contact_id)

    async def delete(self, contact_id: str) -> Acknowledgement:
        """Remove a contact for good."""
        return await self._transport.delete("/v1/contacts/{contact_id}", Acknowledgement, contact_id=contact_id)
