"""Watches the requests of an API client: how long each took, what clock the answer had, and why none came."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import perf_counter, time

import httpx

_HALF_A_SECOND = 0.5
"""A Date header is cut to the second, so that on average it is that much behind."""


@dataclass
class RecordingTransport(httpx.AsyncBaseTransport):
    """Passes requests on and notes what came of them.

    Attributes:
        inner: what really sends.
        clock: seconds since the epoch, as this machine has them.
        seconds: how long each answer took.
        ahead: how many seconds this machine's clock is ahead of the answer's, as each answer has it.
        lost: why the last request got no answer.
        kind: the content type of the last answer.
    """

    inner: httpx.AsyncBaseTransport
    clock: Callable[[], float] = time
    seconds: list[float] = field(default_factory=list[float])
    clock_offsets: list[float] = field(default_factory=list[float])
    error: httpx.HTTPError | None = None
    content_type: str = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        Raises:
            httpx.TransportError: as the inner one does.
        """
        sent, started = self.clock(), perf_counter()
        try:
            response = await self.inner.handle_async_request(request)
        except httpx.HTTPError as exc:
            self.error = exc
            raise
        took = perf_counter() - started
        self.error, self.content_type = None, response.headers.get("Content-Type", "")
        self.seconds.append(took)
        date = _moment(response.headers.get("Date", ""))
        if date:
            self.clock_offsets.append(sent + took / 2 - (date.timestamp() + _HALF_A_SECOND))
        return response

    async def aclose(self) -> None:
        """Close the connections below."""
        await self.inner.aclose()


def _moment(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header)
    except ValueError:
        return None
