"""Build the API's requests: ids are checked before they enter a path; the key is added later, by `AuthTransport`.

httpx.AsyncClient is not used: it would add cookies, redirects and the merging of URLs to each request.
"""

from collections.abc import Mapping

import httpx

from agentphone_mcp import __version__
from agentphone_mcp.api.errors import BadPathValue, RequestLine, Unsendable
from agentphone_mcp.api.provenance import is_id

Query = Mapping[str, str | int | None]
JSON, EVENTS = "application/json", "text/event-stream"
SILENCE = 60.0
"""Seconds without a byte, heartbeats included, after which a transcript stream counts as lost."""


class RequestBuilder:
    """Builds the requests of one account.

    `base` ends with a slash; `timeout` is in seconds without a byte, `connect_timeout` in seconds for a connection.
    """

    def __init__(self, base: str, sub_account: str | None, timeout: float, connect_timeout: float) -> None:
        self._base = base
        self._headers = {"Accept-Encoding": "gzip, deflate", "User-Agent": f"agentphone-mcp/{__version__}"}
        if sub_account:
            self._headers["X-Sub-Account-Id"] = sub_account
        self._timeouts = {
            JSON: httpx.Timeout(timeout, connect=connect_timeout).as_dict(),
            EVENTS: httpx.Timeout(SILENCE, connect=connect_timeout).as_dict(),
        }

    def url(self, request_line: RequestLine) -> str:
        """Return the URL of a request, or raise `BadPathValue` if a value for the path is no id."""
        for name, value in request_line.ids.items():
            if not is_id(value):
                shown = RequestLine(request_line.method, request_line.path, {**request_line.ids, name: "…"})
                raise BadPathValue(shown, f"{name} is no id")
        return self._base + request_line.path.format_map(request_line.ids).removeprefix("/")

    def build(
        self,
        request_line: RequestLine,
        url: httpx.URL | str,
        query: Query | None = None,
        body: object = None,
        *,
        accept: str = JSON,
    ) -> httpx.Request:
        """Build a request to the URL of its line or of a redirect, with the fields of the query that are not None.

        Raises:
            Unsendable: if a value cannot be written.
        """
        fields = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            return httpx.Request(
                request_line.method,
                url,
                params=fields or None,
                json=body,
                headers=self._headers | {"Accept": accept},
                extensions={"timeout": self._timeouts[accept]},
            )
        except (httpx.InvalidURL, ValueError) as exc:
            detail = "a value in it cannot be sent: it is too long, or no text or number"
            raise Unsendable(request_line, detail) from exc
