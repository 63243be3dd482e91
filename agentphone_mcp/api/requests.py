"""Requests as they are handed to the key's rule: the path quoted, and no credentials on them yet.

httpx's own client would add cookies, redirects and URLs to be merged to each, which the rule forbids or nobody needs.
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
    """Makes the requests of one account.

    Args:
        base: the origin that they go to, with a slash at its end.
        sub_account: the child account that they are scoped to (`X-Sub-Account-Id`).
        timeout: seconds that may pass without a byte.
        to_connect: seconds that a connection may take.
    """

    def __init__(self, base: str, sub_account: str | None, timeout: float, to_connect: float) -> None:
        self._base = base
        self._headers = {"Accept-Encoding": "gzip, deflate", "User-Agent": f"agentphone-mcp/{__version__}"}
        if sub_account:
            self._headers["X-Sub-Account-Id"] = sub_account
        self._timeouts = {
            JSON: httpx.Timeout(timeout, connect=to_connect).as_dict(),
            EVENTS: httpx.Timeout(SILENCE, connect=to_connect).as_dict(),
        }

    def url(self, line: RequestLine) -> str:
        """Where a request goes.

        Raises:
            BadPathValue: if what stands in for an id is none.
        """
        path = line.path.format_map({name: _path_value(line, name) for name in line.ids})
        return self._base + path.removeprefix("/")

    def make(
        self,
        line: RequestLine,
        url: httpx.URL | str,
        query: Query | None = None,
        body: object = None,
        *,
        accept: str = JSON,
    ) -> httpx.Request:
        """Make a request.

        Args:
            line: what is asked.
            url: where; that of the line, or where its answer led to.
            query: the fields of the query; those that are None are left out.
            body: what is sent as JSON.
            accept: `JSON`, or `EVENTS` for a stream.

        Raises:
            Unsendable: if a value cannot be written.
        """
        fields = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            return httpx.Request(
                line.method,
                url,
                params=fields or None,
                json=body,
                headers=self._headers | {"Accept": accept},
                extensions={"timeout": self._timeouts[accept]},
            )
        except (httpx.InvalidURL, ValueError) as odd:
            raise Unsendable(line, "a value in it cannot be sent: it is too long, or no text or number") from odd


def _path_value(line: RequestLine, name: str) -> str:
    """Admit an id into a path, and nothing else."""
    value = line.ids[name]
    if not is_id(value):
        shown = RequestLine(line.method, line.path, {**line.ids, name: "…"})
        raise BadPathValue(shown, f"{name} is no id")
    return value
