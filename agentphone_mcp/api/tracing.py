"""A span for each request, where the user has set OpenTelemetry up; otherwise next to nothing is spent on it.

Attributes are those of OpenTelemetry's HTTP conventions, but for `url.full`: ids and phone numbers stand in it. That is
also why httpx is not instrumented by OpenTelemetry's own package: it knows no template of a path, records the whole
URL, ends the span of a stream at its first byte, and puts headers on below the key's rule.
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
_w3c = TraceContextTextMapPropagator()


class RequestSpan:
    """The span of one request that is under way."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._is_answered = False
        self._has_failed = False

    def current(self) -> AbstractContextManager[Span]:
        """Make it the one that the request is sent, and logged, in."""
        return use_span(self._span, record_exception=False, set_status_on_exception=False)

    def answered(self, response: httpx.Response, request_id: Callable[[httpx.Response], str | None]) -> None:
        """Note what came back, and what the API calls it."""
        self._is_answered = True
        if not self._span.is_recording():
            return
        self._span.set_attribute(_STATUS, response.status_code)
        if named := request_id(response):
            self._span.set_attribute("agentphone.request_id", named)
        if response.status_code >= 400:
            self._fail(str(response.status_code))

    def broke(self, failure: BaseException) -> None:
        """Note why it ended early: by the kind alone, as messages quote what must not be shown."""
        if not isinstance(failure, Exception) and self._is_answered:
            return  # whoever follows a stream has heard enough, which is no failure
        if isinstance(failure, ApiError) and failure.status is not None:
            self._span.set_attribute(_STATUS, failure.status)
        if not self._has_failed:
            kind = type(failure)
            self._fail(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))

    def _fail(self, kind: str) -> None:
        self._has_failed = True
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)


class Tracing:
    """Makes the spans of the requests to one server.

    Args:
        base: where the server is.
    """

    def __init__(self, base: httpx.URL) -> None:
        self._server = {
            "server.address": base.raw_host.decode("ascii"),
            "server.port": base.port or (443 if base.scheme == "https" else 80),
        }

    @contextmanager
    def request(self, line: RequestLine, resent: int = 0) -> Generator[RequestSpan]:
        """Make a span that lasts as long as the block.

        Args:
            line: what is asked; the ids in it are left out.
            resent: how often it was asked before.
        """
        attributes = {"http.request.method": line.method, "url.template": line.path, **self._server}
        if resent:
            attributes["http.request.resend_count"] = resent
        span = _tracer.start_span(f"{line.method} {line.path}", kind=SpanKind.CLIENT, attributes=attributes)
        traced = RequestSpan(span)
        try:
            yield traced
        except BaseException as failure:
            traced.broke(failure)
            raise
        finally:
            span.end()


def put_traceparent(headers: httpx.Headers) -> None:
    """Tell the receiver of a request which span it belongs to."""
    _w3c.inject(headers)


@contextmanager
def uninstrumented() -> Generator[None]:
    """Keep OpenTelemetry's instrumentations of HTTP clients, which add headers of their own, from what is sent."""
    token = attach(set_value("suppress_instrumentation", True))
    try:
        yield
    finally:
        detach(token)
