"""Provide a server on h11 and on httptools, with short deadlines or with the real ones."""

from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest

from agentphone_mcp.system.http.timeouts import ClientLimits
from tests.system.http.served import H11, HTTPTOOLS, QUICK, Serve, Served, serving


@pytest.fixture(params=[H11, HTTPTOOLS])
def serve(request: pytest.FixtureRequest, closing: Callable[[Callable[[], object]], None]) -> Generator[Serve]:
    """Serve in a thread, with an event loop of its own and one of the protocols."""
    kind, use_uvloop = request.param
    if use_uvloop:
        pytest.importorskip("uvloop")
    box = ExitStack()

    def serve(limits: ClientLimits) -> Served:
        return box.enter_context(serving(kind, limits, {"use_uvloop": use_uvloop}))

    yield serve
    closing(box.close)


@pytest.fixture
def quick(serve: Serve) -> Served:
    """Serve with deadlines of less than a second."""
    return serve(QUICK)


@pytest.fixture
def calm(serve: Serve) -> Served:
    """Serve with the real limits, so that no deadline ends a test."""
    return serve(ClientLimits())
