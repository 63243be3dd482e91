"""Find the code blocks of all guides; the first line of a block says what it is, and so which test runs it."""

import re
from dataclasses import dataclass

import pytest

from agentphone_mcp.features.guides import GUIDES
from agentphone_mcp.features.tools.catalog import CATALOG

TOOLS = {tool.name for declared in CATALOG.values() for tool in declared}

# What the first line of a block says, and which test runs it.
KINDS = {
    rf"json ({'|'.join(sorted(TOOLS))})": "arguments of a tool",
    r"json agent\.message \w+": "event",
    r"json row of \w+": "row",
    r"json host": "host",
    r"(json|ndjson) answer": "answer",
    r"ndjson alternatives": "alternatives",
    r"ndjson silence": "silence",
    r"bash": "commands",
    r"python \w+\.py|js \w+\.mjs": "server of {guide}",
}


@dataclass(frozen=True)
class Block:
    """One code block of a guide, with the language and label of its first line."""

    guide: str
    language: str
    label: str
    text: str

    @property
    def kind(self) -> str:
        """Return which test runs it."""
        first_line = f"{self.language} {self.label}".strip()
        for pattern, kind in KINDS.items():
            if re.fullmatch(pattern, first_line):
                return kind.format(guide=self.guide)
        raise ValueError(f"nobody runs `{first_line}` in {self.guide}")

    @property
    def answers(self) -> list[str]:
        """Return its lines, each of which is an answer of its own."""
        return self.text.splitlines()

    def __str__(self) -> str:
        return re.sub(r"\W+", "-", f"{self.guide} {self.label or self.language}")


def blocks_of(guide: str, text: str) -> list[Block]:
    """Return all code blocks of a guide, in order."""
    blocks: list[Block] = []
    lines = iter(text.splitlines())
    for opening in lines:
        if opening.lstrip().startswith(("```", "~~~")):
            language, _, label = opening.removeprefix("```").partition(" ")
            body = iter(lines.__next__, "```")
            blocks.append(Block(guide, language, label, "\n".join(body) + "\n"))
    return blocks


BLOCKS = [block for guide in GUIDES for block in blocks_of(guide.name, guide.read())]
TESTED: set[str] = set()


def each(kind: str) -> pytest.MarkDecorator:
    """Run the test with every block of this kind."""
    TESTED.add(kind)
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == kind], ids=str)
