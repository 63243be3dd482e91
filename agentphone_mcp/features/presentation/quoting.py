"""How an action is shown to the person who decides: every argument that matters, and none able to pose as our words."""

import json
from typing import Any

from agentphone_mcp.api.redaction import Redactor
from agentphone_mcp.policy.untrusted import clean

_MOST = 2_000


def quoted(words: str, redact: Redactor = str) -> str:
    """Show words as words: on one line, in quotes they cannot end themselves, and how much of them is not shown.

    Secrets are redacted before it is truncated, so that no half of one is left at the end.
    """
    words = redact(clean(words))
    if len(words) <= _MOST:
        return json.dumps(words, ensure_ascii=False)
    return f"{json.dumps(words[:_MOST], ensure_ascii=False)} and {len(words) - _MOST} more characters"


def other_arguments(redact: Redactor, **given: Any) -> str:
    """Name the further arguments that were given, for the end of a preview; nothing where there are none."""
    named = [f"{name} {_shown(value, redact)}" for name, value in given.items() if value is not None]
    return f" Also: {', '.join(named)}." if named else ""


def _shown(value: Any, redact: Redactor) -> str:
    if isinstance(value, dict | list):
        return quoted(json.dumps(value, ensure_ascii=False), redact)
    return quoted(value, redact) if isinstance(value, str) else json.dumps(value)
