"""Manage the account's address book."""

from typing import Annotated

from agentphone_mcp.api.contacts import Contact
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.api.provenance import Words, number_in_sentence, shown_as
from agentphone_mcp.features.context import AccountGate, Api
from agentphone_mcp.features.presentation.lists import Listed, listed, shortened, without
from agentphone_mcp.features.tools.approval import destroying
from agentphone_mcp.features.tools.declaration import creates, destroys, reads
from agentphone_mcp.features.tools.parameters import ConfirmText, ContactId, Offset, PageSize, Phone, Text
from agentphone_mcp.policy.actions import Action, Outcome
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.phone_numbers import normalize_number
from agentphone_mcp.policy.untrusted import clean


async def list_contacts(
    api: Api, search: str | None = None, limit: PageSize = 20, offset: Offset = 0
) -> Listed[Contact]:
    """Find people and their numbers in the address book."""
    page = await api.contacts.list(limit, offset, search=search)
    return listed(shortened(page, _row), limit, offset, if_empty="No such contact: save_contact adds one.")


async def save_contact(
    api: Api,
    name: Text | None = None,
    phone_number: Phone | None = None,
    email: str | None = None,
    notes: str | None = None,
    contact_id: ContactId | None = None,
) -> Contact:
    """Add a contact (name and phone_number), or change one by contact_id."""
    if contact_id is not None:
        if (name, phone_number, email, notes) == (None, None, None, None):
            raise Refused("Nothing was changed: give at least one field besides contact_id.")
        return await api.contacts.update(contact_id, name=name, phone_number=phone_number, email=email, notes=notes)
    if name is None or phone_number is None:
        raise Refused("Nothing was saved: a new contact needs name and phone_number; to change one, give contact_id.")
    return await api.contacts.create(name, phone_number, email=email, notes=notes)


async def describe_contact_deletion(contact_id: str, api: Api) -> Action:
    """Describe the deletion of a contact."""
    contact = await api.contacts.get(contact_id)
    written = contact.phone_number
    number = normalize_number(clean(written or ""))
    return Action(
        f"Delete the contact {contact.name!r}, {number_in_sentence(written) if written else contact.id}. "
        "It cannot be undone.",
        verify_with="list_contacts",
        # What others wrote, of any length, is nothing to repeat.
        confirmation=number if shown_as(Words.NUMBER, number) is Words.NUMBER else contact.id,
        match_on={"contact_id": contact_id},
    )


async def delete_contact(
    contact_id: ContactId,
    action: Annotated[Action, destroying("delete_contact", describe_contact_deletion)],
    api: Api,
    gate: AccountGate,
    confirm: ConfirmText = None,
) -> Outcome[Acknowledgement]:
    """Delete a contact for good."""
    return await gate.execute(action, confirm, lambda: api.contacts.delete(contact_id))


def _row(contact: Contact) -> Contact:
    """Leave the time of the last change out of a list if the contact was never changed."""
    return without(contact, "updated_at") if contact.updated_at == contact.created_at else contact


TOOLS = [reads(list_contacts), creates(save_contact), destroys(delete_contact)]
