"""Tests of error responses: every shape becomes the error of its kind."""

import re
from typing import Any

import httpx
import pytest

from agentphone_mcp.api import errors
from agentphone_mcp.api.errors import ApiError, RequestLine, error_for
from agentphone_mcp.api.parsing import read_json
from tests.api.conftest import Read

READ, WRITE = RequestLine("GET", "/v1/agents"), RequestLine("POST", "/v1/agents")

SHAPES = {
    "detail": ({"detail": "Agent not found"}, "Agent not found", None),
    "error-object": (
        {
            "error": {
                "message": "Invalid phone number",
                "code": "VALIDATION_ERROR",
                "type": "invalid_request_error",
                "details": [{"field": "toNumber", "message": "must be E.164", "type": "value_error"}],
            }
        },
        "Invalid phone number; toNumber: must be E.164",
        "VALIDATION_ERROR",
    ),
    "error-object-without-details": (
        {"error": {"message": "Too fast", "code": "RATE_LIMIT_EXCEEDED"}},
        "Too fast",
        "RATE_LIMIT_EXCEEDED",
    ),
    "top-level": (
        {"message": "No balance", "code": "INSUFFICIENT_BALANCE", "type": "payment_error", "details": None},
        "No balance",
        "INSUFFICIENT_BALANCE",
    ),
    "top-level-with-details": (
        {"message": "Wrong", "code": "VALIDATION_ERROR", "details": [{"field": "name", "message": "is required"}]},
        "Wrong; name: is required",
        "VALIDATION_ERROR",
    ),
    "both-versions": (
        {"detail": "Not yours", "error": {"message": "Not yours", "code": "PHONE_NUMBER_NOT_FOUND"}},
        "Not yours",
        "PHONE_NUMBER_NOT_FOUND",
    ),
    "field-errors": (
        {
            "detail": [
                {"loc": ["body", "toNumber"], "msg": "Field required", "type": "missing"},
                {"loc": ["query", "limit"], "msg": "too large", "type": "less_than_equal"},
            ]
        },
        "toNumber: Field required; limit: too large",
        None,
    ),
    "nested-field-error": (
        {"detail": [{"loc": ["body", "media_urls", 0], "msg": "no URL", "type": "x"}]},
        "media_urls.0: no URL",
        None,
    ),
    "field-error-of-the-whole-body": ({"detail": [{"loc": ["body"], "msg": "no JSON", "type": "x"}]}, "no JSON", None),
    "field-error-without-a-place": ({"detail": [{"msg": "no JSON"}]}, "no JSON", None),
    "detail-object": ({"detail": {"message": "Not now"}}, "Not now", None),
    "error-text": ({"error": "unauthorized"}, "unauthorized", None),
    "details-that-are-no-list": ({"error": {"message": "Wrong", "details": "everything"}}, "Wrong", None),
    "code-that-is-a-number": ({"error": {"message": "Wrong", "code": 42}}, "Wrong", None),
    "nulls": ({"detail": None, "error": None}, "", None),
    "empty-object": ({}, "", None),
    "list": ([{"msg": "Wrong"}], "", None),
    "null": (None, "", None),
}


@pytest.mark.parametrize(("body", "detail", "code"), [pytest.param(*shape, id=name) for name, shape in SHAPES.items()])
async def test_every_shape_of_an_error_is_read(read: Read, body: Any, detail: str, code: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        await read(body, lambda api: api.agents.list(), status=400)
    assert (refused.value.detail, refused.value.code) == (detail, code)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(None, id="null"),
        pytest.param(7, id="number"),
        pytest.param({"field": "name"}, id="object"),
        pytest.param([None, {}], id="odd-parts"),
    ],
)
async def test_a_field_error_with_an_odd_place_still_says_what_is_wrong(read: Read, place: Any) -> None:
    with pytest.raises(ApiError) as refused:
        await read({"detail": [{"loc": place, "msg": "Field required"}]}, lambda api: api.agents.list(), status=422)
    assert refused.value.detail.endswith("Field required")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html><h1>502 Bad Gateway</h1></html>", id="proxys-page"),
        pytest.param(b"502: upstream timed out", id="text"),
        pytest.param(b'{"detail": "cut o', id="truncated"),
        pytest.param(b"\xff\xfe\xfd", id="no-text-at-all"),
        pytest.param(b"[" * 100_000, id="deeper-than-can-be-read"),
        pytest.param(b"[" * 900 + b'"\\u0041"' + b"]" * 900, id="deep-and-escaped"),
        pytest.param(b'{"message": ' * 900 + b"1" + b"}" * 900, id="deep-messages"),
        pytest.param(b"", id="empty"),
        pytest.param(b" \r\n", id="blank"),
    ],
)
async def test_what_is_no_json_of_the_apis_is_not_repeated(read: Read, body: bytes) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        await read(lambda _: httpx.Response(400, content=body), lambda api: api.agents.list())
    assert "502" not in refused.value.detail
    assert len(refused.value.detail) < 100
    assert refused.value.code is None


async def test_a_long_explanation_is_truncated(read: Read) -> None:
    """The client keeps 1,000 characters; `error_messages` shortens them further for a model."""
    with pytest.raises(ApiError) as refused:
        await read({"detail": "x" * 100_000}, lambda api: api.agents.list(), status=400)
    assert len(refused.value.detail) == 1_000


def test_json_deeper_than_can_be_read_is_no_json() -> None:
    """`read_json` promises a ValueError where Python raises a RecursionError."""
    with pytest.raises(ValueError, match=r"JSON|deep"):
        read_json(b"[" * 100_000)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(400, errors.BadRequest, id="bad-request"),
        pytest.param(401, errors.Unauthorized, id="unauthorized"),
        pytest.param(402, errors.PaymentRequired, id="payment-required"),
        pytest.param(403, errors.Forbidden, id="forbidden"),
        pytest.param(404, errors.NotFound, id="not-found"),
        pytest.param(405, errors.StatusError, id="method-not-allowed"),
        pytest.param(409, errors.Conflict, id="conflict"),
        pytest.param(418, errors.StatusError, id="teapot"),
        pytest.param(422, errors.BadRequest, id="unprocessable"),
        pytest.param(429, errors.RateLimited, id="too-many"),
    ],
)
@pytest.mark.parametrize("line", [pytest.param(READ, id="read"), pytest.param(WRITE, id="write")])
def test_a_refusal_becomes_the_error_of_its_status(line: RequestLine, status: int, kind: type[ApiError]) -> None:
    error = error_for(line, status, "no", "CODE")
    assert type(error) is kind
    assert (error.request, error.status, error.detail, error.code) == (line, status, "no", "CODE")


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 599], ids=lambda status: f"status-{status}")
def test_a_servers_failure_is_certain_for_a_read_alone(status: int) -> None:
    """A write may have been carried out before the server failed."""
    assert type(error_for(READ, status, "", None)) is errors.ServerError
    assert type(error_for(WRITE, status, "", None)) is errors.OutcomeUnknown


@pytest.mark.parametrize("status", [300, 302, 304, 307], ids=lambda status: f"status-{status}")
def test_a_redirect_of_a_write_is_unknown(status: int) -> None:
    assert type(error_for(WRITE, status, "", None)) is errors.OutcomeUnknown
    assert type(error_for(READ, status, "", None)) is errors.StatusError


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^    ([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            drawn[match[2]] = above[depth - 1] if depth else "Exception"
    real = {
        name: kind.__base__.__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, ApiError)
    }
    assert drawn == real


def test_an_error_can_be_printed_and_says_which_request() -> None:
    line = RequestLine("DELETE", "/v1/agents/{agent_id}/numbers/{number_id}", {"agent_id": "a_1", "number_id": "n_1"})
    assert str(error_for(line, 409, "busy", "CONFLICT")) == (
        "Conflict: DELETE /v1/agents/a_1/numbers/n_1: 409 CONFLICT busy"
    )
    assert line.is_read is False
    assert READ.is_read is True


async def test_a_rate_limit_carries_its_wait_and_others_do_not(read: Read) -> None:
    with pytest.raises(errors.RateLimited) as limited:
        await read(
            lambda _: httpx.Response(429, headers={"Retry-After": "60"}, json={"detail": "slow down"}),
            lambda api: api.agents.list(),
        )
    assert (limited.value.retry_after, limited.value.detail) == (60.0, "slow down")
