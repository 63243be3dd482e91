"""Read responses without the secrets in them: their JSON, their errors and their request ids."""

import re
from collections.abc import Iterator
from typing import Any

import httpx

from agentphone_mcp.api.api_key import ApiKey, mask_keys
from agentphone_mcp.api.errors import ApiError, RateLimited, RequestLine, error_for
from agentphone_mcp.api.parsing import is_object, read_error, read_json
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.api.retries import retry_after

_MAX_DETAIL = 1_000
_MAX_ID = 64
_UNSAFE_IN_AN_ID = re.compile(r"[^A-Za-z0-9._:=+-]")


class ResponseReader:
    """Reads the responses of one account.

    Args:
        key: redacted in everything that is read.
        secrets: redacted in errors.
    """

    def __init__(self, key: ApiKey | None, secrets: Secrets) -> None:
        self._key = key
        self._secrets = secrets

    def json(self, body: bytes) -> Any:
        """Parse a response body as JSON, with the key redacted.

        Raises:
            ValueError: if it is no JSON.
        """
        if self._key is None:
            return read_json(body)
        payload = read_json(self._key.redact_in_bytes(body))
        try:
            return self._key.redact_in_json(payload) if b"\\" in body else payload
        except RecursionError:
            raise ValueError("nested too deep") from None

    def error(self, request_line: RequestLine, response: httpx.Response) -> ApiError:
        """Turn an error response into the `ApiError` of its kind."""
        payload = None
        try:
            payload = self.json(response.content)
            detail, code = read_error(payload)
        except ValueError:
            detail, code = "the answer was a web page or plain text, not the API's JSON", None
        detail = self._secrets.redact(detail)[:_MAX_DETAIL]
        error = error_for(request_line, response.status_code, detail, self._secrets.redact(code) if code else None)
        error.request_id = self.request_id(response, payload)
        if isinstance(error, RateLimited):
            error.retry_after = retry_after(response)
        return error

    def request_id(self, response: httpx.Response, payload: Any = None) -> str | None:
        """Return the id that the API, or else the network in front of it, gave this request.

        Args:
            response: its headers may hold the id.
            payload: the JSON of an error's body, which may hold it too.
        """
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
