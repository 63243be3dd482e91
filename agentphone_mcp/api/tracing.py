"""Make an OpenTelemetry span for each request, where the user has set OpenTelemetry up.

The attributes are those of its HTTP conventions except `url.full`, which would hold ids and phone numbers.
OpenTelemetry's own instrumentation of httpx is not used: it records the whole URL instead of the path's template, ends
the span of a stream at its first byte, and adds headers after `AuthTransport` removed them.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

import httpx
from opentelemetry.context import attach, detach, set_value
from opentelemetry.trace import Span, SpanKind, StatusCode, get_tracer, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agentphone_mcp.api.errors import ApiError, RequestLine

TRACE_HEADERS = ("traceparent", "tracestate", "baggage")
_STATUS = "http.response.status_code"
_tracer = get_tracer("agentphone_mcp")
TRACE_CONTEXT = TraceContextTextMapPropagator()
"""Puts the `traceparent` of the current span into headers."""


class RequestSpan:
    """Wraps the span of one request that is being sent."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._is_answered = False
        self._has_failed = False

    def current(self) -> AbstractContextManager[Span]:
        """Make this span the current one while the request is sent and logged."""
        return use_span(self._span, record_exception=False, set_status_on_exception=False)

    def answered(self, response: httpx.Response, request_id: Callable[[httpx.Response], str | None]) -> None:
        """Record the status and the request id of the response."""
        self._is_answered = True
        if not self._span.is_recording():
            return
        self._span.set_attribute(_STATUS, response.status_code)
        if value := request_id(response):
            self._span.set_attribute("agentphone.request_id", value)
        if response.status_code >= 400:
            self._fail(str(response.status_code))

    def failed(self, exc: BaseException) -> None:
        """Record the error by its type alone: a message could quote a secret."""
        if not isinstance(exc, Exception) and self._is_answered:
            return  # leaving a stream early cancels it, which is no failure
        if isinstance(exc, ApiError) and exc.status is not None:
            self._span.set_attribute(_STATUS, exc.status)
        if not self._has_failed:
            kind = type(exc)
            self._fail(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))

    def _fail(self, kind: str) -> None:
        self._has_failed = True
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)


class Tracing:
    """Makes the spans of the requests to one server."""

    def __init__(self, base: httpx.URL) -> None:
        self._server = {
            "server.address": base.raw_host.decode("ascii"),
            "server.port": base.port or (443 if base.scheme == "https" else 80),
        }

    @contextmanager
    def request(self, request_line: RequestLine, resent: int = 0) -> Generator[RequestSpan]:
        """Make a span that lasts as long as the block, without the ids in the path; `resent` counts earlier tries."""
        attributes = {"http.request.method": request_line.method, "url.template": request_line.path, **self._server}
        if resent:
            attributes["http.request.resend_count"] = resent
        span = _tracer.start_span(
            f"{request_line.method} {request_line.path}", kind=SpanKind.CLIENT, attributes=attributes
        )
        request_span = RequestSpan(span)
        try:
            yield request_span
        except BaseException as exc:
            request_span.failed(exc)
            raise
        finally:
            span.end()


@contextmanager
def uninstrumented() -> Generator[None]:
    """Keep OpenTelemetry's instrumentations of HTTP clients from adding headers of their own."""
    token = attach(set_value("suppress_instrumentation", True))
    try:
        yield
    finally:
        detach(token)
