"""Remove API keys, which clients put into paths, queries and bodies by mistake, from what is recorded and shown."""

import re
from typing import Any, cast

KEY_REMOVED = "[key]"
_KEY = re.compile(r"\bsk(?:_|%5f)[a-z]+(?:_|%5f)[\w.~%+/=-]+", re.IGNORECASE)


def without_keys(value: Any) -> Any:
    """Return JSON without anything that looks like an API key, live or not, in names and values."""
    match value:
        case str():
            return _KEY.sub(KEY_REMOVED, value)
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {without_keys(name): without_keys(item) for name, item in items}
        case list():
            return [without_keys(item) for item in cast("list[Any]", value)]
        case _:
            return value
