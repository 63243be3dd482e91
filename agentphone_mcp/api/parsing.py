"""Reads what the API says: JSON, and errors in each of the shapes that API.md lists."""

import json
from typing import Any, TypeGuard


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a piece of JSON is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a piece of JSON is an array."""
    return isinstance(value, list)


def read_json(body: bytes) -> Any:
    """Read the JSON of an answer; an empty body (204) is an empty object.

    Raises:
        ValueError: if the body is no JSON in UTF-8, for example because it was cut off, or too deep to be read.
    """
    try:
        return json.loads(body.decode()) if body.strip() else {}
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_error(found: Any) -> tuple[str, str | None]:
    """Find the explanation and the code in an error's JSON.

    Shapes: `{detail: text}`, `{detail: [{loc, msg}]}`, `{error: {message, code, details: [{field, message}]}}`, and the
    same keys at top level.
    """
    if not is_object(found):
        return "", None
    error = found["error"] if is_object(found.get("error")) else found
    said = [_text(error.get("message")), *_field_errors(error.get("details"))]
    if not any(said):
        said = [_text(found.get("detail")) or _text(found.get("error")), *_field_errors(found.get("detail"))]
    code = error.get("code")
    return "; ".join(part for part in said if part), code if isinstance(code, str) else None


def _text(value: Any) -> str:
    if is_object(value):
        return _text(value.get("message"))
    return value if isinstance(value, str) else ""


def _field_errors(rows: Any) -> list[str]:
    """Field errors of either age, `{loc, msg}` or `{field, message}`, each as `field: what is wrong`."""
    return [_field_error(row) for row in rows if is_object(row)] if is_list(rows) else []


def _field_error(row: dict[str, Any]) -> str:
    place = row.get("loc")
    parts = place if is_list(place) else [place] if place else []
    where = row.get("field") or ".".join(str(part) for part in parts if part not in ("body", "query"))
    said = _text(row.get("message")) or _text(row.get("msg"))
    return f"{where}: {said}" if where else said
