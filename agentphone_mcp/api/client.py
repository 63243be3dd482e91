"""The whole API: one attribute for each resource."""

import httpx

from agentphone_mcp.api.account import AccountApi
from agentphone_mcp.api.agents import AgentsApi
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.calls import CallsApi
from agentphone_mcp.api.contacts import ContactsApi
from agentphone_mcp.api.messages import MessagesApi
from agentphone_mcp.api.numbers import NumbersApi
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.api.retries import TRIES
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.api.webhooks import WebhooksApi


class ApiClient:
    """The AgentPhone API of one account, over connections that are kept and reused.

        async with ApiClient(base_url, key) as api:
            page = await api.agents.list()

    Every method raises an `agentphone_mcp.api.errors.ApiError` and nothing else. See `Transport` for the arguments.
    """

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None,
        *,
        sub_account: str | None = None,
        timeout: float = 30.0,
        inner: httpx.AsyncBaseTransport | None = None,
        secrets: Secrets | None = None,
        send_traceparent: bool = False,
        tries: int = TRIES,
    ) -> None:
        self.secrets = secrets or Secrets(key)
        """What must not be shown, of all that this client has read so far."""
        self._transport = Transport(
            base_url,
            key,
            sub_account=sub_account,
            timeout=timeout,
            inner=inner,
            secrets=self.secrets,
            send_traceparent=send_traceparent,
            tries=tries,
        )
        self.account = AccountApi(self._transport)
        self.agents = AgentsApi(self._transport)
        self.numbers = NumbersApi(self._transport)
        self.calls = CallsApi(self._transport)
        self.messages = MessagesApi(self._transport)
        self.webhooks = WebhooksApi(self._transport)
        self.contacts = ContactsApi(self._transport)

    async def __aenter__(self) -> "ApiClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()
