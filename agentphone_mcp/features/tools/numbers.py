"""Buy, list and release phone numbers."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agentphone_mcp.api.models import Page
from agentphone_mcp.api.numbers import PhoneNumber, ReleasedNumber
from agentphone_mcp.features.context import AccountGate, Api, Prices
from agentphone_mcp.features.presentation.lists import (
    Listed,
    ListedTable,
    in_columns,
    listed,
    shortened,
    total_of_part,
    without,
)
from agentphone_mcp.features.presentation.quoting import Quote, in_short_and_whole, other_arguments
from agentphone_mcp.features.tools.approval import destroying, spending
from agentphone_mcp.features.tools.declaration import destroys, reads, spends
from agentphone_mcp.features.tools.parameters import AgentId, Confirm, ConfirmText, NumberId, Offset, PageSize, Repeat
from agentphone_mcp.features.tools.rerouting import agent_name
from agentphone_mcp.policy.actions import Action, Outcome
from agentphone_mcp.policy.phone_numbers import normalize_number
from agentphone_mcp.policy.pricing import Cost

AreaCode = Annotated[str, Field(pattern="^[0-9]{3}$", coerce_numbers_to_str=True)]
Country = Literal["US", "CA"]


def _in_future(value: str) -> str:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("write it as ISO 8601, for example 2027-01-31T12:00:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at <= datetime.now(UTC):
        raise ValueError("it is in the past")
    return at.astimezone(UTC).isoformat()


ReleaseTime = Annotated[str, AfterValidator(_in_future), Field(description="ISO 8601; released by itself then")]


async def list_numbers(api: Api, limit: PageSize = 20, offset: Offset = 0) -> ListedTable:
    """List the account's numbers: ids, whose they are, whether they may send texts (10DLC)."""
    page = await api.numbers.list(limit, offset)
    nothing = "No phone number yet: find_available_numbers, then buy_number."
    return in_columns(listed(number_rows(page), limit, offset, if_empty=nothing))


async def find_available_numbers(
    api: Api,
    area_code: AreaCode | None = None,
    city: str | None = None,
    state: Annotated[str | None, Field(description="Two letters")] = None,
    zip: str | None = None,  # noqa: A002 - the API's own name
    country: Country = "US",
    limit: PageSize = 10,
) -> ListedTable:
    """Search numbers on offer. buy_number takes an area code and gets any number of it."""
    page = await api.numbers.available(
        area_code=area_code, city=city, state=state, zip=zip, country=country, limit=limit
    )
    nothing = "None is on offer there: try another area code or a wider search."
    is_all = page.has_more is False or page.total == len(page.data) or len(page.data) < limit
    more = None if is_all else "More are on offer: raise limit or narrow the search."
    rows = [without(number, "rate_center") for number in page.data]
    total = total_of_part(page.total, len(rows), is_part=not is_all)
    return in_columns(Listed(data=rows, total=total, next_step=more if rows else nothing))


async def describe_purchase(
    api: Api,
    prices: Prices,
    country: str,
    area_code: str | None,
    agent_id: str | None,
    expires_at: str | None,
    external_id: str | None,
) -> Action:
    """Describe the purchase of a number."""
    agent = await api.agents.get(agent_id) if agent_id else None
    where = f"{country} phone number" + (f" with area code {area_code}" if area_code else "")
    whose = f" for the agent {agent.name!r}" if agent else ""
    until = f" It is released by itself, for good, at {expires_at}." if expires_at else ""

    def text(quote: Quote) -> str:
        others = other_arguments(quote, external_id=external_id)
        return f"Buy a {where}{whose}: {prices.number_price_text()}.{until}{others}"

    summary, whole = in_short_and_whole(text, api.secrets.redact)
    return Action(
        summary,
        whole=whole,
        verify_with="list_numbers",
        next_step="It takes calls at once; US numbers send texts only after 10DLC registration."
        + ("" if agent else " Give it to an agent with attach_number."),
        cost=Cost.of(prices.number_per_30_days),
        match_on={"country": country, "area_code": area_code, "agent_id": agent_id},
    )


async def buy_number(
    action: Annotated[Action, spending("buy_number", describe_purchase)],
    api: Api,
    gate: AccountGate,
    area_code: AreaCode | None = None,
    country: Country = "US",
    agent_id: AgentId | None = None,
    expires_at: ReleaseTime | None = None,
    external_id: str | None = None,
    confirm: Confirm = None,
    repeat: Repeat = False,
) -> Outcome[PhoneNumber]:
    """Buy a number, best for an agent_id; area_code must be of that country."""
    return await gate.execute(
        action,
        confirm,
        lambda: api.numbers.buy(
            country, area_code=area_code, agent_id=agent_id, expires_at=expires_at, external_id=external_id
        ),
        repeat=repeat,
    )


async def describe_release(number_id: str, api: Api) -> Action:
    """Describe the release of a number."""
    number = await api.numbers.get(number_id)
    whose = f", the number of {await agent_name(api, number.agent_id)}" if number.agent_id else ""
    return Action(
        f"Release {number.phone_number}{whose}. It goes back to the carriers and cannot be reclaimed.",
        verify_with="list_numbers",
        confirmation=normalize_number(number.phone_number),
        match_on={"number_id": number_id},
    )


async def release_number(
    number_id: NumberId,
    action: Annotated[Action, destroying("release_number", describe_release)],
    api: Api,
    gate: AccountGate,
    confirm: ConfirmText = None,
) -> Outcome[ReleasedNumber]:
    """Give a number back for good, and stop paying for it."""
    return await gate.execute(action, confirm, lambda: api.numbers.release(number_id))


def number_rows(page: Page[PhoneNumber], *left_out: str) -> Page[PhoneNumber]:
    """Leave out of a list the usual status and country, `active` and `US`, and the fields in `left_out`."""

    def row(number: PhoneNumber) -> PhoneNumber:
        usual = [name for name, value in (("status", "active"), ("country", "US")) if getattr(number, name) == value]
        return without(number, "type", *usual, *left_out)

    return shortened(page, row)


TOOLS = [
    reads(list_numbers),
    reads(find_available_numbers),
    spends(buy_number, open_world=False),
    destroys(release_number),
]
