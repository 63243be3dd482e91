"""Parts of a text that a script writes, between marks that say which script does."""

import re
from collections.abc import Iterable


def replaced(text: str, part: str, lines: Iterable[str]) -> str:
    """Put the lines between `<!-- PART: … -->` and `<!-- /PART -->`, with a blank one before and after.

    Raises:
        ValueError: if there is not exactly one such place.
    """
    between = re.compile(rf"(<!-- {part}: [^\n]*? -->\n).*?(<!-- /{part} -->)", re.DOTALL)
    text, found = between.subn(lambda marks: "\n".join((marks[1], *lines, "", marks[2])), text)
    if found != 1:
        raise ValueError(f"there are {found} places for the {part}")
    return text
