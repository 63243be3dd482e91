"""Record the requests of an API client: their duration, the server's clock, and their errors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import perf_counter, time

import httpx

_HALF_A_SECOND = 0.5
"""The average by which a Date header is late, as it has no fractions of a second."""


@dataclass
class RecordingTransport(httpx.AsyncBaseTransport):
    """Passes requests on and records their results.

    Attributes:
        inner: the transport that sends them.
        clock: returns this machine's time, in seconds since the epoch.
        seconds: the duration of each request.
        clock_offsets: the seconds by which this machine's clock is ahead of the server's, by answer.
        error: why the last request got no answer.
        content_type: the content type of the last answer.
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
            httpx.TransportError: as the inner transport does.
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
        """Close the inner transport."""
        await self.inner.aclose()


def _moment(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header)
    except ValueError:
        return None
