"""One request to the API: the path quoted, the time bounded, safe requests retried, a status turned into an error."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import anyio
import httpx
from httpx_sse import EventSource, SSEError
from pydantic import BaseModel

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey, mask_keys
from agentphone_mcp.api.auth import REDIRECT, AuthTransport, proxy_for
from agentphone_mcp.api.errors import (
    ApiError,
    DestinationRefused,
    KeyMissing,
    OutcomeUnknown,
    RequestLine,
    Unreachable,
    UnreadableAnswer,
)
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.api.pool import PooledTransport
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.api.requests import EVENTS, Query, RequestBuilder
from agentphone_mcp.api.responses import ResponseReader
from agentphone_mcp.api.retries import LONGEST_WAIT, TRIES, backoff, delay_before_retry
from agentphone_mcp.api.tracing import RequestSpan, Tracing

Answer = TypeVar("Answer", bound=BaseModel)
Event = tuple[str, Any]
"""The name of a server-sent event, and its data."""

_TO_CONNECT = 10.0
_FOR_AUDIO = 300.0
_MAX_REDIRECTS = 3
_UNTYPED = "application/octet-stream"
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

logger = logging.getLogger(__name__)


class Transport:
    """Sends requests of one account; every method raises an `ApiError` and nothing else.

    Args:
        base_url: one of the vendor's hosts or a loopback address; see `Allowlist.for_base`.
        key: the account's key; without one every request raises `KeyMissing`, unless `signs_up`.
        sub_account: the child account that requests are scoped to (`X-Sub-Account-Id`).
        timeout: seconds that one answer may take.
        inner: what really sends; tests inject theirs here, below the key's rule.
        secrets: learns the secrets in answers, and redacts them out of errors.
        send_traceparent: tell the vendor, and not only a sandbox, which trace a request belongs to.
        tries: how often a safe request is sent at most.
        signs_up: without a key, send requests to sign-up alone.
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
        signs_up: bool = False,
    ) -> None:
        self._tries = tries
        self.secrets = secrets or Secrets(key)
        self._reader = ResponseReader(key, self.secrets)
        to_connect = min(timeout, _TO_CONNECT)
        # More than either, so that a connection that was never made is told as such and not as a lost answer.
        self._within = timeout + to_connect
        is_keyless = key is None and signs_up
        self._allowlist = Allowlist.for_sign_up(base_url) if is_keyless else Allowlist.for_base(base_url, key)
        self._tracing = Tracing(httpx.URL(self._allowlist.base))
        self._requests = RequestBuilder(self._allowlist.base, sub_account, timeout, to_connect)
        self._network: AuthTransport | None = None
        if key is not None or signs_up:
            inner = inner or PooledTransport(proxy_for(self._allowlist))
            self._network = AuthTransport(inner, key, self._allowlist, send_traceparent=send_traceparent)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._network is not None:
            await self._network.aclose()

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

    async def get_audio(self, path: str, **ids: str) -> tuple[bytes, str]:
        """Read a recording: its bytes and its content type."""
        line = RequestLine("GET", path, ids)
        response = await self._answer(line, within=_FOR_AUDIO)
        kind = response.headers.get("Content-Type", _UNTYPED)
        if not response.content or not kind.startswith(("audio/", _UNTYPED)):
            request_id = self._reader.request_id(response)
            raise UnreadableAnswer(line, "it is no audio", status=response.status_code, request_id=request_id)
        return response.content, kind

    @asynccontextmanager
    async def events(self, path: str, **ids: str) -> AsyncGenerator[AsyncIterator[Event]]:
        """Open a stream of server-sent events, as their names and their JSON; leaving the context closes it at once.

        Raises:
            Unreachable: when the stream breaks, or is silent for `SILENCE` seconds.
            UnreadableAnswer: when it is no event stream, or an event is no JSON.
        """
        line = RequestLine("GET", path, ids)
        network, url = self._ready(line)
        request = self._requests.make(line, url, accept=EVENTS)
        try:
            with self._tracing.request(line) as traced:
                with traced.current():
                    response = await network.handle_async_request(request)
                async with aclosing(response):
                    traced.answered(response, self._reader.request_id)
                    if not response.is_success:
                        await response.aread()
                        raise self._reader.error(line, response)
                    async with aclosing(self._read_events(line, EventSource(response))) as events:
                        yield events
        except httpx.HTTPError as lost:
            raise Unreachable(line, _reason(lost)) from lost

    async def _read_events(self, line: RequestLine, source: EventSource) -> AsyncGenerator[Event]:
        try:
            async for event in source.aiter_sse():
                if event.data:
                    yield event.event, self._reader.json(event.data.encode())
        except (SSEError, ValueError) as odd:
            request_id = self._reader.request_id(source.response)
            raise UnreadableAnswer(
                line, "it is no stream of events in JSON", status=200, request_id=request_id
            ) from odd

    async def _ask(
        self, line: RequestLine, into: type[Answer], *, query: Query | None = None, body: object = None
    ) -> Answer:
        response = await self._answer(line, query, body)
        try:
            answer = into.model_validate(self._reader.json(response.content), context=self.secrets.learn)
        except ValueError as odd:  # pydantic's ValidationError is one
            # The status said yes, so a write went through; only what came of it cannot be read.
            kind = UnreadableAnswer if line.is_read else OutcomeUnknown
            wanted = "the answer is empty" if not response.content else "the answer is not what the API documents"
            request_id = self._reader.request_id(response)
            raise kind(line, wanted, status=response.status_code, request_id=request_id) from odd
        if isinstance(answer, Acknowledgement) and not answer.success:
            refused = self._reader.error(line, response)
            refused.detail = refused.detail or "it says that it was not done"
            raise refused
        return answer

    async def _answer(
        self, line: RequestLine, query: Query | None = None, body: object = None, within: float | None = None
    ) -> httpx.Response:
        """Send until there is an answer: a read up to `tries` times, a write again only when it was not accepted."""
        network, url = self._ready(line)
        for tries_left in reversed(range(self._tries)):
            request = self._requests.make(line, url, query, body)
            try:
                with (
                    self._tracing.request(line, self._tries - 1 - tries_left) as traced,
                    anyio.fail_after(within or self._within),
                ):
                    response = await self._send(line, network, request, traced)
            except TimeoutError as slow:
                # httpx bounds each read by itself, so an answer that drips would never time out.
                raise self._lost(line, httpx.ReadTimeout("too slow")) from slow
            except httpx.HTTPError as lost:
                if line.is_read and tries_left and isinstance(lost, _CONNECTION_LOST):
                    await anyio.sleep(backoff(tries_left))
                    continue
                raise self._lost(line, lost) from lost
            if response.is_success:
                return response
            error = self._reader.error(line, response)
            wait = delay_before_retry(response, line, tries_left)
            if not tries_left or wait is None:
                raise error
            await anyio.sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _send(
        self, line: RequestLine, network: AuthTransport, request: httpx.Request, traced: RequestSpan
    ) -> httpx.Response:
        started = anyio.current_time()
        with traced.current():
            response = await _read_whole(network, request)
            for _ in range(_MAX_REDIRECTS):
                target = self._redirected(line, response)
                if target is None:
                    break
                response = await _read_whole(network, self._requests.make(line, target))
            traced.answered(response, self._reader.request_id)
            if logger.isEnabledFor(logging.DEBUG):
                took = (anyio.current_time() - started) * 1000
                named = self._reader.request_id(response) or "none"
                logger.debug(
                    "%s %s: %d in %.0f ms, request id %s", line.method, line.path, response.status_code, took, named
                )
        return response

    def _ready(self, line: RequestLine) -> tuple[AuthTransport, str]:
        """Find what sends a request, and its URL."""
        url = self._requests.url(line)
        if self._network is None:
            raise KeyMissing(line)
        return self._network, url

    def _redirected(self, line: RequestLine, response: httpx.Response) -> httpx.URL | None:
        """Where a read is sent on to, if it is; a write is never sent on."""
        location = response.extensions.get(REDIRECT)
        if not line.is_read or location is None:
            return None
        try:
            target = response.url.join(location)
        except (httpx.InvalidURL, ValueError) as odd:
            raise DestinationRefused(line, "redirected to no address", status=response.status_code) from odd
        if not self._allowlist.admits(target):
            host = mask_keys(target.raw_host.decode("ascii")) or "no host"
            raise DestinationRefused(line, f"redirected to {host}", status=response.status_code)
        return target

    def _lost(self, line: RequestLine, lost: httpx.HTTPError) -> ApiError:
        sent = not isinstance(lost, _NEVER_SENT)
        kind = OutcomeUnknown if sent and not line.is_read else Unreachable
        return kind(line, _reason(lost))


def slowest_write(timeout: float) -> float:
    """Seconds after which a write has been answered or given up: every try in its time, and the waits in between."""
    return TRIES * (timeout + min(timeout, _TO_CONNECT) + LONGEST_WAIT + 1)


async def _read_whole(network: AuthTransport, request: httpx.Request) -> httpx.Response:
    response = await network.handle_async_request(request)
    async with aclosing(response):
        await response.aread()
    return response


def _reason(lost: httpx.HTTPError) -> str:
    if isinstance(lost, httpx.TimeoutException):
        return "timed out"
    return "the connection could not be made" if isinstance(lost, _NEVER_SENT) else "the connection was lost"
