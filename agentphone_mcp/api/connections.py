"""The connections to the API, kept and reused: httpx's own pool looks at every idle one before each request.

That is a fifth of what a busy server does, so this one is of httpcore2, by httpx's author, which the MCP SDK brings
along. Requests, answers and errors stay httpx's.
"""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import httpcore2
import httpx

_MOST = 2_000
"""Each followed call keeps one busy for minutes; httpx's own limit of 100 would stop everything else."""
_KEPT_IDLE = 32
_KEPT_SECONDS = 5.0
_KEPT_FOR_WRITES = 2.0
"""Many servers close after five idle seconds. A read that meets the closing door is sent again; of a write nobody would
know whether it happened, so it is sent only where the door was open a moment ago."""


class PooledConnections(httpx.AsyncBaseTransport):
    """Sends requests over connections of one account's own.

    Args:
        proxy: the URL of an HTTP proxy to go through.
    """

    def __init__(self, proxy: str | None = None) -> None:
        self._for_reads = _pool(proxy, _KEPT_SECONDS)
        self._for_writes = _pool(proxy, _KEPT_FOR_WRITES)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request exactly as it is.

        Raises:
            httpx.TransportError: of the kind that happened.
        """
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError("a request of a synchronous client")
        url, headers = request.url, request.headers.raw
        sent = httpcore2.Request(
            request.method, _url(url), headers=headers, content=request.stream, extensions=request.extensions
        )
        pool = self._for_reads if request.method == "GET" else self._for_writes
        with _as_httpx():
            response = await pool.handle_async_request(sent)
        if not isinstance(response.stream, AsyncIterable):
            raise TypeError("an answer of a synchronous pool")
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Received(response.stream),
            extensions=cast("dict[str, Any]", response.extensions),  # pyright: ignore[reportUnknownMemberType] - untyped
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._for_reads.aclose()
        await self._for_writes.aclose()


class _Received(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close:
            await close()


@contextmanager
def _as_httpx() -> Generator[None]:
    """Raise what is wrong as httpx would: its errors bear the same names, and callers tell by them what was sent."""
    try:
        yield
    except Exception as wrong:
        for kind in type(wrong).__mro__:
            known = getattr(httpx, kind.__name__, None) if kind.__module__.startswith("httpcore2") else None
            if isinstance(known, type) and issubclass(known, httpx.TransportError):
                raise known(str(wrong)) from wrong
        raise


@cache
def _certificates() -> ssl.SSLContext:
    """Whom TLS trusts; reading that takes some 70 ms, and is the same for every account."""
    return httpx.create_ssl_context()


def _url(url: httpx.URL) -> httpcore2.URL:
    """The parts that were admitted, and not what another parser makes of them."""
    return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _pool(proxy: str | None, kept_seconds: float) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        ssl_context=_certificates(),
        proxy=_proxy(httpx.Proxy(proxy)) if proxy else None,
        max_connections=_MOST,
        max_keepalive_connections=_KEPT_IDLE,
        keepalive_expiry=kept_seconds,
    )


def _proxy(proxy: httpx.Proxy) -> httpcore2.Proxy:
    return httpcore2.Proxy(
        _url(proxy.url), auth=proxy.raw_auth, headers=proxy.headers.raw, ssl_context=proxy.ssl_context
    )
