"""What an assistant is told of a server as a whole, for the tools that are there."""

import re
from collections.abc import Collection

_NAME = re.compile(r"[a-z]+(?:_[a-z]+)+")


def without_lines_on(absent: Collection[str], text: str) -> str:
    """Leave out each line that names a tool which is not there."""
    return "\n".join(line for line in text.splitlines() if not any(name in absent for name in _NAME.findall(line)))
