"""Sends the spans of this process where the user's OpenTelemetry variables say; needs the extra `otel`."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.trace import ProxyTracerProvider, Status, get_tracer_provider, set_tracer_provider

from agentphone_mcp import __version__

Cut = Callable[[str], str]
logger = logging.getLogger(__name__)


class CuttingExporter(SpanExporter):
    """Cuts secrets out of finished spans: the MCP SDK's hold names that a model wrote, and tracebacks.

    Args:
        inner: where they go then.
        cut: removes what must not be shown.
    """

    def __init__(self, inner: SpanExporter, cut: Cut) -> None:
        self._inner = inner
        self._cut = cut

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
        said = span.status.description
        return ReadableSpan(
            self._cut(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._values(span.attributes),
            events=[Event(self._cut(one.name), self._values(one.attributes), one.timestamp) for one in span.events],
            links=span.links,
            kind=span.kind,
            status=Status(span.status.status_code, self._cut(said) if said else None),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _values(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        return {name: self._value(value) for name, value in (attributes or {}).items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._cut(value)
        return [self._value(one) for one in cast(tuple[Any, ...], value)] if isinstance(value, tuple) else value


def send_spans(exporter: str, cut: Cut) -> None:
    """Set OpenTelemetry up, unless something else in this process did; endpoint, sampler and so on it reads itself.

    Args:
        exporter: `otlp` (over HTTP), or `console`, which is stderr, as stdout is the protocol's.
        cut: removes what must not be shown.
    """
    if exporter not in ("otlp", "console"):
        logger.warning(
            "spans are not sent: the exporter is %s, and there are otlp over http/protobuf, and console", exporter
        )
        return
    if not isinstance(get_tracer_provider(), ProxyTracerProvider):
        return
    ours = Resource.create({"service.name": "agentphone-mcp", "service.version": __version__})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()))
    out = OTLPSpanExporter() if exporter == "otlp" else ConsoleSpanExporter(out=sys.stderr)
    provider.add_span_processor(BatchSpanProcessor(CuttingExporter(out, cut)))
    set_tracer_provider(provider)
