"""Parse the API's JSON, and its errors in each of the shapes that API.md lists."""

import json
from typing import Any, TypeGuard


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Return whether a JSON value is an array."""
    return isinstance(value, list)


def read_json(body: bytes) -> Any:
    """Parse the JSON of a response; an empty body (204) is an empty object.

    Raises:
        ValueError: if the body is not JSON in UTF-8, for example truncated, or is nested too deep.
    """
    try:
        return json.loads(body.decode()) if body.strip() else {}
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_error(payload: Any) -> tuple[str, str | None]:
    """Return the explanation and the code in an error's JSON.

    Shapes: `{detail: text}`, `{detail: [{loc, msg}]}`, `{error: {message, code, details: [{field, message}]}}`, and the
    same keys at top level.
    """
    if not is_object(payload):
        return "", None
    error = payload["error"] if is_object(payload.get("error")) else payload
    messages = [_text(error.get("message")), *_field_errors(error.get("details"))]
    if not any(messages):
        messages = [_text(payload.get("detail")) or _text(payload.get("error")), *_field_errors(payload.get("detail"))]
    code = error.get("code")
    return "; ".join(message for message in messages if message), code if isinstance(code, str) else None


def _text(value: Any) -> str:
    if is_object(value):
        return _text(value.get("message"))
    return value if isinstance(value, str) else ""


def _field_errors(rows: Any) -> list[str]:
    """Return field errors of either API version, `{loc, msg}` or `{field, message}`, as `field: message`."""
    return [_field_error(row) for row in rows if is_object(row)] if is_list(rows) else []


def _field_error(row: dict[str, Any]) -> str:
    loc = row.get("loc")
    parts = loc if is_list(loc) else [loc] if loc else []
    field = row.get("field") or ".".join(str(part) for part in parts if part not in ("body", "query"))
    message = _text(row.get("message")) or _text(row.get("msg"))
    return f"{field}: {message}" if field else message
