"""Define the errors of the API client, as one tree.

    ApiError
    ├── KeyMissing              no key is configured; nothing was sent
    ├── Unsendable              a value that no request can carry; nothing was sent
    │   └── BadPathValue        an id that is no id
    ├── DestinationRefused      a request or redirect to a URL that is not allowed; nothing was sent there
    ├── Unreachable             nothing was accepted: no connection, or no answer to a read
    ├── OutcomeUnknown          a write was sent and its answer lost: it may have happened
    ├── Paced                   the account or the caller has sent enough for now; nothing was sent
    ├── UnreadableAnswer        a read was answered with something that API.md does not describe
    │   └── TooLarge            or with more than is read of one answer
    └── StatusError             the API said no
        ├── BadRequest          400, 422
        ├── Unauthorized        401
        ├── PaymentRequired     402
        ├── Forbidden           403
        ├── NotFound            404
        ├── Conflict            409
        ├── RateLimited         429
        └── ServerError         500 and up, to a read

They carry data, not prose; `agentphone_mcp.features.presentation.error_messages` writes the sentence for a model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RequestLine:
    """Names a request: its method, its path with placeholders, and the ids that fill them."""

    method: str
    path: str
    ids: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_read(self) -> bool:
        """Return whether the request is a GET, which changes nothing."""
        return self.method == "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.path.format_map(self.ids)}"


class ApiError(Exception):
    """Is the root of the tree.

    `detail` is the API's own explanation with the key redacted, or ours; `request_id` is what its support asks for.
    """

    def __init__(
        self,
        request: RequestLine,
        detail: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(request, detail)
        self.request = request
        self.detail = detail
        self.status = status
        self.code = code
        self.request_id = request_id

    def __str__(self) -> str:
        summary = " ".join(str(part) for part in (self.status, self.code, self.detail) if part)
        request_id = f" (request id {self.request_id})" if self.request_id else ""
        return f"{type(self).__name__}: {self.request}: {summary}{request_id}"


class KeyMissing(ApiError):
    """Says that no key is configured, so nothing was sent."""


class Unsendable(ApiError):
    """Says that a value cannot be encoded, for example half a character; nothing was sent."""


class BadPathValue(Unsendable):
    """Says that a path value is no id (empty, `..`, a slash, too long); nothing was sent."""


class DestinationRefused(ApiError):
    """Says that the request, or a redirect of it, leads where the key may not be sent."""


class Unreachable(ApiError):
    """Says that the API could not be reached or did not answer a read; nothing was changed."""


class OutcomeUnknown(ApiError):
    """Says that a write was sent and its response lost: it may or may not have happened."""


class UnreadableAnswer(ApiError):
    """Says that the response to a read is not what API.md documents."""


class TooLarge(UnreadableAnswer):
    """Says that the response to a read is longer than what is read of one."""


class Paced(ApiError):
    """Says that a request was held back on our side, so nothing was sent; there is room in `retry_after` seconds."""

    def __init__(self, request: RequestLine, detail: str, *, retry_after: float) -> None:
        super().__init__(request, detail)
        self.retry_after = retry_after


class StatusError(ApiError):
    """Says that the API answered with an error status."""


class BadRequest(StatusError):
    """400 or 422: an argument is wrong."""


class Unauthorized(StatusError):
    """401: the key is wrong or revoked."""


class PaymentRequired(StatusError):
    """402: not enough balance, or no payment method."""


class Forbidden(StatusError):
    """403: restricted destination, or SMS without a 10DLC registration."""


class NotFound(StatusError):
    """404: no such thing in this account."""


class Conflict(StatusError):
    """409: a limit, a duplicate, no inventory, or a call that is not in progress."""


class RateLimited(StatusError):
    """429: too many requests; `retry_after` is in seconds where the API said it."""

    retry_after: float | None = None


class ServerError(StatusError):
    """500 and up, in answer to a read."""


_BY_STATUS: dict[int, type[StatusError]] = {
    400: BadRequest,
    401: Unauthorized,
    402: PaymentRequired,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: BadRequest,
    429: RateLimited,
}


def error_for(request: RequestLine, status: int, detail: str, code: str | None) -> ApiError:
    """Turn an error status into the error of its kind.

    A write that gets a 5xx may have been carried out (API.md: there is no idempotency key), and so may a message with
    the API's own `DELIVERY_UNCONFIRMED` or a write that is redirected. These are unknown outcomes and not failures.
    """
    is_unknown = status >= 500 or 300 <= status < 400 or code == "DELIVERY_UNCONFIRMED"
    if is_unknown and not request.is_read:
        return OutcomeUnknown(request, detail, status=status, code=code)
    if status >= 500:
        return ServerError(request, detail, status=status, code=code)
    return _BY_STATUS.get(status, StatusError)(request, detail, status=status, code=code)
