"""Offer the whole API as one client with an attribute for each resource."""

from agentphone_mcp.api.account import AccountApi
from agentphone_mcp.api.agents import AgentsApi
from agentphone_mcp.api.calls import CallsApi
from agentphone_mcp.api.contacts import ContactsApi
from agentphone_mcp.api.messages import MessagesApi
from agentphone_mcp.api.numbers import NumbersApi
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.api.webhooks import WebhooksApi


class ApiClient:
    """Calls the AgentPhone API of one account over connections that are kept and reused.

        async with ApiClient(Transport(base_url, key)) as api:
            page = await api.agents.list()

    Every method raises an `agentphone_mcp.api.errors.ApiError` and nothing else. The transport is closed with it.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.secrets = transport.secrets
        """The key and all secrets that this client has read so far."""
        self.account = AccountApi(transport)
        self.agents = AgentsApi(transport)
        self.numbers = NumbersApi(transport)
        self.calls = CallsApi(transport)
        self.messages = MessagesApi(transport)
        self.webhooks = WebhooksApi(transport)
        self.contacts = ContactsApi(transport)

    async def __aenter__(self) -> "ApiClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()
