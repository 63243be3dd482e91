"""Read responses without the secrets in them: JSON, errors, request ids, and when to send a request again."""

import random
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from math import ceil
from time import time
from typing import Any

import httpx

from agentphone_mcp.api.api_key import ApiKey, mask_keys
from agentphone_mcp.api.bodies import IS_CUT
from agentphone_mcp.api.errors import ApiError, RateLimited, RequestLine, error_for
from agentphone_mcp.api.pacing import LONGEST_PACE
from agentphone_mcp.api.parsing import is_object, read_error, read_json
from agentphone_mcp.api.redaction import Secrets

TRIES = 3
CONNECT_TIMEOUT = 10.0
LONGEST_WAIT = 8.0
"""Seconds; a longer Retry-After is reported to the caller instead of being waited for."""
BUSY = (500, 502, 503, 504)
"""Statuses of server errors that may be over in a moment."""
_MAX_DETAIL = 1_000
_MAX_ID = 64
_UNSAFE_IN_AN_ID = re.compile(r"[^A-Za-z0-9._:=+-]")


class ResponseReader:
    """Reads the responses of one account; redacts the key in everything, and all secrets in errors."""

    def __init__(self, key: ApiKey | None, secrets: Secrets) -> None:
        self._key = key
        self._secrets = secrets

    def json(self, body: bytes) -> Any:
        """Parse a response body as JSON, with the key redacted, or raise `ValueError`."""
        if self._key is None:
            return read_json(body)
        payload = read_json(self._key.redact_in_bytes(body))
        try:
            return self._key.redact_in_json(payload) if b"\\" in body else payload
        except RecursionError:
            raise ValueError("nested too deep") from None

    def error(self, request_line: RequestLine, response: httpx.Response) -> ApiError:
        """Turn an error response into the `ApiError` of its kind."""
        payload, code = None, None
        try:
            if response.extensions.get(IS_CUT):
                detail = "what it says is too long to be read"
            else:
                payload = self.json(response.content)
                detail, code = read_error(payload)
        except ValueError:
            detail = "the answer was a web page or plain text, not the API's JSON"
        detail = self._secrets.redact(detail)[:_MAX_DETAIL]
        error = error_for(request_line, response.status_code, detail, self._secrets.redact(code) if code else None)
        error.request_id = self.request_id(response, payload)
        if isinstance(error, RateLimited):
            error.retry_after = retry_after(response)
        return error

    def request_id(self, response: httpx.Response, payload: Any = None) -> str | None:
        """Return the id that the API, or else the network in front of it, put in the headers or an error's JSON."""
        return next(filter(None, map(self._safe_id, _ids_in(response.headers, payload))), None)

    def _safe_id(self, request_id: str) -> str | None:
        """Truncate an id and remove odd characters; None if it holds a secret before or after that."""
        bounded = _UNSAFE_IN_AN_ID.sub("", request_id)[:_MAX_ID]
        return bounded if all(mask_keys(self._secrets.redact(text)) == text for text in (request_id, bounded)) else None


def _ids_in(headers: httpx.Headers, payload: Any) -> Iterator[str]:
    """Yield every id, the API's own before Cloudflare's."""
    yield from (headers.get(name, "").partition(",")[0] for name in ("X-Request-Id", "Request-Id"))
    if is_object(payload):
        parts = [part for part in (payload.get("error"), payload) if is_object(part)]
        ids = (part.get(name) for part in parts for name in ("request_id", "requestId"))
        yield from (value for value in ids if isinstance(value, str))
    yield headers.get("CF-Ray", "")


def delay_before_retry(response: httpx.Response, request_line: RequestLine, tries_left: int) -> float | None:
    """Return the seconds to wait before the next try; None if it is not safe or the wait is too long."""
    if response.status_code == 429:  # Not accepted, so even a write may be sent again.
        wait = retry_after(response)
        if wait is None:
            return backoff(tries_left)
        return wait + random.uniform(0, 0.25) if wait <= LONGEST_WAIT else None  # noqa: S311 - jitter, no secret
    return backoff(tries_left) if response.status_code in BUSY and request_line.is_read else None


def slowest_write(timeout: float) -> float:
    """Return the seconds after which a write was answered or given up: the time of all tries and waits together."""
    return TRIES * (LONGEST_PACE + timeout + min(timeout, CONNECT_TIMEOUT) + LONGEST_WAIT + 1)


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
