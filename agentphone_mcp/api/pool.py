"""The connections to the API, kept over idle minutes and reused.

Each is one of httpcore2's, by httpx's author, which the MCP SDK brings along; requests, answers and errors stay
httpx's. Its pool would be a fifth of what a read costs: before each request and after it, it looks at every connection
there is. An account talks to one host, so that a list of what is idle does.
"""

import ssl
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import cache, partial
from time import monotonic
from typing import Any, NamedTuple, cast

import anyio
import httpcore2
import httpx

_KEPT_IDLE = 32
_KEPT_SECONDS = 240.0
"""Less than the idle time after which networks on the way forget a connection without a word. One that the server
closed is seen to be, and one that breaks under a read lets it be sent again."""
_KEPT_FOR_WRITES = 2.0
"""Many servers close after five idle seconds. Of a write that meets the closing door nobody would know whether it
happened, so it is sent only where the door was open a moment ago."""


class _Idle(NamedTuple):
    """A connection that nobody uses, and since when."""

    connection: httpcore2.AsyncConnectionInterface
    since: float


class PooledConnections(httpx.AsyncBaseTransport):
    """Sends requests over connections of one account's own.

    Args:
        proxy: the URL of an HTTP proxy to go through.
    """

    def __init__(self, proxy: str | None = None) -> None:
        # Used only to open connections; the pool itself keeps none.
        self._maker = httpcore2.AsyncConnectionPool(
            ssl_context=_certificates(),
            proxy=_proxy(httpx.Proxy(proxy)) if proxy else None,
            keepalive_expiry=_KEPT_SECONDS,
        )
        self._idle: deque[_Idle] = deque()
        """Whoever was used last stands last."""
        self._is_closed = False

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
        with _as_httpx():
            connection = await self._connection(sent.url.origin, for_write=request.method != "GET")
            try:
                response = await connection.handle_async_request(sent)
            except BaseException:
                await _close(connection)
                raise
        if not isinstance(response.stream, AsyncIterable):
            raise TypeError("an answer of a synchronous connection")
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Received(response.stream, partial(self._keep, connection)),
            extensions=cast("dict[str, Any]", response.extensions),  # pyright: ignore[reportUnknownMemberType] - untyped
        )

    async def aclose(self) -> None:
        """Close the connections that nobody uses; the others are closed when their answers are."""
        self._is_closed = True
        while self._idle:
            await _close(self._idle.pop().connection)

    async def _connection(self, origin: httpcore2.Origin, *, for_write: bool) -> httpcore2.AsyncConnectionInterface:
        """Take the one that was used last, or make one."""
        now = monotonic()
        while self._idle and now - self._idle[0].since > _KEPT_SECONDS:
            await _close(self._idle.popleft().connection)
        while self._idle and not (for_write and now - self._idle[-1].since > _KEPT_FOR_WRITES):
            connection = self._idle.pop().connection
            # The server may have closed it, or an answer have led to the vendor's other host.
            if not connection.has_expired() and connection.can_handle_request(origin):
                return connection
            await _close(connection)
        return self._maker.create_connection(origin)

    async def _keep(self, connection: httpcore2.AsyncConnectionInterface) -> None:
        """Take back what an answer came over; whoever is not idle then cannot be used again."""
        if self._is_closed or not connection.is_idle():
            await _close(connection)
            return
        self._idle.append(_Idle(connection, monotonic()))
        if len(self._idle) > _KEPT_IDLE:
            await _close(self._idle.popleft().connection)


class _Received(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, stream: AsyncIterable[bytes], done: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream
        self._done = done

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        # Once: a connection that was given back twice would carry two requests at a time.
        done, self._done = self._done, _nothing
        with anyio.CancelScope(shield=True):
            close = getattr(self._stream, "aclose", None)
            if close:
                await close()
            await done()


async def _nothing() -> None:
    """Be done already."""


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


async def _close(connection: httpcore2.AsyncConnectionInterface) -> None:
    """Close it, also while the request that used it is cancelled."""
    with anyio.CancelScope(shield=True):
        await connection.aclose()


def _proxy(proxy: httpx.Proxy) -> httpcore2.Proxy:
    return httpcore2.Proxy(
        _url(proxy.url), auth=proxy.raw_auth, headers=proxy.headers.raw, ssl_context=proxy.ssl_context
    )
