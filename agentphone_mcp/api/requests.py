"""Build the API's requests: ids are checked before they enter a path; the key is added later, by `AuthTransport`.

httpx.AsyncClient is not used: it would add cookies, redirects and the merging of URLs to each request.
"""

from collections.abc import Mapping

import httpx

from agentphone_mcp import __version__
from agentphone_mcp.api.errors import BadPathValue, RequestLine, Unsendable
from agentphone_mcp.api.models import is_id

Query = Mapping[str, str | int | None]
JSON, EVENTS = "application/json", "text/event-stream"
SILENCE = 60.0
"""Seconds without a byte, heartbeats included, after which a transcript stream counts as lost."""


class RequestBuilder:
    """Builds the requests of one account.

    Args:
        base: the origin that they go to, with a slash at its end.
        sub_account: the child account that they are scoped to (`X-Sub-Account-Id`).
        timeout: seconds that may pass without a byte.
        connect_timeout: seconds that a connection may take.
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
        """Return the URL of a request.

        Raises:
            BadPathValue: if a value for the path is no id.
        """
        path = request_line.path.format_map({name: _path_value(request_line, name) for name in request_line.ids})
        return self._base + path.removeprefix("/")

    def build(
        self,
        request_line: RequestLine,
        url: httpx.URL | str,
        query: Query | None = None,
        body: object = None,
        *,
        accept: str = JSON,
    ) -> httpx.Request:
        """Build a request.

        Args:
            request_line: the method, the path and its ids.
            url: the request line's, or the target of a redirect.
            query: the fields of the query; those that are None are left out.
            body: what is sent as JSON.
            accept: `JSON`, or `EVENTS` for a stream.

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
            raise Unsendable(
                request_line, "a value in it cannot be sent: it is too long, or no text or number"
            ) from exc


def _path_value(request_line: RequestLine, name: str) -> str:
    """Return an id for the path, or raise `BadPathValue` for anything else."""
    value = request_line.ids[name]
    if not is_id(value):
        shown = RequestLine(request_line.method, request_line.path, {**request_line.ids, name: "…"})
        raise BadPathValue(shown, f"{name} is no id")
    return value
