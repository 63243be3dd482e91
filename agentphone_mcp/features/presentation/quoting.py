"""Quote the arguments of an action in its preview, so that none of them can pass for the server's own words."""

import json
from typing import Any

from agentphone_mcp.api.redaction import Redactor
from agentphone_mcp.policy.untrusted import clean

_MAX_LENGTH = 2_000


def quoted(text: str, redact: Redactor = str) -> str:
    """Quote a text on one line, with its own quotes escaped; beyond 2,000 characters say how many are left out.

    Secrets are redacted before truncation, so that no half of one remains.
    """
    text = redact(clean(text))
    if len(text) <= _MAX_LENGTH:
        return json.dumps(text, ensure_ascii=False)
    return f"{json.dumps(text[:_MAX_LENGTH], ensure_ascii=False)} and {len(text) - _MAX_LENGTH} more characters"


def other_arguments(redact: Redactor, **given: Any) -> str:
    """List the arguments that are not None, for the end of a preview; empty if there are none."""
    named = [f"{name} {_format(value, redact)}" for name, value in given.items() if value is not None]
    return f" Also: {', '.join(named)}." if named else ""


def _format(value: Any, redact: Redactor) -> str:
    if isinstance(value, dict | list):
        return quoted(json.dumps(value, ensure_ascii=False), redact)
    return quoted(value, redact) if isinstance(value, str) else json.dumps(value)
