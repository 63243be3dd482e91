"""Replace generated parts of a text, between marks that name the script."""

import re
from collections.abc import Iterable


def replaced(text: str, part: str, lines: Iterable[str]) -> str:
    """Replace the lines between `<!-- PART: … -->` and `<!-- /PART -->`, with a blank line before and after.

    Raises:
        ValueError: if the text does not have exactly one such part.
    """
    between = re.compile(rf"(<!-- {part}: [^\n]*? -->\n).*?(<!-- /{part} -->)", re.DOTALL)
    text, found = between.subn(lambda marks: "\n".join((marks[1], *lines, "", marks[2])), text)
    if found != 1:
        raise ValueError(f"there are {found} places for the {part}")
    return text
