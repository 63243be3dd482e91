"""From the span of a tool call to that of the request, and out of the process."""

import json
import os
import subprocess
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.server.telemetry import RedactingExporter
from tests.support import COMMAND, HELLO, LIVE_KEY, READY, ROOT, clean_environment

HOOK = "whsec_a/b+c=0123456789"
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list_agents", "arguments": {}}}


def parents(spans: list[Any], name: str) -> Iterator[str]:
    """The names of a span and of those that it belongs to, outwards."""
    by_id = {span.context.span_id: span for span in spans}
    found = next(span for span in spans if span.name == name)
    while found is not None:
        yield found.name
        found = by_id.get(found.parent.span_id) if found.parent else None


@pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
@pytest.mark.parametrize(
    ("tool", "arguments", "asked"),
    [
        pytest.param("get_agent", {"agent_id": "agt_frontdesk"}, "GET /v1/agents/{agent_id}", id="in-a-tool"),
        pytest.param("account_overview", {}, "GET /v1/usage", id="in-a-task-group"),
        pytest.param(
            "release_number", {"number_id": "num_frontdesk"}, "GET /v1/numbers/{number_id}", id="in-a-resolver"
        ),
        pytest.param(
            "wait_for_call", {"call_id": "call_past01"}, "GET /v1/calls/{call_id}/transcript/stream", id="in-a-stream"
        ),
    ],
)
async def test_a_request_belongs_to_the_tool_call_that_made_it(spans, connect, mode, tool, arguments, asked) -> None:
    async with connect(mode) as client:
        await client.call_tool(tool, arguments)
    assert list(parents(spans(), asked))[:2] == [asked, f"tools/call {tool}"]


async def test_a_trace_stays_on_this_machine_unless_it_may_leave(spans, connect_to, answering) -> None:
    recorder = answering({"data": []})
    async with connect_to(recorder) as client:
        await client.call_tool("list_agents", {})
    async with connect_to(recorder, send_traceparent=True) as client:
        await client.call_tool("list_agents", {})
    kept, told = recorder.requests
    assert "traceparent" not in kept.headers
    asked = [span.context for span in spans() if span.name == "GET /v1/agents"][-1]
    assert told.headers["traceparent"].split("-")[1:3] == [f"{asked.trace_id:032x}", f"{asked.span_id:016x}"]


def test_no_secret_leaves_in_a_span() -> None:
    secrets = Secrets(ApiKey(LIVE_KEY))
    secrets.learn(HOOK)
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(RedactingExporter(kept, secrets.redact)))
    span = provider.get_tracer("t").start_span(f"tools/call {HOOK}")
    span.set_attributes({"tool": LIVE_KEY, "tools": [HOOK, "other"], "count": 2})
    span.add_event(f"read {HOOK}", {"url": "?k=whsec_a%2Fb%2Bc%3D0123456789"})
    span.record_exception(RuntimeError(LIVE_KEY))
    span.set_status(StatusCode.ERROR, f"RuntimeError: {LIVE_KEY}")
    span.end()
    provider.shutdown()
    (sent,) = kept.get_finished_spans()
    assert LIVE_KEY not in sent.to_json()
    assert HOOK not in sent.to_json()
    assert "%2Fb" not in sent.to_json()
    assert sent.name == "tools/call [secret removed]"
    assert dict(sent.attributes) == {"tool": "[key removed]", "tools": ["[secret removed]", "other"], "count": 2}
    assert [event.name for event in sent.events] == ["read [secret removed]", "exception"]
    assert (sent.status.status_code, sent.status.description) == (StatusCode.ERROR, "RuntimeError: [key removed]")
    assert (sent.context, sent.instrumentation_scope.name) == (span.get_span_context(), "t")


@contextmanager
def collector() -> Generator[tuple[str, list[bytes]]]:
    """A place on this machine that spans can be sent to, and what was."""
    received: list[bytes] = []

    class Collecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Collecting) as server, ThreadPoolExecutor() as pool:
        pool.submit(server.serve_forever, poll_interval=0.01)
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()


def served(**environment: str) -> subprocess.CompletedProcess[str]:
    """A server over stdio that is asked for the agents of its sandbox, and left."""
    return subprocess.run(
        [*COMMAND, "--sandbox"],
        env=clean_environment(OTEL_METRICS_EXPORTER="none", **environment),
        input="".join(f"{json.dumps(message)}\n" for message in (HELLO, READY, CALL)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_spans_are_sent_where_the_standard_variables_say() -> None:
    with collector() as (url, received):
        ended = served(OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_RESOURCE_ATTRIBUTES="deployment.environment=desk")
    assert (ended.returncode, ended.stderr) == (0, "")
    sent = [ExportTraceServiceRequest.FromString(body) for body in received]
    names = {span.name for one in sent for row in one.resource_spans for of in row.scope_spans for span in of.spans}
    assert {"tools/call list_agents", "GET /v1/agents"} <= names
    resource = {item.key: item.value.string_value for item in sent[0].resource_spans[0].resource.attributes}
    assert (resource["service.name"], resource["deployment.environment"]) == ("agentphone-mcp", "desk")


def test_spans_on_the_console_are_on_stderr() -> None:
    ended = served(OTEL_TRACES_EXPORTER="console")
    assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] == [0, 2]
    assert '"name": "GET /v1/agents"' in ended.stderr
    assert "sk_sandbox_" not in ended.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({"OTEL_TRACES_EXPORTER": "none"}, "", id="none"),
        pytest.param({"OTEL_TRACES_EXPORTER": "zipkin"}, "spans are not sent by zipkin", id="another"),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "spans are not sent by otlp over grpc",
            id="grpc",
        ),
    ],
)
def test_what_cannot_be_used_is_told_and_the_server_serves(environment: dict[str, str], said: str) -> None:
    """The variables may be meant for other programs of the same user."""
    ended = served(**environment)
    assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] == [0, 2]
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == bool(said)


def test_without_the_sdk_the_server_serves(tmp_path: Path) -> None:
    hidden = tmp_path / "opentelemetry-sdk-is-not-there"
    hidden.mkdir()
    hiding = "import sys; sys.modules['opentelemetry.sdk'] = None; sys.modules['opentelemetry.exporter'] = None"
    (hidden / "sitecustomize.py").write_text(hiding)
    ended = served(OTEL_TRACES_EXPORTER="otlp", AGENTPHONE_LOG_LEVEL="INFO", PYTHONPATH=f"{hidden}{os.pathsep}{ROOT}")
    assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] == [0, 2]
    assert "install agentphone-mcp[otel]" in ended.stderr
