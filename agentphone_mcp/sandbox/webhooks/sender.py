"""Send one signed request to a webhook, on loopback unless remote webhooks are allowed."""

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

from agentphone_mcp.sandbox.http.validation import is_loopback

_MOST_BYTES = 1 << 20


class UndeliverableError(Exception):
    """Report a request without a usable answer; `is_final` if a retry is pointless."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class WebhookSender:
    """Connect to this machine only, unless remote webhooks are allowed. Follow no redirects."""

    def __init__(self, *, allow_remote: bool = False) -> None:
        self._allow_remote = allow_remote
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def post(
        self, url: str, secret: str, message_id: str, event: dict[str, Any]
    ) -> AsyncGenerator[httpx.Response, None]:
        """POST the event, and give the answer while its body may still arrive.

        The signature has the real time, not the sandbox's, as receivers compare it with a real clock.

        Raises:
            UndeliverableError: if there is no connection or no usable answer.
        """
        # Written like JSON.stringify, for handlers that parse the body and sign it again.
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "AgentPhone-Webhook/1.0 (sandbox)",
            "X-Webhook-ID": message_id,
            **signature_headers(body, secret, int(time.time())),
        }
        try:
            answer = await self._send(httpx.URL(url), headers, body)
            try:
                yield answer
            finally:
                await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            raise UndeliverableError(f"{type(exc).__name__}: {exc}".rstrip(": ")) from exc

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.aclose()
            self._client = None

    async def _send(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> httpx.Response:
        if self._client is None:
            # A proxy of the environment would take loopback deliveries off the machine. A kept connection that its
            # server has just closed would look like a failed delivery.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            self._client = httpx.AsyncClient(timeout=None, trust_env=False, limits=limits)  # noqa: S113 - callers time
        addresses = await self._resolve(url)
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

    async def _resolve(self, url: httpx.URL) -> list[str]:
        """Resolve a name once and check it, so that the connection goes to a checked address."""
        if self._allow_remote and not is_loopback(str(url)):
            return [url.host]
        if not is_loopback(str(url)):
            raise UndeliverableError("the sandbox delivers to loopback only", is_final=True)
        if url.host != "localhost":
            return [url.host]
        loop = asyncio.get_running_loop()
        resolved = await loop.getaddrinfo(url.host, url.port or 0, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in resolved))
        if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
            raise UndeliverableError(f"the sandbox delivers to loopback only, and {url.host} is not", is_final=True)
        return addresses


def signature_headers(body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """Return the headers that prove who sent the body, and when (unix seconds)."""
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Webhook-Signature": f"sha256={signature}", "X-Webhook-Timestamp": str(timestamp)}


async def iter_lines(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the answer's body line by line as it arrives, up to 1 MiB."""
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


async def read_response(answer: httpx.Response) -> bytes:
    """Read the whole body of the answer."""
    return b"\n".join([line async for line in iter_lines(answer)])
