"""Turn what went wrong with a connection or a body into an error that says whether something may have happened."""

import httpx

from agentphone_mcp.api.bodies import BodyRefused
from agentphone_mcp.api.errors import ApiError, OutcomeUnknown, RequestLine, TooLarge, Unreachable, UnreadableAnswer

CONNECTION_LOST = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)
"""Errors after which a read is sent again."""
# Raised by httpx before a request is sent, so that a write cannot have been accepted.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


def connection_error(request_line: RequestLine, exc: httpx.HTTPError) -> ApiError:
    """Return the error for a request that was not answered."""
    is_sent = not isinstance(exc, _NEVER_SENT)
    kind = OutcomeUnknown if is_sent and not request_line.is_read else Unreachable
    return kind(request_line, reason_of(exc))


def body_error(request_line: RequestLine, exc: BodyRefused, request_id: str | None) -> ApiError:
    """Return the error for an answer that was not read: its status is a success, so a write was carried out."""
    kind = OutcomeUnknown
    if request_line.is_read:
        kind = TooLarge if exc.is_too_large else UnreadableAnswer
    return kind(request_line, str(exc), status=exc.response.status_code, request_id=request_id)


def reason_of(exc: httpx.HTTPError) -> str:
    """Say what went wrong, without what an exception quotes."""
    if isinstance(exc, httpx.TimeoutException):
        return "timed out"
    return "the connection could not be made" if isinstance(exc, _NEVER_SENT) else "the connection was lost"
