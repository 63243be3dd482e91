"""Send the spans of this process where the user's OpenTelemetry variables say; needs the extra `otel`."""

import logging
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any, cast

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.trace import ProxyTracerProvider, Status, get_tracer_provider, set_tracer_provider

from agentphone_mcp import __version__
from agentphone_mcp.api.redaction import Redactor

_SECONDS_TO_LEAVE = 1.0
"""How long the last spans may take."""
logger = logging.getLogger(__name__)

_EXPORTERS: dict[str, Callable[[], SpanExporter]] = {
    "otlp": OTLPSpanExporter,
    "console": lambda: ConsoleSpanExporter(out=sys.stderr),
}


class RedactingExporter(SpanExporter):
    """Redact finished spans: those of the MCP SDK have names that a model wrote, and tracebacks."""

    def __init__(self, inner: SpanExporter, redact: Redactor) -> None:
        self._inner = inner
        self._redact = redact

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send copies of them on."""
        return self._inner.export([self._without_secrets(span) for span in spans])

    def shutdown(self) -> None:
        """Send nothing more."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is waiting."""
        return self._inner.force_flush(timeout_millis)

    def _without_secrets(self, span: ReadableSpan) -> ReadableSpan:
        description = span.status.description
        return ReadableSpan(
            self._redact(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._values(span.attributes),
            events=[
                Event(self._redact(event.name), self._values(event.attributes), event.timestamp)
                for event in span.events
            ],
            links=span.links,
            kind=span.kind,
            status=Status(span.status.status_code, self._redact(description) if description else None),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _values(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        return {name: self._value(value) for name, value in (attributes or {}).items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redact(value)
        return [self._value(item) for item in cast(tuple[Any, ...], value)] if isinstance(value, tuple) else value


@contextmanager
def sending_spans(exporter: str, redact: Redactor) -> Generator[None]:
    """Set OpenTelemetry up for a block, unless something else in this process did.

    Endpoint, sampler and so on it reads itself. The exporter is `otlp` (over HTTP), or `console`, which is stderr, as
    stdout is the protocol's.
    """
    if exporter not in _EXPORTERS:
        logger.warning("spans are not sent by %s, only by otlp over http/protobuf, or to the console", exporter)
    if exporter not in _EXPORTERS or not isinstance(get_tracer_provider(), ProxyTracerProvider):
        yield
        return
    out = RedactingExporter(_EXPORTERS[exporter](), redact)
    ours = Resource.create({"service.name": "agentphone-mcp", "service.version": __version__})
    provider = TracerProvider(shutdown_on_exit=False, resource=ours.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(out))
    set_tracer_provider(provider)
    try:
        yield
    finally:
        # In a thread of its own: a collector that is away would be waited for longer than a host waits for us.
        leaving = Thread(target=provider.shutdown, daemon=True)
        leaving.start()
        leaving.join(_SECONDS_TO_LEAVE)
