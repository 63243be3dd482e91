"""Send httpx's requests over httpcore2's connection pools: one for reads, one for writes.

httpcore2 is by httpx's author and comes with the MCP SDK. A read over it takes about a third less than over httpx's own
transport, which stands on the older httpcore.
"""

import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, cast

import httpcore2
import httpx

_READ_KEEPALIVE = 240.0
"""Seconds; shorter than the idle time after which routers on the way drop a connection silently. A read over a
connection that breaks is sent again."""
_WRITE_KEEPALIVE = 2.0
"""Seconds. Servers often close idle connections after five, and a write that meets the closing may or may not arrive,
so writes reuse only connections used a moment ago."""


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends the requests of one account over connections that are kept and reused.

    Up to `max_idle` unused ones are kept open for reads, and as many for writes; `proxy` is a URL.
    """

    def __init__(self, proxy: str | None = None, *, max_idle: int = 32) -> None:
        pool = partial(
            httpcore2.AsyncConnectionPool,
            ssl_context=_ssl_context(),
            proxy=_proxy(httpx.Proxy(proxy)) if proxy else None,
            max_connections=None,
            max_keepalive_connections=max_idle,
        )
        self._reads = pool(keepalive_expiry=_READ_KEEPALIVE)
        self._writes = pool(keepalive_expiry=_WRITE_KEEPALIVE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request exactly as it is, or raise the `httpx.TransportError` that happened."""
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError("a request of a synchronous client")
        core_request = httpcore2.Request(
            request.method,
            _url(request.url),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        pool = self._reads if request.method == "GET" else self._writes
        with _httpx_errors():
            response = await pool.handle_async_request(core_request)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseStream(response),
            extensions=cast("dict[str, Any]", response.extensions),  # pyright: ignore[reportUnknownMemberType] - untyped
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._reads.aclose()
        await self._writes.aclose()


class _ResponseStream(httpx.AsyncByteStream):
    """Yields the body of a response as it arrives."""

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with _httpx_errors():
            await self._response.aclose()


@contextmanager
def _httpx_errors() -> Generator[None]:
    """Raise httpx's error of the same name for one of httpcore2's: `Transport` decides by it what was sent."""
    try:
        yield
    except Exception as exc:
        for kind in type(exc).__mro__:
            httpx_error = getattr(httpx, kind.__name__, None) if kind.__module__.startswith("httpcore2") else None
            if isinstance(httpx_error, type) and issubclass(httpx_error, httpx.TransportError):
                raise httpx_error(str(exc)) from exc
        raise


@cache
def _ssl_context() -> ssl.SSLContext:
    """Load the trusted certificates once for all accounts: that takes some 70 ms."""
    return httpx.create_ssl_context()


def _url(url: httpx.URL) -> httpcore2.URL:
    """Copy a URL by its parts, so that it is not parsed again after the allowlist admitted it."""
    return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _proxy(proxy: httpx.Proxy) -> httpcore2.Proxy:
    return httpcore2.Proxy(
        _url(proxy.url), auth=proxy.raw_auth, headers=proxy.headers.raw, ssl_context=proxy.ssl_context
    )
