"""How a deed is shown to the person who decides: every argument that matters, and none able to pose as our words."""

import json
from typing import Any

from agentphone_mcp.guard.untrusted import clean

_MOST = 2_000


def quoted(words: str) -> str:
    """Show words as words: on one line, in quotes they cannot end themselves, and how much of them is not shown."""
    words = clean(words)
    if len(words) <= _MOST:
        return json.dumps(words, ensure_ascii=False)
    return f"{json.dumps(words[:_MOST], ensure_ascii=False)} and {len(words) - _MOST} more characters"


def also(**given: Any) -> str:
    """Name the further arguments that were given, for the end of a preview; nothing where there are none."""
    named = [
        f"{name} {quoted(json.dumps(value, ensure_ascii=False)) if isinstance(value, dict | list) else _plain(value)}"
        for name, value in given.items()
        if value is not None
    ]
    return f" Also: {', '.join(named)}." if named else ""


def _plain(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else json.dumps(value)
