"""When a request is sent again, and after how long: what is safe to repeat, and no longer than a host would wait."""

import random
from email.utils import parsedate_to_datetime
from math import ceil
from time import time

import httpx

from agentphone_mcp.api.errors import RequestLine

TRIES = 3
LONGEST_WAIT = 8.0
"""Seconds: a longer Retry-After is reported to the caller instead of being waited for."""
BUSY = (500, 502, 503, 504)
"""Statuses of trouble that may be over in a moment."""


def delay_before_retry(response: httpx.Response, line: RequestLine, tries_left: int) -> float | None:
    """How long to wait before trying again, or None where trying again is not safe or takes too long."""
    if response.status_code == 429:  # Not accepted, so even a write may be sent again.
        asked = retry_after(response)
        if asked is None:
            return backoff(tries_left)
        return asked + random.uniform(0, 0.25) if asked <= LONGEST_WAIT else None  # noqa: S311 - jitter, no secret
    return backoff(tries_left) if response.status_code in BUSY and line.is_read else None


def backoff(tries_left: int) -> float:
    """Seconds before the next try: about 0.25, then 0.5, spread so that clients do not come back in step."""
    return 0.25 * 2 ** (TRIES - 1 - tries_left) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret


def retry_after(response: httpx.Response) -> float | None:
    """Read Retry-After: seconds, or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, ceil(parsedate_to_datetime(value).timestamp() - time()))
    except (ValueError, TypeError, OverflowError):
        return None
