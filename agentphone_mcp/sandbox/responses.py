"""The shapes of what the API answers: objects, list pages and errors."""

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
    """A documented business error; answered as `{"detail", "error": {"message", "code", "type"}}`."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


class InvalidError(Exception):
    """A body or query that breaks the schema; answered as 422 with one entry for each problem."""

    def __init__(self, problems: list[Json]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


def problem(where: str, name: str | None, message: str, kind: str) -> Json:
    """One entry of a 422: `where` is "body" or "query", `name` the field."""
    return {"loc": [where] if name is None else [where, name], "msg": message, "type": kind}


async def refused(_: Request, error: Exception) -> Response:
    """Answer a RefusalError as the vendor does."""
    refusal = cast(RefusalError, error)
    told = {"message": refusal.message, "code": refusal.code, "type": _ERROR_TYPES[refusal.status]}
    return JSONResponse({"detail": refusal.message, "error": told}, refusal.status)


async def invalid(_: Request, error: Exception) -> Response:
    """Answer an InvalidError with what is wrong, field by field."""
    return JSONResponse({"detail": cast(InvalidError, error).problems}, 422)


async def invalid_to_the_seeds(_: Request, error: Exception) -> Response:
    """The same as the seeds' API does: a bad request like any other, in a sentence."""
    problems = cast(InvalidError, error).problems
    return failure(400, "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in problems))


def failure(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error without a code: 401, 404 and 405 of the router, 500."""
    return JSONResponse({"detail": detail}, status, headers=dict(headers or {}))


def ok(body: Json | list[Json] | None) -> Response:
    """200 with a JSON body, which may be null."""
    return JSONResponse(body)


def created(body: Json) -> Response:
    """201 with the new object."""
    return JSONResponse(body, 201)


def page(rows: Iterable[T], query: Mapping[str, Any], shown: Callable[[T], Json]) -> Json:
    """One page of a list, cut by the query's `limit` and `offset`."""
    everything = list(rows)
    offset = query.get("offset", 0)
    end = offset + query["limit"]
    return {
        "data": [shown(row) for row in everything[offset:end]],
        "total": len(everything),
        "hasMore": end < len(everything),
    }


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z, as the vendor writes times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp_or_null(moment: datetime | None) -> str | None:
    """The same for a time that may not have come yet."""
    return None if moment is None else stamp(moment)
