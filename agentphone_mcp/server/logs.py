"""Log to stderr, as stdout carries the protocol, without secrets."""

import json
import logging
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from agentphone_mcp.api.redaction import Redactor

LogFormat = Literal["text", "json"]
Say = Callable[[str], None]
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class _RedactingFormatter(logging.Formatter):
    """Redact the finished line, so that messages, arguments and tracebacks are covered alike."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class calls it so
        # Some messages quote what a stranger sent, who must not be able to write lines of their own.
        record.message = _CONTROLS.sub(lambda control: ascii(control[0])[1:-1], record.message.rstrip("\n"))
        return super().formatMessage(record)


class _JsonFormatter(logging.Formatter):
    """Write a record as one line of JSON in ASCII, which every encoding of stderr can carry."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": self._plain(record.name),
            "message": self._plain(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = self._plain(self.formatException(record.exc_info))
        span = get_current_span().get_span_context()
        if span.is_valid:
            fields |= {"trace_id": format_trace_id(span.trace_id), "span_id": format_span_id(span.span_id)}
        return json.dumps(fields)

    def _plain(self, text: str) -> str:
        """Redact a text before quotes and backslashes are escaped in it; half a character is none in strict JSON."""
        return self._redact(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def log_to_stderr(level: str, redact: Redactor, log_format: LogFormat = "text") -> Say:
    """Send all logging of the process to stderr, and give what says a sentence there whatever the level is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(redact) if log_format == "json" else _RedactingFormatter(redact))
    logging.basicConfig(level=level, handlers=[handler], force=True)

    def say(sentence: str) -> None:
        if log_format == "json":
            handler.handle(logging.LogRecord(__name__, logging.INFO, __file__, 0, sentence, None, None))
        elif sys.stderr:
            # Nobody need listen: it serves all the same.
            with suppress(OSError):
                sys.stderr.write(f"{sentence}\n")

    return say
