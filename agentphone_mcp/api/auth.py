"""The last thing that a request passes on its way out, where the key is put on it, or it is not sent at all.

Whatever a caller, a redirect, a base URL or a client option asks for: what breaks the rule of
`agentphone_mcp.api.allowlist` goes nowhere. Source: API.md, "Base".
"""

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import httpx

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.tracing import TRACE_HEADERS, put_traceparent, uninstrumented

REDIRECT = "agentphone.redirect"
"""Where a response's extensions hold the Location that `AuthTransport` took from it."""


class AuthTransport(httpx.AsyncBaseTransport):
    """Puts the key on admitted requests at the very last moment, and refuses to send any other.

    The header is set on a copy, so that the request in an exception, a log line or a redirect never holds the key.
    What tells of the user's own systems, trace ids and baggage, is taken off here for the same reason.

    Args:
        inner: what really sends.
        key: put on each request; with None, which is for signing up, no credentials go along at all.
        allowlist: where requests may go.
        send_traceparent: tell the vendor, and not only a sandbox, which trace a request belongs to.
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
        self._tells_traceparent = send_traceparent or allowlist.is_local

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
        # A front end that many sites share goes by the Host header, so it is the admitted URL's and no caller's.
        headers["Host"] = request.url.netloc.decode("ascii")
        for name in TRACE_HEADERS:
            headers.pop(name, None)
        if self._tells_traceparent:
            put_traceparent(headers)
        # Of the extensions only the time-outs: another could name the host that TLS is to check.
        timeouts = {"timeout": request.extensions["timeout"]} if "timeout" in request.extensions else {}
        keyed = httpx.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=timeouts)
        try:
            with uninstrumented():
                response = await self._inner.handle_async_request(keyed)
        except httpx.RequestError as failure:
            failure.request = request
            raise
        response.request = request
        response.headers.pop("Set-Cookie", None)
        if 300 <= response.status_code < 400:
            # Hidden from httpx, which would follow it by rules of its own, or stumble over a broken one.
            response.extensions[REDIRECT] = response.headers.pop("Location", None)
        return response

    async def aclose(self) -> None:
        """Close the connections below."""
        await self._inner.aclose()


def proxy_for(allowlist: Allowlist, proxies: Mapping[str, str] | None = None) -> str | None:
    """Say which HTTP proxy the system names for the API, if any; never one for loopback.

    Behind a proxy the connection is still TLS from here to the vendor (CONNECT), so the key stays closed to it.
    SOCKS proxies are left alone: httpx needs an extra package for them.
    """
    if allowlist.is_local or proxy_bypass(allowlist.host):
        return None
    proxy = (getproxies() if proxies is None else proxies).get("https", "")
    if proxy and "://" not in proxy:
        return f"http://{proxy}"
    return proxy if proxy.startswith(("http://", "https://")) else None
