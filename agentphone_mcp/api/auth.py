"""Put the key on each request just before it is sent, and refuse every URL that the allowlist does not admit.

This holds for whatever a caller, a redirect, a base URL or a client option asks for. Source: API.md, "Base".
"""

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import httpx

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.tracing import TRACE_CONTEXT, TRACE_HEADERS, uninstrumented

REDIRECT = "agentphone.redirect"
"""The response extension that holds the `Location` header which `AuthTransport` removed."""


class AuthTransport(httpx.AsyncBaseTransport):
    """Puts the key on admitted requests and refuses to send any other; without a key it sends no credentials.

    The header is set on a copy, so that the request in an exception, a log line or a redirect never holds the key.
    Trace ids and baggage of the user's own systems are removed; `traceparent` is sent to a sandbox, or where asked for.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        key: ApiKey | None,
        allowlist: Allowlist,
        *,
        send_traceparent: bool = False,
    ) -> None:
        self._inner = inner
        self._key = key
        self._allowlist = allowlist
        self._sends_traceparent = send_traceparent or allowlist.is_local

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send an admitted request.

        Raises:
            httpx.UnsupportedProtocol: if the allowlist does not admit the URL; nothing was sent.
        """
        if not self._allowlist.admits(request.url):
            raise httpx.UnsupportedProtocol("the key's allowlist does not admit this address", request=request)
        headers = httpx.Headers(request.headers)
        headers.pop("Authorization", None)
        if self._key is not None:
            headers["Authorization"] = self._key.header()
        # A shared front end routes by the Host header, so it is taken from the admitted URL.
        headers["Host"] = request.url.netloc.decode("ascii")
        for name in TRACE_HEADERS:
            headers.pop(name, None)
        if self._sends_traceparent:
            TRACE_CONTEXT.inject(headers)
        # Only the timeouts of the extensions are kept: another could change the host that TLS checks.
        timeouts = {"timeout": request.extensions["timeout"]} if "timeout" in request.extensions else {}
        authorized = httpx.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=timeouts
        )
        try:
            with uninstrumented():
                response = await self._inner.handle_async_request(authorized)
        except httpx.RequestError as exc:
            exc.request = request
            raise
        response.request = request
        response.headers.pop("Set-Cookie", None)
        if 300 <= response.status_code < 400:
            # Hidden from httpx, which would follow it by its own rules, or fail on a malformed one.
            response.extensions[REDIRECT] = response.headers.pop("Location", None)
        return response

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._inner.aclose()


def proxy_for(allowlist: Allowlist, proxies: Mapping[str, str] | None = None) -> str | None:
    """Return the HTTP proxy that the system has set for the API, if any; never one for loopback.

    The proxy cannot read the key: through it (CONNECT) the connection is TLS to the vendor. SOCKS proxies are ignored:
    they need an extra package.
    """
    if allowlist.is_local or proxy_bypass(allowlist.host):
        return None
    proxy = (getproxies() if proxies is None else proxies).get("https", "")
    if proxy and "://" not in proxy:
        return f"http://{proxy}"
    return proxy if proxy.startswith(("http://", "https://")) else None
