"""Reads answers without what must not be shown: their JSON, their errors, and the id by which support knows them."""

import re
from collections.abc import Iterator
from typing import Any

import httpx

from agentphone_mcp.api.api_key import ApiKey, mask_keys
from agentphone_mcp.api.errors import ApiError, RateLimited, RequestLine, error_for
from agentphone_mcp.api.parsing import is_object, read_error, read_json
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.api.retries import retry_after

_LONGEST_DETAIL = 1_000
_LONGEST_ID = 64
_UNSAFE_IN_AN_ID = re.compile(r"[^A-Za-z0-9._:=+-]")


class ResponseReader:
    """Reads the answers of one account.

    Args:
        key: redacted from whatever is read.
        secrets: redacted from errors.
    """

    def __init__(self, key: ApiKey | None, secrets: Secrets) -> None:
        self._key = key
        self._secrets = secrets

    def json(self, body: bytes) -> Any:
        """Parse an answer, without the key.

        Raises:
            ValueError: if it is no JSON.
        """
        if self._key is None:
            return read_json(body)
        found = read_json(self._key.redact_in_bytes(body))
        try:
            return self._key.redact_in_json(found) if b"\\" in body else found
        except RecursionError:
            raise ValueError("nested too deep") from None

    def error(self, line: RequestLine, response: httpx.Response) -> ApiError:
        """Make an answer that says no into the error of its kind."""
        found = None
        try:
            found = self.json(response.content)
            detail, code = read_error(found)
        except ValueError:
            detail, code = "the answer was a web page or plain text, not the API's JSON", None
        detail = self._secrets.redact(detail)[:_LONGEST_DETAIL]
        error = error_for(line, response.status_code, detail, self._secrets.redact(code) if code else None)
        error.request_id = self.request_id(response, found)
        if isinstance(error, RateLimited):
            error.retry_after = retry_after(response)
        return error

    def request_id(self, response: httpx.Response, found: Any = None) -> str | None:
        """Find what the API, or the network in front of it, calls this request.

        Args:
            response: whose headers may say it.
            found: the JSON of its body, where that is an error.
        """
        return next(filter(None, map(self._fit_to_show, _ids_in(response.headers, found))), None)

    def _fit_to_show(self, given: str) -> str | None:
        """An id that can be quoted, bounded and without odd characters; none that holds a secret, however split."""
        bounded = _UNSAFE_IN_AN_ID.sub("", given)[:_LONGEST_ID]
        return bounded if all(mask_keys(self._secrets.redact(text)) == text for text in (given, bounded)) else None


def _ids_in(headers: httpx.Headers, found: Any) -> Iterator[str]:
    """Every id, the API's own first: Cloudflare's is told last, as it leads to the API by a detour."""
    yield from (headers.get(name, "").partition(",")[0] for name in ("X-Request-Id", "Request-Id"))
    if is_object(found):
        parts = [part for part in (found.get("error"), found) if is_object(part)]
        told = (part.get(name) for part in parts for name in ("request_id", "requestId"))
        yield from (value for value in told if isinstance(value, str))
    yield headers.get("CF-Ray", "")
