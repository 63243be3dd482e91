"""Carries one signed request to a webhook, and to nobody else."""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from agentphone_mcp.sandbox.http.addresses import is_loopback

_MOST_BYTES = 1 << 20


class UndeliverableError(Exception):
    """The request reached nobody, or was not answered; `is_final` when there is no use in trying again."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class WebhookSender:
    """Opens connections to this machine only, unless remote webhooks are allowed. Redirects are not followed."""

    def __init__(self, *, allow_remote: bool = False) -> None:
        self._allow_remote = allow_remote
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def posting(
        self, url: str, secret: str, message_id: str, event: dict[str, Any]
    ) -> AsyncGenerator[httpx.Response, None]:
        """POST the event and hand over the answer while its body may still arrive.

        The signature and its timestamp are of the real now, whatever the sandbox's clock says: whoever checks that
        they are at most five minutes old looks at a real clock. Raises UndeliverableError.
        """
        # Written as JSON.stringify does, for handlers that sign again what they have parsed.
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "AgentPhone-Webhook/1.0 (sandbox)",
            "X-Webhook-ID": message_id,
            **signed(body, secret, int(time.time())),
        }
        try:
            answer = await self._send(httpx.URL(url), headers, body)
            try:
                yield answer
            finally:
                await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise UndeliverableError(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    async def aclose(self) -> None:
        """Let the connections go."""
        if self._client:
            await self._client.aclose()
            self._client = None

    async def _send(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> httpx.Response:
        if self._client is None:
            # Proxies of the environment are ignored, else a loopback delivery could leave the machine. Connections
            # are not kept: one that its server has just given up would look like a failed delivery.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            self._client = httpx.AsyncClient(timeout=None, trust_env=False, limits=limits)  # noqa: S113 - callers time
        addresses = await self._addresses(url)
        headers = {**headers, "Host": url.netloc.decode("ascii")}
        for address in addresses:
            request = self._client.build_request(
                "POST",
                url.copy_with(host=address),
                headers=headers,
                content=body,
                extensions={"sni_hostname": url.host},
            )
            try:
                return await self._client.send(request, stream=True, follow_redirects=False)
            except httpx.ConnectError:
                if address == addresses[-1]:
                    raise
        raise UndeliverableError(f"{url.host} has no address")

    async def _addresses(self, url: httpx.URL) -> list[str]:
        """Where to connect to. A name is looked up once and the connection goes to what was checked."""
        if self._allow_remote and not is_loopback(str(url)):
            return [url.host]
        if not is_loopback(str(url)):
            raise UndeliverableError("the sandbox delivers to loopback only", is_final=True)
        if url.host != "localhost":
            return [url.host]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(url.host, url.port or 0, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
            raise UndeliverableError(f"the sandbox delivers to loopback only, and {url.host} is not", is_final=True)
        return addresses


def signed(body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """The headers by which a webhook knows who sent the body, and when (unix seconds)."""
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Webhook-Signature": f"sha256={signature}", "X-Webhook-Timestamp": str(timestamp)}


async def lines_of(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The answer's body line by line, as it arrives; a webhook that does not stop is cut off."""
    rest = b""
    size = 0
    async for chunk in answer.aiter_bytes():
        size += len(chunk)
        if size > _MOST_BYTES:
            raise UndeliverableError("the answer is too long")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    yield rest


async def whole(answer: httpx.Response) -> bytes:
    """The answer's body, when it is all there."""
    return b"\n".join([line async for line in lines_of(answer)])
