"""Decide whether a request is sent again, and after how many seconds."""

import random
from email.utils import parsedate_to_datetime
from math import ceil
from time import time

import httpx

from agentphone_mcp.api.errors import RequestLine

TRIES = 3
LONGEST_WAIT = 8.0
"""Seconds; a longer Retry-After is reported to the caller instead of being waited for."""
BUSY = (500, 502, 503, 504)
"""Statuses of server errors that may be over in a moment."""


def delay_before_retry(response: httpx.Response, request_line: RequestLine, tries_left: int) -> float | None:
    """Return the seconds to wait before the next try; None if it is not safe or the wait is too long."""
    if response.status_code == 429:  # Not accepted, so even a write may be sent again.
        wait = retry_after(response)
        if wait is None:
            return backoff(tries_left)
        return wait + random.uniform(0, 0.25) if wait <= LONGEST_WAIT else None  # noqa: S311 - jitter, no secret
    return backoff(tries_left) if response.status_code in BUSY and request_line.is_read else None


def backoff(tries_left: int) -> float:
    """Return the seconds before the next try: about 0.25, then 0.5, with jitter so that clients spread out."""
    return 0.25 * 2 ** (TRIES - 1 - tries_left) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date; None if it is neither."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, ceil(parsedate_to_datetime(value).timestamp() - time()))
    except (ValueError, TypeError, OverflowError):
        return None
