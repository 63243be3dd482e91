"""Log lines for programs: JSON, one a record, without secrets."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.trace import get_tracer

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.server.logs import LogFormat, Say, log_to_stderr
from tests.support import LIVE_KEY

HOOK = 'whsec_"quoted"\\0123456789'


class Lines:
    """What was logged, through a stderr that can carry Western European characters alone."""

    def __init__(self) -> None:
        self.raw = io.BytesIO()
        self.say: Say | None = None
        self.stream = io.TextIOWrapper(self.raw, encoding="cp1252", errors="strict", write_through=True)

    def read(self) -> list[dict[str, Any]]:
        """Each line, which must be an object in strict JSON."""
        return [json.loads(line) for line in self.raw.getvalue().decode("ascii").splitlines()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    kept = Lines()
    monkeypatch.setattr(sys, "stderr", kept.stream)
    secrets = Secrets(ApiKey(LIVE_KEY))
    secrets.learn(HOOK)
    kept.say = log_to_stderr("DEBUG", secrets.redact, "json")
    yield kept
    root.handlers, root.level = handlers, level


def test_a_record_is_an_object_with_its_time_in_utc(lines: Lines) -> None:
    before = datetime.now(UTC)
    logging.getLogger("calls").warning("%d calls", 3)
    (line,) = lines.read()
    at = datetime.fromisoformat(line.pop("time"))
    assert abs((at - before).total_seconds()) < 60
    assert at.utcoffset().total_seconds() == 0
    assert line == {"level": "WARNING", "logger": "calls", "message": "3 calls"}


@pytest.mark.usefixtures("spans")
def test_a_record_within_a_span_names_it(lines: Lines) -> None:
    with get_tracer("test").start_as_current_span("a tool") as span:
        logging.getLogger("calls").info("rings")
    (line,) = lines.read()
    context = span.get_span_context()
    assert (line["trace_id"], line["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def test_where_the_server_is_is_said_at_any_level(lines: Lines) -> None:
    logging.getLogger().setLevel("ERROR")
    lines.say("Serving on http://127.0.0.1:8000/mcp")
    (line,) = lines.read()
    assert (line["level"], line["message"]) == ("INFO", "Serving on http://127.0.0.1:8000/mcp")


def test_an_exception_is_a_field_of_its_record(lines: Lines) -> None:
    try:
        raise RuntimeError("two\nlines")
    except RuntimeError:
        logging.getLogger("calls").exception("broken")
    (line,) = lines.read()
    assert line["message"] == "broken"
    assert line["exception"].endswith("RuntimeError: two\nlines")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        pytest.param('a\r\nb\u2028c\x85d\x00e"f\\g', 'a\r\nb\u2028c\x85d\x00e"f\\g', id="line-ends-and-quotes"),
        pytest.param("☎ 你好 🎉", "☎ 你好 🎉", id="beyond-cp1252"),
        pytest.param("half \ud83d a \udc00 character", "half � a � character", id="lone-surrogates"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_any_text_is_one_line_of_json(lines: Lines, text: str, read: str) -> None:
    logging.getLogger("calls").info("%s", text)
    logging.getLogger("calls").info("next")
    assert [line["message"] for line in lines.read()] == [read, "next"]


def test_no_secret_is_in_any_field(lines: Lines) -> None:
    try:
        raise RuntimeError(f"{LIVE_KEY} {HOOK}")
    except RuntimeError:
        logging.getLogger(f"of.{LIVE_KEY}").exception("%s and %r", HOOK, json.dumps({"key": LIVE_KEY, "hook": HOOK}))
    (line,) = lines.read()
    assert line["logger"] == "of.[key removed]"
    assert line["message"].startswith("[secret removed] and ")
    for secret in (LIVE_KEY, "0123456789"):
        assert secret not in json.dumps(line)


@pytest.mark.usefixtures("lines")
def test_what_a_stranger_sent_writes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("DEBUG", str)
    try:
        raise ValueError("no id")
    except ValueError:
        logging.getLogger("calls").exception("invalid id: %s\n", "x\r\n2026 forged\x1b[31m\x85\u2028")
    first, second, *_, last = capsys.readouterr().err.splitlines()
    assert first.endswith(r"ERROR calls: invalid id: x\r\n2026 forged\x1b[31m\x85\u2028")
    assert (second, last) == ("Traceback (most recent call last):", "ValueError: no id")


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_server_whose_stderr_is_closed_says_nothing(monkeypatch: pytest.MonkeyPatch, log_format: LogFormat) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log_to_stderr("DEBUG", str, log_format)("Serving.")
