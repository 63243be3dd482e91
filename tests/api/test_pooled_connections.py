"""The pool below httpx: what goes wrong there is told in httpx's words, by which it is known what was sent."""

import inspect

import httpcore2
import httpx
import pytest

from agentphone_mcp.api.pool import PooledConnections

ERRORS = [
    kind
    for _, kind in inspect.getmembers(httpcore2, inspect.isclass)
    if issubclass(kind, Exception) and kind is not httpcore2.ConnectionNotAvailable
]


class Broken(httpcore2.AsyncHTTPConnection):
    """A connection in which something is wrong."""

    def __init__(self, wrong: Exception, origin: httpcore2.Origin) -> None:
        super().__init__(origin)
        self._wrong = wrong

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Fail."""
        raise self._wrong


async def raised_for(wrong: Exception, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """What a client of httpx sees of it."""
    connections = PooledConnections()
    monkeypatch.setattr(httpcore2.AsyncConnectionPool, "create_connection", lambda _, to: Broken(wrong, to))
    async with httpx.AsyncClient(transport=connections) as client:
        with pytest.raises(Exception, match=str(wrong)) as seen:
            await client.get("http://127.0.0.1:1/v1/agents")
    return seen.value


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
async def test_an_error_of_the_pool_is_httpxs_of_that_name(kind: type[Exception], monkeypatch) -> None:
    """A connection that was never made and an answer that was lost must not be mistaken for each other."""
    seen = await raised_for(kind("what was wrong"), monkeypatch)
    assert type(seen) is getattr(httpx, kind.__name__)
    assert str(seen) == "what was wrong"


async def test_a_newer_kind_of_error_is_told_as_the_nearest_known_one(monkeypatch) -> None:
    """The pool may learn to be more exact than httpx is."""

    class LateRead(httpcore2.ReadTimeout):
        __module__ = "httpcore2"

    assert type(await raised_for(LateRead("late"), monkeypatch)) is httpx.ReadTimeout


async def test_a_mistake_of_ours_stays_what_it_is(monkeypatch) -> None:
    """It is no trouble of the network."""
    assert str(await raised_for(ZeroDivisionError("ours"), monkeypatch)) == "ours"
