"""One request to the API: the path quoted, the time bounded, safe requests retried, a status turned into an error."""

import logging
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from time import time
from typing import TypeVar
from urllib.parse import urlencode

import anyio
import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError
from pydantic import BaseModel, ValidationError

from agentphone_mcp.api.answers import read_error, read_json
from agentphone_mcp.api.errors import (
    ApiError,
    BadPathValue,
    DestinationRefused,
    KeyMissing,
    OutcomeUnknown,
    RateLimited,
    RequestLine,
    Unreachable,
    UnreadableAnswer,
    error_for,
)
from agentphone_mcp.api.key import Allowlist, ApiKey, KeyedTransport, proxy_for

Answer = TypeVar("Answer", bound=BaseModel)
Query = Mapping[str, str | int | None]

TRIES = 3
LONGEST_WAIT = 8.0
"""Seconds: a longer Retry-After is reported to the caller instead of being waited for."""
SILENCE = 60.0
"""Seconds without a byte, heartbeats included, after which a transcript stream counts as lost."""
_MAX_REDIRECTS = 3
# Of httpx's errors these happen before a request is sent, so that a write cannot have been accepted.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_CONNECTION_LOST = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)
_BUSY = (502, 503, 504)

logger = logging.getLogger(__name__)


class Transport:
    """Sends requests of one account; every method raises an `ApiError` and nothing else.

    Args:
        base_url: one of the vendor's hosts or a loopback address; see `Allowlist.for_base`.
        key: the account's key; without one every request raises `KeyMissing`.
        sub_account: the child account that requests are scoped to (`X-Sub-Account-Id`).
        timeout: seconds that one answer may take.
        inner: what really sends; tests inject theirs here, below the key's rule.
    """

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None,
        *,
        sub_account: str | None = None,
        timeout: float = 30.0,
        inner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._key = key
        self._allowlist = Allowlist.for_base(base_url, key)
        self._client: httpx.AsyncClient | None = None
        if key is not None:
            inner = inner or httpx.AsyncHTTPTransport(proxy=proxy_for(self._allowlist))
            self._client = httpx.AsyncClient(
                base_url=self._allowlist.base,
                headers={"Accept": "application/json"} | ({"X-Sub-Account-Id": sub_account} if sub_account else {}),
                timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
                transport=KeyedTransport(inner, key, self._allowlist),
                trust_env=False,
            )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def get(self, path: str, into: type[Answer], query: Query | None = None, **ids: str) -> Answer:
        """Read something; tried again when the API is busy or the connection is lost."""
        return await self._ask(RequestLine("GET", path, ids), into, query=query)

    async def post(self, path: str, into: type[Answer], body: object = None, **ids: str) -> Answer:
        """Make something."""
        return await self._ask(RequestLine("POST", path, ids), into, body=body)

    async def patch(self, path: str, into: type[Answer], body: object, **ids: str) -> Answer:
        """Change something."""
        return await self._ask(RequestLine("PATCH", path, ids), into, body=body)

    async def delete(self, path: str, into: type[Answer], **ids: str) -> Answer:
        """Remove something."""
        return await self._ask(RequestLine("DELETE", path, ids), into)

    async def get_bytes(self, path: str, **ids: str) -> tuple[bytes, str]:
        """Read a file: its bytes and its content type."""
        response = await self._answer(RequestLine("GET", path, ids))
        return response.content, response.headers.get("Content-Type", "application/octet-stream")

    @asynccontextmanager
    async def events(self, path: str, **ids: str) -> AsyncGenerator[AsyncIterator[ServerSentEvent]]:
        """Open a stream of server-sent events; leaving the context closes it at once.

        Raises:
            Unreachable: when the stream breaks, or is silent for `SILENCE` seconds.
        """
        line = RequestLine("GET", path, ids)
        client, url = self._ready(line)
        timeout = httpx.Timeout(SILENCE, connect=client.timeout.connect)
        try:
            async with client.stream("GET", url, headers={"Accept": "text/event-stream"}, timeout=timeout) as response:
                if not response.is_success:
                    await response.aread()
                    raise self._error(line, response)
                yield EventSource(response).aiter_sse()
        except SSEError as odd:
            raise UnreadableAnswer(line, "an event stream was expected") from odd
        except httpx.HTTPError as lost:
            raise Unreachable(line, _reason(lost)) from lost

    async def _ask(
        self, line: RequestLine, into: type[Answer], *, query: Query | None = None, body: object = None
    ) -> Answer:
        response = await self._answer(line, query, body)
        try:
            return into.model_validate(read_json(self._cut(response.content)))
        except (ValueError, ValidationError) as odd:
            # The status said yes, so a write went through; only what came of it cannot be read.
            kind = UnreadableAnswer if line.is_read else OutcomeUnknown
            wanted = "the answer is empty" if not response.content else f"the answer is not a readable {into.__name__}"
            raise kind(line, wanted, status=response.status_code) from odd

    async def _answer(self, line: RequestLine, query: Query | None = None, body: object = None) -> httpx.Response:
        """Send until there is an answer: a read up to `TRIES` times, a write again only when it was not accepted."""
        client, url = self._ready(line, query)
        for tries_left in reversed(range(TRIES)):
            try:
                response = await self._send(client, line, url, body)
            except httpx.HTTPError as lost:
                if line.is_read and tries_left and isinstance(lost, _CONNECTION_LOST):
                    await anyio.sleep(_backoff(tries_left))
                    continue
                raise self._lost(line, lost) from lost
            if response.is_success:
                return response
            error = self._error(line, response)
            wait = _wait_for(response, line, tries_left)
            if not tries_left or wait is None:
                raise error
            await anyio.sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _send(self, client: httpx.AsyncClient, line: RequestLine, url: str, body: object) -> httpx.Response:
        started = anyio.current_time()
        response = await client.request(line.method, url, json=body, follow_redirects=False)
        hops = 0
        while line.is_read and response.is_redirect and hops < _MAX_REDIRECTS:
            hops += 1
            target = self._admitted(line, response)
            response = await client.get(target, follow_redirects=False)
        took = (anyio.current_time() - started) * 1000
        logger.debug("%s %s: %d in %.0f ms", line.method, line.path, response.status_code, took)
        return response

    def _ready(self, line: RequestLine, query: Query | None = None) -> tuple[httpx.AsyncClient, str]:
        path = line.path.format_map({name: _path_value(line, name, value) for name, value in line.ids.items()})
        if self._client is None:
            raise KeyMissing(line)
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        return self._client, f"{path}?{urlencode(asked)}" if asked else path

    def _admitted(self, line: RequestLine, redirect: httpx.Response) -> httpx.URL:
        try:
            target = redirect.url.join(redirect.headers["Location"])
        except httpx.InvalidURL as odd:
            raise DestinationRefused(line, "redirected to no address", status=redirect.status_code) from odd
        if not self._allowlist.admits(target):
            raise DestinationRefused(line, f"redirected to {target.host}", status=redirect.status_code)
        return target

    def _cut(self, body: bytes) -> bytes:
        return self._key.cut_from_bytes(body) if self._key else body

    def _error(self, line: RequestLine, response: httpx.Response) -> ApiError:
        detail, code = read_error(self._cut(response.content))
        error = error_for(line, response.status_code, detail, code)
        if isinstance(error, RateLimited):
            error.retry_after = _retry_after(response)
        return error

    def _lost(self, line: RequestLine, lost: httpx.HTTPError) -> ApiError:
        sent = not isinstance(lost, _NEVER_SENT)
        kind = OutcomeUnknown if sent and not line.is_read else Unreachable
        return kind(line, _reason(lost))


def _path_value(line: RequestLine, name: str, value: str) -> str:
    """Admit an id into a path; `..`, a slash or an escape could lead to another endpoint (httpx resolves `..`)."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}", value):
        raise BadPathValue(RequestLine(line.method, line.path, {name: "…"}), f"{name} is no id")
    return value


def _reason(lost: httpx.HTTPError) -> str:
    if isinstance(lost, httpx.TimeoutException):
        return "timed out"
    return "the connection could not be made" if isinstance(lost, _NEVER_SENT) else "the connection was lost"


def _wait_for(response: httpx.Response, line: RequestLine, tries_left: int) -> float | None:
    """How long to wait before trying again, or None where trying again is not safe or takes too long."""
    if response.status_code == 429:  # Not accepted, so even a write may be sent again.
        asked = _retry_after(response)
        if asked is None:
            return _backoff(tries_left)
        return asked + random.uniform(0, 0.25) if asked <= LONGEST_WAIT else None  # noqa: S311 - jitter, no secret
    return _backoff(tries_left) if response.status_code in _BUSY and line.is_read else None


def _backoff(tries_left: int) -> float:
    """Seconds before the next try: about 0.25, then 0.5, spread so that clients do not come back in step."""
    return 0.25 * 2 ** (TRIES - 1 - tries_left) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret


def _retry_after(response: httpx.Response) -> float | None:
    """Read Retry-After: seconds, or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, TypeError):
        return None
