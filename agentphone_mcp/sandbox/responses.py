"""Build the API's answers: objects, pages of lists and errors."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

T = TypeVar("T")
Json = dict[str, Any]

API = ("/v0/", "/v1")
"""How the paths of the vendor's API begin; all others are the sandbox's own."""
_ERROR_TYPES = {
    400: "invalid_request_error",
    402: "payment_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
}


class RefusalError(Exception):
    """Report a documented business error, answered as `{"detail", "error": {"message", "code", "type"}}`."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


class InvalidError(Exception):
    """Report a body or query that breaks the schema, answered as 422 with an entry for each problem."""

    def __init__(self, problems: list[Json]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


def invalid(where: str, name: str | None, message: str, kind: str) -> InvalidError:
    """Report a single problem."""
    return InvalidError([problem(where, name, message, kind)])


def problem(where: str, name: str | None, message: str, kind: str) -> Json:
    """Build one entry of a 422: `where` is "body" or "query", `name` the field."""
    return {"loc": [where] if name is None else [where, name], "msg": message, "type": kind}


async def answer_refusal(_: Request, error: Exception) -> Response:
    """Answer a RefusalError as the vendor does."""
    refusal = cast(RefusalError, error)
    details = {"message": refusal.message, "code": refusal.code, "type": _ERROR_TYPES[refusal.status]}
    return JSONResponse({"detail": refusal.message, "error": details}, refusal.status)


async def answer_invalid(_: Request, error: Exception) -> Response:
    """Answer an InvalidError with what is wrong, field by field."""
    return JSONResponse({"detail": cast(InvalidError, error).problems}, 422)


async def answer_invalid_as_400(_: Request, error: Exception) -> Response:
    """Answer an InvalidError as the older API does: 400, with all problems in one sentence."""
    problems = cast(InvalidError, error).problems
    return failure(400, "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in problems))


def failure(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error that has no code: 401, 404 and 405 of the router, 500."""
    return JSONResponse({"detail": detail}, status, headers=dict(headers or {}))


def ok(body: Json | list[Json] | None) -> Response:
    """Answer 200 with a JSON body, which may be null."""
    return JSONResponse(body)


def created(body: Json) -> Response:
    """Answer 201 with the new object."""
    return JSONResponse(body, 201)


def page(rows: Iterable[T], query: Mapping[str, Any], to_json: Callable[[T], Json]) -> Json:
    """Build one page of a list by the query's `limit` and `offset`."""
    everything = list(rows)
    offset = query.get("offset", 0)
    end = offset + query["limit"]
    return {
        "data": [to_json(row) for row in everything[offset:end]],
        "total": len(everything),
        "hasMore": end < len(everything),
    }


def stamp(moment: datetime) -> str:
    """Format a time in ISO 8601, UTC with milliseconds and Z, as the vendor does."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp_or_null(moment: datetime | None) -> str | None:
    """Format a time, or return None for one that has not come yet."""
    return None if moment is None else stamp(moment)
