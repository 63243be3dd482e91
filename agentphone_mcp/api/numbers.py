"""Buy, list and release phone numbers: `/v1/numbers`."""

from collections.abc import AsyncIterator

from agentphone_mcp.api.models import (
    Acknowledgement,
    ApiModel,
    Identified,
    Page,
    UtcTime,
    get_or_find,
    paginate,
    request_body,
)
from agentphone_mcp.api.provenance import AccountText, IdText, NumberText, WordText
from agentphone_mcp.api.transport import Endpoints


class PhoneNumber(Identified):
    """Describes a phone number of the account in E.164; `outbound_sms` says whether 10DLC lets it send texts."""

    phone_number: NumberText
    country: WordText | None = None
    status: WordText | None = None
    type: WordText | None = None
    agent_id: IdText | None = None
    outbound_sms: WordText | None = None
    expires_at: UtcTime = None
    external_id: AccountText | None = None
    created_at: UtcTime = None


class AvailableNumber(ApiModel):
    """Describes a phone number that can be bought now; it is not reserved."""

    phone_number: NumberText
    city: AccountText | None = None
    state: AccountText | None = None
    area_code: AccountText | None = None
    rate_center: AccountText | None = None


class ReleasedNumber(Acknowledgement):
    """Confirms that a phone number went back to the carriers."""

    phone_number: NumberText | None = None
    status: WordText | None = None


class NumbersApi(Endpoints):
    """Calls `/v1/numbers` and the paths below it, except calls and messages."""

    async def list(self, limit: int = 20, offset: int = 0) -> Page[PhoneNumber]:
        """Return one page of the account's phone numbers."""
        return await self._transport.get("/v1/numbers", Page[PhoneNumber], {"limit": limit, "offset": offset})

    async def get(self, number_id: str) -> PhoneNumber:
        """Return a phone number, or raise `NotFound`."""
        request = self._transport.get("/v1/numbers/{number_id}", PhoneNumber, number_id=number_id)
        return await get_or_find(request, self.list, number_id)

    def all(self) -> AsyncIterator[PhoneNumber]:
        """Yield every phone number of the account, fetching page by page."""
        return paginate(self.list)

    async def available(self, **search: str | int | None) -> Page[AvailableNumber]:
        """Return numbers for sale; `search` takes area_code, city, state, zip, country and limit."""
        query = {"areaCode" if name == "area_code" else name: value for name, value in search.items()}
        return await self._transport.get("/v1/numbers/available", Page[AvailableNumber], query)

    async def buy(
        self,
        country: str,
        *,
        area_code: str | None = None,
        agent_id: str | None = None,
        expires_at: str | None = None,
        external_id: str | None = None,
    ) -> PhoneNumber:
        """Buy a number in US or CA, charged at once without refund; the API picks it from its inventory.

        It is released automatically at `expires_at` (ISO 8601). `external_id` is an id of the caller's own.
        """
        body = request_body(
            country=country, area_code=area_code, agent_id=agent_id, expires_at=expires_at, external_id=external_id
        )
        return await self._transport.post("/v1/numbers", PhoneNumber, body)

    async def release(self, number_id: str) -> ReleasedNumber:
        """Give a number back to the carriers; it cannot be reclaimed."""
        return await self._transport.delete("/v1/numbers/{number_id}", ReleasedNumber, number_id=number_id)
