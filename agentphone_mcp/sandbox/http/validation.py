"""Validate bodies and queries by a table of fields: return clean values, or raise one 422 with all problems."""

import ipaddress
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import phonenumbers
from starlette.requests import Request

from agentphone_mcp.sandbox.responses import InvalidError, Json, RefusalError, invalid, problem

Rule = Callable[[Any], Any]

_EMERGENCY = {"911", "112", "999", "933"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class BadValueError(Exception):
    """Report a failed check: the message and pydantic-like type of the 422 entry."""

    def __init__(self, message: str, kind: str = "value_error") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


@dataclass(frozen=True)
class Field:
    """Declare one field of a body or query."""

    check: Rule
    required: bool = False
    nullable: bool = True
    default: Any = None


async def read_body(request: Request, fields: Mapping[str, Field]) -> Json:
    """Return the given fields of a JSON object, checked; ignore unknown ones, leave out missing ones."""
    try:
        body: Any = json.loads(await request.body() or b"{}")
        # What cannot be written as strict UTF-8 JSON (NaN, lone surrogates) could not be sent in an answer later.
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as exc:
        raise invalid("body", None, f"JSON decode error: {exc}", "json_invalid") from None
    if not isinstance(body, dict):
        raise invalid("body", None, "Input should be an object", "dict_type")
    return _checked("body", cast(Json, body), fields)


def read_query(request: Request, fields: Mapping[str, Field]) -> Json:
    """Return the query's fields, checked, with defaults filled in."""
    given = {name: value for name, value in request.query_params.items() if value != ""}
    return {name: field.default for name, field in fields.items()} | _checked("query", given, fields)


def paging(limit: int = 20, most: int = 100) -> dict[str, Field]:
    """Declare the `limit` and `offset` of a list."""
    return {"limit": Field(integer(1, most), default=limit), "offset": Field(integer(0), default=0)}


def _checked(where: str, given: Mapping[str, Any], fields: Mapping[str, Field]) -> Json:
    clean: Json = {}
    problems: list[Json] = []
    for name, field in fields.items():
        if name not in given:
            if field.required:
                problems.append(problem(where, name, "Field required", "missing"))
        elif given[name] is None and field.nullable and not field.required:
            clean[name] = None
        else:
            try:
                clean[name] = field.check(given[name])
            except BadValueError as exc:
                problems.append(problem(where, name, exc.message, exc.kind))
    if problems:
        raise InvalidError(problems)
    return clean


def text(least: int = 0, most: int = 20_000) -> Rule:
    """Accept a string of a bounded length."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise BadValueError("Input should be a valid string", "string_type")
        if len(value.strip()) < least:
            raise BadValueError(f"String should have at least {least} character", "string_too_short")
        if len(value) > most:
            raise BadValueError(f"String should have at most {most} characters", "string_too_long")
        return value

    return check


def one_of(*choices: str) -> Rule:
    """Accept one of the documented values."""

    def check(value: Any) -> str:
        if value not in choices:
            raise BadValueError(f"Input should be one of: {', '.join(choices)}", "enum")
        return value

    return check


def integer(least: int, most: int | None = None) -> Rule:
    """Accept a whole number in a range, also as the digits of a query."""

    def check(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadValueError("Input should be a valid integer", "int_type")
        _in_range(value, least, most)
        return value

    return check


def number(least: float, most: float) -> Rule:
    """Accept a number in a range."""

    def check(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise BadValueError("Input should be a valid number", "float_type")
        _in_range(value, least, most)
        return value

    return check


def _in_range(value: float, least: float, most: float | None) -> None:
    if value < least:
        raise BadValueError(f"Input should be greater than or equal to {least}", "greater_than_equal")
    if most is not None and value > most:
        raise BadValueError(f"Input should be less than or equal to {most}", "less_than_equal")


def boolean(value: Any) -> bool:
    """Accept true or false, but no string that looks like it."""
    if not isinstance(value, bool):
        raise BadValueError("Input should be a valid boolean", "bool_type")
    return value


def mapping(value: Any) -> Json:
    """Accept a JSON object of any keys, such as metadata or variables."""
    if not isinstance(value, dict):
        raise BadValueError("Input should be a valid object", "dict_type")
    return cast(Json, value)


def texts(value: Any) -> list[str]:
    """Accept a list of strings, such as media URLs."""
    if not isinstance(value, list):
        raise BadValueError("Input should be a valid list", "list_type")
    return [text()(item) for item in cast(list[Any], value)]


def matching(pattern: str, hint: str) -> Rule:
    """Accept a string of a fixed form, such as a three-digit area code."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise BadValueError(hint, "string_pattern_mismatch")
        return value

    return check


def moment(value: Any) -> datetime:
    """Accept an ISO 8601 time; without a zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadValueError("Input should be a valid ISO 8601 datetime", "datetime_parsing") from None


def e164(value: Any) -> str:
    """Check that it is a possible number in E.164; refuse emergency numbers, in any form, with 403."""
    if isinstance(value, str):
        if value.removeprefix("+").removeprefix("1") in _EMERGENCY or value.removeprefix("+") in _EMERGENCY:
            raise RefusalError(403, f"{value} is an emergency number and cannot be reached.", "RESTRICTED_DESTINATION")
        if re.fullmatch(r"\+[1-9][0-9]{6,14}", value):
            possible = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(value))
            if possible == phonenumbers.ValidationResult.IS_POSSIBLE:
                return value
    raise BadValueError("Phone number must be in E.164 format, e.g. +14155551234")


def is_loopback(url: str) -> bool:
    """Tell whether an http(s) URL is on this machine, the only place the sandbox delivers to by default."""
    parsed = httpx.URL(url)
    return parsed.scheme in ("http", "https") and parsed.host in _LOOPBACK


def webhook_url(value: Any) -> str:
    """Check that it is a public https URL, or (in the sandbox only) a loopback one."""
    try:
        url: str = text(1, 2_000)(value)
        parsed = httpx.URL(url)
        if is_loopback(url) or (parsed.scheme == "https" and _is_public(parsed.host)):
            return url
    except httpx.InvalidURL:
        pass
    raise BadValueError("URL must be a public https:// URL")


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.strip(".") and not host.endswith((".local", ".localhost", ".internal"))
