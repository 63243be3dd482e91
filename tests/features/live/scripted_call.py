"""Follow a scripted call with wait_for_call, and collect its progress notifications."""

import json
from typing import Any

import anyio
import httpx

from tests.features.marks import mark, quote, same_code

EVENT_STREAM = {"Content-Type": "text/event-stream"}
SAID = ["Hello, this is Desk.", "Hi.", "How can I help?", "Bye."]
SHOWN = [quote(SAID[0]), mark(SAID[1]), quote(SAID[2]), mark(SAID[3])]


def events(*pairs: tuple[str, dict[str, Any]]) -> httpx.Response:
    """Make a response that streams these events, each a kind and its data, and then closes."""
    text = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in pairs)
    return httpx.Response(200, text=": heartbeat\n\n" + text, headers=EVENT_STREAM)


def turns(count: int = len(SAID)) -> list[dict[str, str]]:
    """Make the first turns of the call, as the API writes them."""
    return [{"role": "user" if number % 2 else "agent", "content": text} for number, text in enumerate(SAID[:count])]


def spoken(count: int, *more: tuple[str, dict[str, Any]]) -> httpx.Response:
    """Make a response that streams the first turns of the call, then further events, and then closes."""
    return events(*(("turn", turn) for turn in turns(count)), *more)


def texts(result: dict[str, Any]) -> list[str]:
    """List what was said in the turns of a result."""
    return [turn["text"] for turn in result["turns"]]


def api(stream: Any, status: str = "in-progress", said: int = len(SAID)) -> Any:
    """Imitate an API with one call; `stream` is the response of its live stream, or makes it from the request."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return stream(request) if callable(stream) else stream
        if request.url.path.endswith("/transcript"):
            return httpx.Response(200, json={"transcript": turns(said)})
        return httpx.Response(200, json={"id": "call_1", "status": status})

    return answer


class Progress:
    """Collect the progress notifications of a client."""

    def __init__(self) -> None:
        self.counts: list[float] = []
        self.lines: list[str] = []
        self._changed = anyio.Event()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Take in a notification."""
        self.counts.append(progress)
        self.lines.append(same_code(message or ""))
        self._changed.set()
        self._changed = anyio.Event()

    async def reach(self, count: int) -> None:
        """Wait until so many have arrived."""
        with anyio.fail_after(60):
            while len(self.lines) < count:
                await self._changed.wait()


async def follow(ai: Any, progress: Progress | None = None, **arguments: Any) -> dict[str, Any]:
    """Call wait_for_call and return its result, or fail after a minute."""
    with anyio.fail_after(60):
        result = await ai.client.call_tool("wait_for_call", arguments, progress_callback=progress)
    assert not result.is_error, result.content[0].text
    return json.loads(same_code(result.content[0].text))
