"""Fixtures for every test: a sandbox, connected MCP clients, an API with scripted answers, and a PostgreSQL."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import settings
from mcp.client import Client
from mcp_types import Implementation
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import set_tracer_provider

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.sandbox import Sandbox, running
from agentphone_mcp.server.server import create_server
from tests.postgresql import PostgreSQL, binaries
from tests.support import LIVE_KEY

# The same examples on every machine; `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1_000)
settings.load_profile("reproducible")

Connect = Callable[..., AbstractAsyncContextManager[Client]]
Answer = Callable[[httpx.Request], httpx.Response]
Asks = Callable[..., Any] | None
"""How a host asks its user; None for one that cannot."""
Hears = Callable[[Any], Awaitable[None]] | None
"""What a host does with the notifications of a server."""
HOST = Implementation(name="Test Host", version="4.2")
LEFT_OUT = pytest.StashKey[set[str]]()
"""Which slow tests were left out."""


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the slow tests that this run leaves out."""
    for item in items:
        if item.get_closest_marker("slow"):
            left_out = item.config.stash.setdefault(LEFT_OUT, set())
            left_out.add(item.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker of xdist tell the run that started it what it left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = len(session.config.stash.get(LEFT_OUT, set()))


class _Workers:
    """Hears from the workers of xdist; each has the same tests."""

    left_out = 0

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker left out."""
        self.left_out = max(self.left_out, getattr(node, "workeroutput", {}).get("left_out", 0))


def pytest_configure(config: pytest.Config) -> None:
    """Listen to the workers, where there are any."""
    config.pluginmanager.register(_Workers(), "left-out")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last line how many slow tests were left out, and how they are run."""
    workers: _Workers = config.pluginmanager.get_plugin("left-out")
    count = workers.left_out or len(config.stash.get(LEFT_OUT, set()))
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if count and terminal and not hasattr(config, "workeroutput"):
        terminal.write_line(f"{count} slow tests were left out: run them with `pytest -m slow`")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write captured output so that it can be sent between processes: half a character cannot."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report


class Recorder:
    """Stand in for the network: answer each request as scripted and keep what was sent."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer
        self.transport = httpx.MockTransport(self._handle)

    @property
    def lines(self) -> list[str]:
        """List each request as `METHOD url`."""
        return [f"{request.method} {request.url}" for request in self.requests]

    @property
    def writes(self) -> list[str]:
        """List the requests that could have changed something."""
        return [line for line in self.lines if not line.startswith("GET ")]

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)


@pytest.fixture(scope="session")
def closing() -> Generator[Callable[[Callable[[], object]], None]]:
    """Close web servers in the background, as they take a while to stop."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        closed = []
        yield lambda close: closed.append(pool.submit(close))
        for one in closed:
            one.result()


@pytest.fixture
def sandbox(closing: Callable[[Callable[[], object]], None]) -> Generator[Sandbox]:
    """Run a fresh sandbox on a loopback port, fifty times faster than real time."""
    box = ExitStack()
    yield box.enter_context(running(speed=50))
    closing(box.close)


@pytest.fixture
def writes(sandbox: Sandbox) -> Callable[[], list[str]]:
    """List the sandbox's requests that could have changed something, each as `METHOD path`."""

    def writes() -> list[str]:
        return [f"{request.method} {request.path}" for request in sandbox.requests if request.method != "GET"]

    return writes


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test and its processes a state folder, so that no real ledger or keychain is touched."""
    folder = tmp_path / "state"
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("AGENTPHONE_STATE", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def tracer_provider() -> TracerProvider:
    """Set up OpenTelemetry in this process, once."""
    provider = TracerProvider(shutdown_on_exit=False)
    set_tracer_provider(provider)
    return provider


@pytest.fixture
def spans(tracer_provider: TracerProvider) -> Generator[Callable[[], list[ReadableSpan]]]:
    """List the spans that ended during the test so far."""
    kept = InMemorySpanExporter()
    tracer_provider.add_span_processor(SimpleSpanProcessor(kept))
    yield lambda: [span for span in kept.get_finished_spans() if span.instrumentation_scope.name != "test"]
    kept.shutdown()


@pytest.fixture
def connect(sandbox: Sandbox, state: Path) -> Connect:
    """Connect an MCP client in memory to our server on the sandbox; settings are those of `Config`.

    `asks` is how the host asks its user; without it, it cannot. `hears` is told of what the server sends by itself.
    """

    @asynccontextmanager
    async def connect(
        mode: str = "auto", asks: Asks = None, hears: Hears = None, **settings: Any
    ) -> AsyncGenerator[Client]:
        config = Config(
            **{"api_key": ApiKey(sandbox.key), "base_url": sandbox.url, "ledger_location": str(state)} | settings
        )
        server = create_server(config)
        async with Client(
            server, mode=mode, elicitation_callback=asks, message_handler=hears, client_info=HOST
        ) as client:
            yield client

    return connect


@pytest.fixture
def connect_to(state: Path) -> Connect:
    """Connect an MCP client to our server with the vendor's address, a live key and a `Recorder` for a network."""

    @asynccontextmanager
    async def connect_to(
        recorder: Recorder, mode: str = "auto", asks: Asks = None, hears: Hears = None, **settings: Any
    ) -> AsyncGenerator[Client]:
        config = Config(**{"api_key": ApiKey(LIVE_KEY), "ledger_location": str(state)} | settings)
        server = create_server(config, inner=recorder.transport)
        async with Client(
            server, mode=mode, elicitation_callback=asks, message_handler=hears, client_info=HOST
        ) as client:
            yield client

    return connect_to


@pytest.fixture
def api_over() -> Callable[[Recorder], ApiClient]:
    """An API client with the vendor's address, a live key and a `Recorder` for a network."""

    def api_over(recorder: Recorder) -> ApiClient:
        return ApiClient(Transport(DEFAULT_BASE_URL, ApiKey(LIVE_KEY), inner=recorder.transport))

    return api_over


@pytest.fixture
def answering() -> Callable[..., Recorder]:
    """Make a `Recorder` from a function, or from one JSON body and status for every request."""

    def answering(answer: Answer | Any = None, status: int = 200) -> Recorder:
        return Recorder(answer if callable(answer) else lambda _: httpx.Response(status, json=answer))

    return answering


@pytest.fixture
def rows_of() -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of a table by column, without empty cells."""

    def rows_of(told: dict[str, Any]) -> list[dict[str, Any]]:
        rows = [dict(zip(told["columns"], row, strict=True)) for row in told["rows"]]
        return [{name: cell for name, cell in row.items() if cell != ""} for row in rows]

    return rows_of


@pytest.fixture
def ledger(state: Path) -> Callable[[], list[Entry]]:
    """Read the ledger, oldest entry first."""

    def entries() -> list[Entry]:
        ledger = Ledger(str(state))
        found = ledger.entries()
        ledger.close()
        return found

    return entries


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Wait a bounded time until a condition holds that another task or process brings about."""

    async def eventually(holds: Callable[[], bool | Awaitable[bool]]) -> None:
        async def is_so() -> bool:
            said = holds()
            return said if isinstance(said, bool) else await said

        with anyio.fail_after(60):
            while not await is_so():  # noqa: ASYNC110 - a database, a process and a sandbox in a thread set no events
                await anyio.sleep(0.01)

    return eventually


@pytest.fixture(scope="session")
def postgresql() -> Generator[Callable[[], str]]:
    """Make databases in a PostgreSQL of the tests' own; each call returns a new SQLAlchemy URL."""
    cluster = PostgreSQL(binaries())
    yield cluster.database
    cluster.remove()


@pytest.fixture
def cluster() -> Generator[PostgreSQL]:
    """Run a PostgreSQL for one test."""
    cluster = PostgreSQL(binaries())
    yield cluster
    cluster.remove()
