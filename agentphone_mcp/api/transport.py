"""Send requests to the API: quote the path, bound the time, retry what is safe, turn a status into an error."""

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
from agentphone_mcp.api.bodies import (
    LARGEST_AUDIO,
    LARGEST_EVENT,
    LARGEST_JSON,
    LARGEST_STREAM,
    BodyRefused,
    bound,
    read_body,
)
from agentphone_mcp.api.connection_errors import CONNECTION_LOST, body_error, connection_error, reason_of
from agentphone_mcp.api.errors import (
    DestinationRefused,
    KeyMissing,
    OutcomeUnknown,
    RequestLine,
    Unreachable,
    UnreadableAnswer,
)
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.api.pacing import Pace
from agentphone_mcp.api.pool import PooledTransport
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.api.requests import EVENTS, SILENCE, Query, RequestBuilder
from agentphone_mcp.api.responses import CONNECT_TIMEOUT, TRIES, ResponseReader, backoff, delay_before_retry
from agentphone_mcp.api.tracing import RequestSpan, Tracing

Model = TypeVar("Model", bound=BaseModel)
Event = tuple[str, Any]
"""The name of a server-sent event, and its JSON."""

_AUDIO_TIMEOUT = 300.0
_MAX_REDIRECTS = 3
_OCTET_STREAM = "application/octet-stream"

logger = logging.getLogger(__name__)


class Transport:
    """Sends the requests of one account; every method raises an `ApiError` and nothing else.

    Args:
        base_url: one of the vendor's hosts or a loopback address; see `Allowlist.for_base`.
        key: without one every request raises `KeyMissing`, unless `signs_up`.
        sub_account: the child account that requests are scoped to (`X-Sub-Account-Id`).
        timeout: seconds that one answer may take.
        inner: the HTTP transport below; tests inject theirs here, where the key is on the request already.
        secrets: learns the secrets in responses and redacts them in errors.
        send_traceparent: to the vendor too, and not only to a sandbox.
        signs_up: without a key, send requests to sign-up alone.
        pace: without one, requests are sent as they come.
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
        pace: Pace | None = None,
    ) -> None:
        self._tries = tries
        self._pace = pace
        self.secrets = secrets or Secrets(key)
        self._reader = ResponseReader(key, self.secrets)
        connect_timeout = min(timeout, CONNECT_TIMEOUT)
        # Longer than either, so that a connection that was never made is reported as that, not as a lost answer.
        self._total_timeout = timeout + connect_timeout
        is_keyless = key is None and signs_up
        self._allowlist = Allowlist.for_sign_up(base_url) if is_keyless else Allowlist.for_base(base_url, key)
        self._tracing = Tracing(httpx.URL(self._allowlist.base))
        self._builder = RequestBuilder(self._allowlist.base, sub_account, timeout, connect_timeout)
        self._network: AuthTransport | None = None
        if key is not None or signs_up:
            inner = inner or PooledTransport(proxy_for(self._allowlist))
            self._network = AuthTransport(inner, key, self._allowlist, send_traceparent=send_traceparent)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._network is not None:
            await self._network.aclose()

    async def get(self, path: str, into: type[Model], query: Query | None = None, **ids: str) -> Model:
        """Read something; sent again when the API is busy or the connection is lost."""
        return await self._request(RequestLine("GET", path, ids), into, query=query)

    async def post(self, path: str, into: type[Model], body: object = None, **ids: str) -> Model:
        """Create something."""
        return await self._request(RequestLine("POST", path, ids), into, body=body)

    async def patch(self, path: str, into: type[Model], body: object, **ids: str) -> Model:
        """Change something."""
        return await self._request(RequestLine("PATCH", path, ids), into, body=body)

    async def delete(self, path: str, into: type[Model], **ids: str) -> Model:
        """Remove something."""
        return await self._request(RequestLine("DELETE", path, ids), into)

    async def get_audio(self, path: str, **ids: str) -> tuple[bytes, str]:
        """Read a recording; returns its bytes and its content type.

        Raises:
            TooLarge: if it has more than `LARGEST_AUDIO` bytes.
        """
        request_line = RequestLine("GET", path, ids)
        response = await self._send_with_retries(request_line, seconds=_AUDIO_TIMEOUT, largest=LARGEST_AUDIO)
        content_type = response.headers.get("Content-Type", _OCTET_STREAM)
        if not response.content or not content_type.startswith(("audio/", _OCTET_STREAM)):
            request_id = self._reader.request_id(response)
            raise UnreadableAnswer(request_line, "it is no audio", status=response.status_code, request_id=request_id)
        return response.content, content_type

    @asynccontextmanager
    async def events(self, path: str, **ids: str) -> AsyncGenerator[AsyncIterator[Event]]:
        """Open a stream of server-sent events; yields their names and JSON, and is closed when the context is left.

        Raises:
            Unreachable: when the stream breaks, or is silent for `SILENCE` seconds.
            UnreadableAnswer: when it is no event stream, or an event is no JSON.
        """
        request_line = RequestLine("GET", path, ids)
        network, url = self._prepare(request_line)
        request = self._builder.build(request_line, url, accept=EVENTS)
        if self._pace:
            await self._pace.admit(request_line)
        try:
            with self._tracing.request(request_line) as span:
                response = await self._open_stream(request_line, network, request, span)
                async with aclosing(response):
                    bound(response, LARGEST_STREAM, largest_event=LARGEST_EVENT)
                    async with aclosing(self._read_events(request_line, EventSource(response))) as events:
                        yield events
        except BodyRefused as exc:
            raise body_error(request_line, exc, self._reader.request_id(exc.response)) from exc
        except httpx.HTTPError as exc:
            raise Unreachable(request_line, reason_of(exc)) from exc

    async def _open_stream(
        self, request_line: RequestLine, network: AuthTransport, request: httpx.Request, span: RequestSpan
    ) -> httpx.Response:
        try:
            # A head or an error that arrives byte by byte would never time out.
            with anyio.fail_after(SILENCE), span.current():
                response = await network.handle_async_request(request)
                span.answered(response, self._reader.request_id)
                if response.is_success:
                    return response
                async with aclosing(response):
                    await read_body(response, LARGEST_JSON)
        except TimeoutError as exc:
            raise httpx.ReadTimeout("too slow") from exc
        raise self._reader.error(request_line, response)

    async def _read_events(self, request_line: RequestLine, source: EventSource) -> AsyncGenerator[Event]:
        try:
            async for event in source.aiter_sse():
                if event.data:
                    yield event.event, self._reader.json(event.data.encode())
        except (SSEError, ValueError) as exc:
            request_id = self._reader.request_id(source.response)
            raise UnreadableAnswer(
                request_line, "it is no stream of events in JSON", status=200, request_id=request_id
            ) from exc

    async def _request(
        self, request_line: RequestLine, into: type[Model], *, query: Query | None = None, body: object = None
    ) -> Model:
        response = await self._send_with_retries(request_line, query, body)
        try:
            answer = into.model_validate(self._reader.json(response.content), context=self.secrets.learn)
        except ValueError as exc:  # pydantic's ValidationError is one
            # The status is a success, so a write was carried out; only its result cannot be read.
            kind = UnreadableAnswer if request_line.is_read else OutcomeUnknown
            detail = "the answer is empty" if not response.content else "the answer is not what the API documents"
            request_id = self._reader.request_id(response)
            raise kind(request_line, detail, status=response.status_code, request_id=request_id) from exc
        if isinstance(answer, Acknowledgement) and not answer.success:
            error = self._reader.error(request_line, response)
            error.detail = error.detail or "it says that it was not done"
            raise error
        return answer

    async def _send_with_retries(
        self,
        request_line: RequestLine,
        query: Query | None = None,
        body: object = None,
        *,
        seconds: float | None = None,
        largest: int = LARGEST_JSON,
    ) -> httpx.Response:
        """Send a read up to `tries` times until it is answered, a write again only if it was not accepted."""
        network, url = self._prepare(request_line)
        for tries_left in reversed(range(self._tries)):
            request = self._builder.build(request_line, url, query, body)
            if self._pace:
                await self._pace.admit(request_line)
            try:
                with (
                    self._tracing.request(request_line, self._tries - 1 - tries_left) as span,
                    anyio.fail_after(seconds or self._total_timeout),
                ):
                    response = await self._send(request_line, network, request, span, largest)
            except TimeoutError as exc:
                # httpx limits the time of each read, so a body that arrives byte by byte would never time out.
                raise connection_error(request_line, httpx.ReadTimeout("too slow")) from exc
            except BodyRefused as exc:
                raise body_error(request_line, exc, self._reader.request_id(exc.response)) from exc
            except httpx.HTTPError as exc:
                if request_line.is_read and tries_left and isinstance(exc, CONNECTION_LOST):
                    await anyio.sleep(backoff(tries_left))
                    continue
                raise connection_error(request_line, exc) from exc
            if response.is_success:
                return response
            error = self._reader.error(request_line, response)
            wait = delay_before_retry(response, request_line, tries_left)
            if not tries_left or wait is None:
                raise error
            await anyio.sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _send(
        self,
        request_line: RequestLine,
        network: AuthTransport,
        request: httpx.Request,
        span: RequestSpan,
        largest: int,
    ) -> httpx.Response:
        started = anyio.current_time()
        with span.current():
            response = await _read_response(network, request, largest)
            for _ in range(_MAX_REDIRECTS):
                target = self._redirect_target(request_line, response)
                if target is None:
                    break
                response = await _read_response(network, self._builder.build(request_line, target), largest)
            span.answered(response, self._reader.request_id)
            if logger.isEnabledFor(logging.DEBUG):
                elapsed = (anyio.current_time() - started) * 1000
                request_id = self._reader.request_id(response) or "none"
                shown = (request_line.method, request_line.path, response.status_code, elapsed, request_id)
                logger.debug("%s %s: %d in %.0f ms, request id %s", *shown)
        return response

    def _prepare(self, request_line: RequestLine) -> tuple[AuthTransport, str]:
        """Return the transport and the URL of a request, or raise `KeyMissing`."""
        url = self._builder.url(request_line)
        if self._network is None:
            raise KeyMissing(request_line)
        return self._network, url

    def _redirect_target(self, request_line: RequestLine, response: httpx.Response) -> httpx.URL | None:
        """Return where a read is redirected to, if it is; a redirect of a write is never followed."""
        location = response.extensions.get(REDIRECT)
        if not request_line.is_read or location is None:
            return None
        try:
            target = response.url.join(location)
        except (httpx.InvalidURL, ValueError) as exc:
            raise DestinationRefused(request_line, "redirected to no address", status=response.status_code) from exc
        if not self._allowlist.admits(target):
            host = mask_keys(target.raw_host.decode("ascii")) or "no host"
            raise DestinationRefused(request_line, f"redirected to {host}", status=response.status_code)
        return target


class Endpoints:
    """Calls the endpoints of one resource; the base of a class for each."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


async def _read_response(network: AuthTransport, request: httpx.Request, largest: int) -> httpx.Response:
    response = await network.handle_async_request(request)
    async with aclosing(response):
        await read_body(response, largest)
    return response
